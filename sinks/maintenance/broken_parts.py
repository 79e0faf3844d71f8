"""ClickHouse's errors in; the parts that it has in use and cannot read, out.

A disk that fills under a merge may leave a part in use with files that are empty. ClickHouse puts such parts aside at
its start only: until then each read, merge and mutation that touches one fails, and so does everything behind it.
"""

import re
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

CODES = (33, 40, 107, 226, 228, 246, 271)
"""What ClickHouse answers for files of a part that are short, missing, or not what was written."""
_ERRORS = "SELECT code, value, last_error_message FROM system.errors WHERE code IN {codes:Array(Int32)}"
_PART = re.compile(r"/store/[0-9a-f]{3}/([0-9a-f-]{36})/([A-Za-z0-9_-]+)/")
_TABLES = "SELECT toString(uuid), name FROM system.tables WHERE database = currentDatabase()"
_ACTIVE = (
    "SELECT 1 FROM system.parts"
    " WHERE database = currentDatabase() AND active AND table = {table:String} AND name = {part:String}"
)


class ErrorWatch:
    """Asks again only where there are new errors."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        """By code, how many errors were looked at."""

    async def unreadable(self, client: AsyncClient) -> list[tuple[str, str]]:
        """Table and name of each part in use that an error since the last call names and a check finds broken."""
        rows = (await client.query(_ERRORS, {"codes": list(CODES)})).result_rows
        fresh = [message for code, value, message in rows if self._seen.get(code) != value]
        named = {match.groups() for message in fresh for match in _PART.finditer(message)}
        broken = []
        if named:
            uuids: Any = (await client.query(_TABLES)).result_rows
            tables: dict[str, str] = dict(uuids)
            for uuid, part in sorted(named):
                if (table := tables.get(uuid)) and await _is_broken(client, table, part):
                    broken.append((table, part))
        # only now: what could not be checked is asked about again
        self._seen = {code: value for code, value, _ in rows}
        return broken


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
