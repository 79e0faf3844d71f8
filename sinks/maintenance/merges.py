"""Keeps the parts of a table as they are while rows are read part by part, by names that a merge would replace."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import NamedTuple, TypeVar

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.errors import CannotStart
from schemas.retry import Backoff

log = logging.getLogger(__name__)
T = TypeVar("T")

LOOK_S = 0.01
LONGEST_LOOK_S = 1.0
END_S = 120.0
"""The longest wait for merges under way: ClickHouse cancels most of them, and a nearly finished one completes."""
TRIES = 3
"""How often parts are read that change meanwhile: another process may start merges again."""
_PARTS = """
SELECT name, rows, data_uncompressed_bytes FROM system.parts
WHERE database = {database:String} AND table = {table:String} AND active ORDER BY name
"""
_UNDER_WAY = """
SELECT (SELECT count() FROM system.merges WHERE database = {database:String} AND table = {table:String})
     + (SELECT count() FROM system.replicated_fetches WHERE database = {database:String} AND table = {table:String})
"""


class PartsChangedError(CannotStart):
    """Parts that were read by name are gone: merged into others."""


class TablePart(NamedTuple):
    """An active part; ``size`` is in bytes, uncompressed."""

    name: str
    rows: int
    size: int


async def parts_of(client: AsyncClient, table: str) -> list[TablePart]:
    """Returns the active parts by name; ``table`` may be ``database.table``."""
    return [TablePart(*row) for row in (await client.query(_PARTS, _place(client, table))).result_rows]


def stop_and_start(table: str, *, replicated: bool) -> list[tuple[str, str]]:
    """Statements after which a table's parts stay as they are, each with the one that ends that, or none; pure."""
    merges = (f"SYSTEM STOP MERGES {table}", f"SYSTEM START MERGES {table}")
    if not replicated:
        return [merges]
    return [
        (f"SYSTEM SYNC REPLICA {table}", ""),
        (f"SYSTEM STOP FETCHES {table}", f"SYSTEM START FETCHES {table}"),
        merges,
    ]


@asynccontextmanager
async def merges_stopped(client: AsyncClient, table: str, *, replicated: bool = False) -> AsyncIterator[None]:
    """Within the block a table's parts stay as they are, but for inserts on this host.

    ClickHouse counts no holds: the first that ends, here or in another process, ends all of a table. Raises
    ``CannotStart`` where a merge under way does not end.
    """
    async with AsyncExitStack() as starts:
        for stop, start in stop_and_start(table, replicated=replicated):
            if start:
                starts.push_async_callback(_start, client, start)  # a statement without an answer may have been run
            await client.command(stop)
        await wait_for_merges(client, table)
        yield


async def _start(client: AsyncClient, statement: str) -> None:
    try:
        await client.command(statement)
    except BaseException as error:  # cancelled once more, too
        log.exception("run it by hand, or start ClickHouse again: %s", statement)
        if not isinstance(error, (ClickHouseError, OSError)):
            raise


@asynccontextmanager
async def parts_held(client: AsyncClient, table: str, *, replicated: bool = False) -> AsyncIterator[list[TablePart]]:
    """The active parts, to be read by name within the block.

    Raises ``PartsChangedError`` at its end where one is gone: its rows may not have been read.
    """
    async with merges_stopped(client, table, replicated=replicated):
        parts = await parts_of(client, table)
        yield parts
        if gone := {part.name for part in parts} - {part.name for part in await parts_of(client, table)}:
            raise PartsChangedError(f"{table} changed while it was read ({min(gone)} is gone): run the command again")


async def tried(read: Callable[[], Awaitable[T]]) -> T:
    """Reads again where parts changed meanwhile, up to ``TRIES`` times in all."""
    for _ in range(TRIES - 1):
        with suppress(PartsChangedError):
            return await read()
    return await read()


async def wait_for_merges(client: AsyncClient, table: str) -> None:
    """Returns when no merge runs any more: ``SYSTEM STOP MERGES`` does not wait for one that is nearly done."""
    looks, deadline = Backoff(LOOK_S, LONGEST_LOOK_S), time.monotonic() + END_S
    while (await client.query(_UNDER_WAY, _place(client, table))).result_rows[0][0]:
        if time.monotonic() > deadline:
            raise CannotStart(f"merges of {table} do not end: see system.merges, and run it again")
        await looks.pause()


def _place(client: AsyncClient, table: str) -> dict[str, str]:
    database, _, name = table.rpartition(".")
    return {"database": database or str(client.database), "table": name}
