"""Rows are read part by part while others are inserted and merged: a table's parts stay, and no row is passed over."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.backup.tables import copy_in, copy_out
from deploy.local.stack import environment
from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import writing
from sinks.maintenance.layout import Feed
from sinks.maintenance.merges import merges_stopped, parts_of
from sinks.maintenance.migrate import migrate
from sinks.maintenance.restore import derive
from tests.support.services import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.clickhouse

ROWS = 3_000
HOLDS = """
import asyncio
from schemas.service.process import read_settings, run_to_end
from sinks.clickhouse.connect import writing
from sinks.maintenance.merges import merges_stopped

async def hold():
    async with await writing(read_settings()) as client, merges_stopped(client, "source"):
        print("held", flush=True)
        await asyncio.sleep(60)

run_to_end(hold())
"""
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
async def meanwhile(settings: Settings, work: Callable[[AsyncClient], Awaitable[None]]) -> AsyncIterator[None]:
    """Within the block the work is done by another client, again and again."""

    async def run() -> None:
        async with await writing(settings) as other:
            while True:
                await work(other)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def other_rows(client: AsyncClient) -> None:
    """Many of them, and so merges begin."""
    select = f"SELECT 1000000 + rand64() % 500000, randomString(40) FROM numbers({ROWS})"
    await client.command(f"INSERT INTO source {select}")


async def test_parts_stay_once_merges_are_stopped(settings: Settings, client: AsyncClient) -> None:
    async with meanwhile(settings, other_rows):
        for n in range(60):
            await asyncio.sleep(0.02 + n % 7 / 100)  # between a merge's beginning and its end
            async with merges_stopped(client, "source"):
                before = {part.name for part in await parts_of(client, "source")}
                await asyncio.sleep(0.05)
                assert before <= {part.name for part in await parts_of(client, "source")}
                database = f"{client.database}.source"
                assert before <= {part.name for part in await parts_of(client, database)}
        await eventually(lambda: _merged(client), "merges go on afterwards", within_s=30)


async def _merged(client: AsyncClient) -> bool:
    return any(not part.name.endswith("_0") for part in await parts_of(client, "source"))


async def test_a_table_made_of_another_lacks_no_row(settings: Settings, client: AsyncClient) -> None:
    await _fill(client)
    async with meanwhile(settings, other_rows):
        await derive(client, FEED)
    assert await _missing(client) == 0


async def test_a_table_is_read_again_where_another_process_starts_merges(
    settings: Settings, client: AsyncClient
) -> None:
    await _fill(client)

    async def end_a_hold() -> None:
        async with await writing(settings) as other:
            while not (await other.query("SELECT count() FROM target")).result_rows[0][0]:
                await asyncio.sleep(0.001)
            async with merges_stopped(other, "source"):
                pass
            await other.command("OPTIMIZE TABLE source FINAL")

    await asyncio.gather(derive(client, FEED), end_a_hold())
    assert await _missing(client) == 0


async def test_a_command_that_is_ended_lets_merges_go_on(settings: Settings, client: AsyncClient) -> None:
    await _insert(client)
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDS),
        cwd=ROOT,
        env={**os.environ, **environment(settings)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert command.stdout
    assert await command.stdout.readline() == b"held\n"
    with pytest.raises(DatabaseError):
        await client.command("OPTIMIZE TABLE source FINAL")
    command.terminate()
    assert await command.wait() == 128 + signal.SIGTERM
    await client.command("OPTIMIZE TABLE source FINAL")


async def _fill(client: AsyncClient) -> None:
    """In 40 parts."""
    await client.command("SYSTEM STOP MERGES source")
    for n in range(40):
        await _insert(client, n * ROWS)
    await client.command("SYSTEM START MERGES source")


async def _missing(client: AsyncClient) -> int:
    sql = "SELECT count() FROM numbers({rows:UInt64}) WHERE number NOT IN (SELECT id FROM target)"
    return int((await client.query(sql, {"rows": 40 * ROWS})).result_rows[0][0])


async def _copy_often(client: AsyncClient, folder: Path) -> None:
    for _ in range(100):
        await copy_out(client, "source", folder, replicated=False)


async def test_a_copy_begins_anew_where_parts_vanish(settings: Settings, client: AsyncClient, tmp_path: Path) -> None:
    """Another process starts merges again, as the stack does whose disk has room once more."""

    async def start_merges(other: AsyncClient) -> None:
        await _insert(other)
        await other.command("SYSTEM START MERGES source")
        with suppress(DatabaseError):  # "cancelled merging parts", as they were stopped
            await other.command("OPTIMIZE TABLE source FINAL")

    async with meanwhile(settings, start_merges):
        with pytest.raises(CannotStart, match="source changed while it was read"):
            await _copy_often(client, tmp_path)
    await _insert(client)
    copy = await copy_out(client, "source", tmp_path, replicated=False)
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.zst")} == {*copy.files}, "none of before"
    assert await copy_in(client, tmp_path, {"target": copy}) >= ROWS
    assert (await client.query("SELECT uniq(id) FROM target")).result_rows == [(ROWS,)]
