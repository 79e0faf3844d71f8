"""The ``.sql`` files of one server in; the database with tables and views over all shards out; pure.

1. A table with each row on one shard becomes a ``Distributed`` table without a key: it reads all shards, and refuses
   inserts. A table that every shard holds completely is read on the host itself.
2. A view whose rows each depend on one shard runs on each shard, next to its rows. The other views join or group rows
   of several shards, so they are created again over the tables of all shards.
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
    """Returns the file of the layer from the text of each file by name: its text changes with theirs."""
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
