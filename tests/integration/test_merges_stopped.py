"""Rows are read part by part while others are inserted and merged: a table's parts stay, and no row is passed over."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.backup.tables import copy_in, copy_out
from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import writing
from sinks.maintenance.layout import Feed
from sinks.maintenance.merges import parts_of, stopped
from sinks.maintenance.migrate import migrate
from sinks.maintenance.restore import derive
from tests.support.waiting import eventually

pytestmark = pytest.mark.clickhouse

ROWS = 3_000
FEED = Feed(name="none", target="target", source="source", columns="id, text")


@pytest_asyncio.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    await migrate(settings)
    async with await writing(settings) as client:
        for table in ("source", "target"):
            columns = "(id UInt64, text String)"
            await client.command(f"CREATE TABLE {table} {columns} ENGINE = ReplacingMergeTree ORDER BY id")
        yield client


async def _insert(client: AsyncClient, first: int = 0) -> None:
    select = f"SELECT {first} + number, randomString(40) FROM numbers({ROWS})"
    await client.command(f"INSERT INTO source {select}")


@asynccontextmanager
async def meanwhile(settings: Settings, work: Callable[[AsyncClient, int], Awaitable[None]]) -> AsyncIterator[None]:
    """Within the block the work is done by another client, again and again, by numbers from 1 on."""

    async def run() -> None:
        async with await writing(settings) as other:
            for n in itertools.count(1):
                await work(other, n)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        assert not task.done() or task.result() is None
        task.cancel()


async def other_rows(client: AsyncClient, n: int) -> None:
    """Many of them, and so merges begin."""
    select = f"SELECT 1000000 + rand64() % 500000, randomString(40) FROM numbers({ROWS + n % 2})"
    await client.command(f"INSERT INTO source {select}")


async def test_parts_stay_once_merges_are_stopped(settings: Settings, client: AsyncClient) -> None:
    async with meanwhile(settings, other_rows):
        for n in range(60):
            await asyncio.sleep(0.02 + n % 7 / 100)  # between a merge's beginning and its end
            async with stopped(client, "source"):
                before = {part.name for part in await parts_of(client, "source")}
                await asyncio.sleep(0.05)
                assert before <= {part.name for part in await parts_of(client, "source")}
                database = f"{client.database}.source"
                assert before <= {part.name for part in await parts_of(client, database)}
        await eventually(lambda: _merged(client), "merges go on afterwards", within_s=30)


async def _merged(client: AsyncClient) -> bool:
    return any(not part.name.endswith("_0") for part in await parts_of(client, "source"))


async def test_a_table_made_of_another_lacks_no_row(settings: Settings, client: AsyncClient) -> None:
    await client.command("SYSTEM STOP MERGES source")
    for n in range(40):
        await _insert(client, n * ROWS)
    await client.command("SYSTEM START MERGES source")
    async with meanwhile(settings, other_rows):
        await derive(client, FEED)
    missing = "SELECT count() FROM numbers({rows:UInt64}) WHERE number NOT IN (SELECT id FROM target)"
    assert (await client.query(missing, {"rows": 40 * ROWS})).result_rows == [(0,)]


async def _copy_often(client: AsyncClient, folder: Path) -> None:
    for _ in range(100):
        await copy_out(client, "source", folder, replicated=False)


async def test_a_copy_begins_anew_where_parts_vanish(settings: Settings, client: AsyncClient, tmp_path: Path) -> None:
    """Another process starts merges again, as the stack does whose disk has room once more."""

    async def start_merges(other: AsyncClient, n: int) -> None:
        await _insert(other)
        await other.command("SYSTEM START MERGES source")
        with suppress(DatabaseError):  # "cancelled merging parts", as they were stopped
            await other.command("OPTIMIZE TABLE source FINAL")

    async with meanwhile(settings, start_merges):
        with pytest.raises(CannotStart, match="source changed while it was copied"):
            await _copy_often(client, tmp_path / "during")
        assert not [*(tmp_path / "during").rglob("*.zst")]
    await _insert(client)
    copy = await copy_out(client, "source", tmp_path / "after", replicated=False)
    assert await copy_in(client, tmp_path / "after", {"target": copy}) >= ROWS
    assert (await client.query("SELECT uniq(id) FROM target")).result_rows == [(ROWS,)]
