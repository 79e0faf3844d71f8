"""The ``.sql`` files of one server in, the database whose tables and views are those of all shards out; pure.

1. A table whose rows lie on one shard each is a ``Distributed`` table without a key: it reads all shards, and refuses
   inserts. A table that every shard has whole is read on the host itself.
2. A view of which each row follows from the rows of one shard is asked on each shard, next to its rows. The others
   join or group rows of several shards, so they are made anew over the tables of all.
"""

import hashlib
import re
from collections.abc import Mapping

from sinks.maintenance.cluster import EVERYWHERE

BESIDE_ROWS = frozenset({"contacts_current", "events_resolved", "members_current", "membership_history"})
"""Views whose joined and grouped rows are of one contact, or of tables that every shard has."""
_TABLE = re.compile(r"^CREATE TABLE IF NOT EXISTS \{database\}\.(\w+)", re.MULTILINE)
_VIEW = re.compile(r"views/(\w+)\.sql")
_ALL = "{database}_all"


def read_layer(cluster: str, texts: Mapping[str, str]) -> str:
    """The file that makes it, from the text of each file by name: another text where any of them changed."""
    digest = hashlib.sha256("\0".join(f"{name}\0{text}" for name, text in sorted(texts.items())).encode()).hexdigest()
    tables = [table for name, text in texts.items() if not _VIEW.fullmatch(name) for table in _TABLE.findall(text)]
    views = {match[1]: text for name, text in texts.items() if (match := _VIEW.fullmatch(name))}
    parts = [f"-- of {digest}\nCREATE DATABASE IF NOT EXISTS {_ALL}"]
    parts += [_made(table, cluster) for table in tables]
    parts += [_made(view, cluster) for view in views if view in BESIDE_ROWS]
    parts += [
        text.replace("{database}", _ALL).rstrip(";\n ") for view, text in views.items() if view not in BESIDE_ROWS
    ]
    return ";\n\n".join(parts) + ";\n"


def _made(name: str, cluster: str) -> str:
    engine = (
        f"Merge('{{database}}', '^{name}$')"
        if name in EVERYWHERE
        else f"Distributed('{cluster}', '{{database}}', '{name}')"
    )
    return f"CREATE OR REPLACE TABLE {_ALL}.{name} AS {{database}}.{name} ENGINE = {engine}"
