"""ClickHouse's errors in; the parts that it has in use and cannot read, out.

A disk that fills under a merge may leave a part in use with files that are empty. ClickHouse puts such parts aside at
its start only: until then each read, merge and mutation that touches one fails, and so does everything behind it.
"""

import math
import re
import time
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

CODES = (33, 40, 107, 226, 228, 246, 271)
"""ClickHouse's codes for files of a part that are short, missing, or changed."""
_ERRORS = "SELECT code, value, last_error_message FROM system.errors WHERE code IN {codes:Array(Int32)}"
_PART = re.compile(r"/store/[0-9a-f]{3}/([0-9a-f-]{36})/([A-Za-z0-9_-]+)/")
_TABLES = "SELECT toString(uuid), name FROM system.tables WHERE database = currentDatabase()"
_YOUNG = """
SELECT table, name FROM (
    SELECT table, name, sum(bytes_on_disk) OVER (ORDER BY modification_time DESC, name) AS bytes
    FROM system.parts
    WHERE database = currentDatabase() AND active AND modification_time > now() - INTERVAL 1 HOUR
) WHERE bytes <= {bytes:UInt64}
"""
YOUNG_BYTES = 256 * 1024 * 1024
YOUNG_PAUSE_S = 30.0
"""The bound of one check of young parts, and the pause between two: any customer's query may cause one."""
_ACTIVE = (
    "SELECT 1 FROM system.parts"
    " WHERE database = currentDatabase() AND active AND table = {table:String} AND name = {part:String}"
)


class ErrorWatch:
    """Asks again only where there are new errors."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        """The number of errors already seen, by code."""
        self._young_at = -math.inf

    async def unreadable(self, client: AsyncClient) -> list[tuple[str, str]]:
        """Table and name of each part in use that the errors since the last call lead to and a check finds broken."""
        rows = (await client.query(_ERRORS, {"codes": list(CODES)})).result_rows
        fresh = [message for code, value, message in rows if self._seen.get(code) != value]
        broken = await _broken(client, await _named(client, fresh)) if fresh else []
        if fresh and not broken and time.monotonic() - self._young_at > YOUNG_PAUSE_S:
            self._young_at = time.monotonic()
            young = (await client.query(_YOUNG, {"bytes": YOUNG_BYTES})).result_rows
            broken = await _broken(client, [(table, part) for table, part in young])
        # only now: after a check that failed, the same errors are looked at again
        self._seen = {code: value for code, value, _ in rows}
        return broken


async def _named(client: AsyncClient, messages: list[str]) -> list[tuple[str, str]]:
    """The parts of our tables that the messages name."""
    named = sorted({match.groups() for message in messages for match in _PART.finditer(message)})
    uuids: Any = (await client.query(_TABLES)).result_rows if named else []
    tables: dict[str, str] = dict(uuids)
    return [(tables[uuid], part) for uuid, part in named if uuid in tables]


async def _broken(client: AsyncClient, parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(table, part) for table, part in parts if await _is_broken(client, table, part)]


async def _is_broken(client: AsyncClient, table: str, part: str) -> bool:
    if not (await client.query(_ACTIVE, {"table": table, "part": part})).result_rows:
        return False
    # its grammar wants a literal; the name is one that ClickHouse itself has given
    passed = await client.command(
        f"CHECK TABLE {table} PART '{part}'", settings={"check_query_single_value_result": "1"}
    )
    return str(passed).strip() == "0"


async def put_aside(client: AsyncClient, table: str, part: str) -> None:
    """Take a part out of use, as ClickHouse does at its start; its files stay under ``detached``."""
    await client.command(f"ALTER TABLE {table} DETACH PART '{part}'")
