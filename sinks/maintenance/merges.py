"""Keeps the parts of a table as they are while rows are read part by part, by names that a merge would replace."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from clickhouse_connect.driver.asyncclient import AsyncClient

from schemas.errors import CannotStart

LOOK_S = 0.01
LONGEST_LOOK_S = 1.0
END_S = 120.0
"""The longest wait for merges under way: ClickHouse ends them where it can, and one that is nearly done, finishes."""
_PARTS = """
SELECT name, rows, data_uncompressed_bytes FROM system.parts
WHERE database = {database:String} AND table = {table:String} AND active ORDER BY name
"""
_UNDER_WAY = """
SELECT (SELECT count() FROM system.merges WHERE database = {database:String} AND table = {table:String})
     + (SELECT count() FROM system.replicated_fetches WHERE database = {database:String} AND table = {table:String})
"""


class TablePart(NamedTuple):
    """An active part; ``size`` is in bytes, uncompressed."""

    name: str
    rows: int
    size: int


async def parts_of(client: AsyncClient, table: str) -> list[TablePart]:
    """Returns the active parts by name; ``table`` may be ``database.table``."""
    return [TablePart(*row) for row in (await client.query(_PARTS, _place(client, table))).result_rows]


def statements(table: str, *, replicated: bool) -> tuple[list[str], list[str]]:
    """Statements that stop merges, and what replicas send, and those that start them again; pure."""
    if not replicated:
        return [f"SYSTEM STOP MERGES {table}"], [f"SYSTEM START MERGES {table}"]
    return (
        [f"SYSTEM SYNC REPLICA {table}", f"SYSTEM STOP FETCHES {table}", f"SYSTEM STOP MERGES {table}"],
        [f"SYSTEM START MERGES {table}", f"SYSTEM START FETCHES {table}"],
    )


@asynccontextmanager
async def stopped(client: AsyncClient, table: str, *, replicated: bool = False) -> AsyncIterator[None]:
    """Within the block a table's parts stay as they are, but for inserts on this host.

    Raises ``CannotStart`` where a merge under way does not end.
    """
    stop, start = statements(table, replicated=replicated)
    try:
        for statement in stop:
            await client.command(statement)
        await wait_for_merges(client, table)
        yield
    finally:
        for statement in start:
            await client.command(statement)


async def wait_for_merges(client: AsyncClient, table: str) -> None:
    """Returns when no merge runs any more; ``SYSTEM STOP MERGES`` does not wait for one that is nearly done."""
    pause_s, deadline = LOOK_S, time.monotonic() + END_S
    while (await client.query(_UNDER_WAY, _place(client, table))).result_rows[0][0]:
        if time.monotonic() > deadline:
            raise CannotStart(f"merges of {table} do not end: see system.merges, and run it again")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)


def _place(client: AsyncClient, table: str) -> dict[str, str]:
    database, _, name = table.rpartition(".")
    return {"database": database or str(client.database), "table": name}
