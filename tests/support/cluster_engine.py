"""ClickHouse statements in; the answers of an embedded engine with two clusters and an in-memory Keeper out.

The engine is its own only host. It answers a ``Distributed`` table of cluster ``one`` from its own tables once, and one
of cluster ``two`` twice, like two shards with the same rows. Its Keeper allows replicated tables; without a network
their replica never gets ready, so they accept neither rows nor new columns.
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
    """Runs each statement; returns tab-separated values or ``Refused``. The engine has its own process."""
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
