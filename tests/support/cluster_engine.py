"""ClickHouse statements in; what an embedded engine answers that knows two clusters and has a Keeper in memory, out.

The engine is its own only host: it answers a ``Distributed`` table of the cluster ``one`` from its tables once, of the
cluster ``two`` twice, as two shards with the same rows would. Its Keeper lets replicated tables be made; their replica
does not get ready without a network, so they take neither rows nor new columns.
"""

import json
import subprocess
import sys
from pathlib import Path

_HOST = "<shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>"
_CONFIG = (
    "<clickhouse><tcp_port>9000</tcp_port><zookeeper><implementation>testkeeper</implementation></zookeeper>"
    "<macros><shard>1</shard><replica>r1</replica></macros>"
    f"<remote_servers><one>{_HOST}</one><two>{_HOST}{_HOST}</two></remote_servers></clickhouse>"
)
_RUN = """
import json, os, sys
from chdb.session import Session
folder, statements = sys.argv[1], json.load(sys.stdin)
session = Session(folder + "/data?config-file=" + folder + "/config.xml")
answers = []
for statement in statements:
    try:
        answers.append(["", str(session.query(statement, "TSV"))])
    except Exception as error:
        answers.append([str(error), ""])
print(json.dumps(answers), flush=True)
os._exit(0)  # a replica that never got ready is waited for
"""


class Refused(str):
    """The engine's error."""

    __slots__ = ()


def answers(folder: Path, statements: list[str]) -> list[str]:
    """An answer each, as tab-separated values, or ``Refused``; the engine is in a process of its own."""
    (folder / "config.xml").write_text(_CONFIG)
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, str(folder)],
        input=json.dumps(statements),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [Refused(error) if error else answer for error, answer in json.loads(ran.stdout.splitlines()[-1])]
