"""The database is killed at the moment of an insert, at each of many moments of it: nothing is lost, nothing doubled.

The sink reaches the database by way of a relay, which sees an insert arrive, lets it through, and kills the
database's process so many milliseconds later.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from schemas.settings import Settings
from tests.support.builders import cid, event
from tests.support.forms import Form
from tests.support.services import clickhouse_front, free_port, front_url
from tests.support.sink_pipeline import Pipeline, change, pipeline, process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.kafka]

AFTER_MS = (0, 8, 30, 2, 4, 15)
"""An insert of such a block takes 10 to 30 ms here."""
TABLES = ("events", "membership_changes", "contacts")
BLOCK = 40
SEGMENT = {"segment_id": "seg_1", "segment_version": 1, "reason": "r"}


class Nemesis:
    """Kills a process after the next insert into a table."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._insert, self._after_s = b"", 0.0
        self._victim: subprocess.Popen[bytes] | None = None
        self.struck = asyncio.Event()

    def aim(self, table: str, after_ms: int, victim: "subprocess.Popen[bytes]") -> None:
        self._insert, self._after_s, self._victim = f"INSERT INTO `{table}`".encode(), after_ms / 1000, victim
        self.struck.clear()

    async def saw(self, data: bytes) -> None:
        """Called with what goes to the database, after it went."""
        if self._victim is not None and self._insert in data:
            victim, self._victim = self._victim, None
            await asyncio.sleep(self._after_s)
            victim.kill()
            victim.wait()
            self.struck.set()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            self._pass(reader, far_writer, self.saw), self._pass(far_reader, writer), return_exceptions=True
        )

    @staticmethod
    async def _pass(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, saw: Callable[[bytes], object] | None = None
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 20):
                writer.write(data)
                await writer.drain()
                if saw is not None:
                    await saw(data)  # type: ignore[misc]  # a coroutine
        writer.close()


@asynccontextmanager
async def relayed(nemesis: Nemesis) -> AsyncIterator[str]:
    server = await asyncio.start_server(nemesis.relay, "127.0.0.1", 0)
    try:
        yield front_url(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def send(pipe: Pipeline, nth: int) -> None:
    """One block for each table; its contacts are nobody else's."""
    who = [f"external_id:u{nth}-{i}" for i in range(BLOCK)]
    await pipe.resolved(
        [event(person, event_id=f"evt_{nth}_{i}", origin_offset=nth * BLOCK + i) for i, person in enumerate(who)]
    )
    await pipe.changes(
        *(change(cid(person), "profile", nth + 1) for person in who),
        *(change(cid(person), "membership", nth + 1, member=True, **SEGMENT) for person in who),
    )


async def has(pipe: Pipeline, count: int) -> bool:
    for table in (*TABLES, "memberships", "contact_memberships"):
        if (await pipe.rows(f"SELECT count() FROM {table} FINAL"))[0][0] < count:
            return False
    return True


@pytest.mark.timeout(300)
async def test_a_database_killed_inside_an_insert_loses_and_doubles_nothing(
    settings: Settings, tmp_path: Path, form: Form, say: Callable[[str], None]
) -> None:
    kills = form.number("moments of an insert at which the database is killed", short=len(TABLES), full=len(AFTER_MS))
    port = free_port()
    nemesis = Nemesis(port)
    own = settings.model_copy(update={"clickhouse_url": front_url(port)})
    async with AsyncExitStack() as running:
        front = clickhouse_front(tmp_path / "ch", port)
        database = await asyncio.to_thread(front.__enter__)
        pipe = await running.enter_async_context(pipeline(own))
        url = await running.enter_async_context(relayed(nemesis))
        sink = await running.enter_async_context(process(own.model_copy(update={"clickhouse_url": url}), "clickhouse"))
        await send(pipe, 0)
        await eventually(partial(has, pipe, BLOCK), "the first block")
        for nth, after_ms in enumerate(AFTER_MS[:kills], 1):
            nemesis.aim(TABLES[nth % len(TABLES)], after_ms, database)
            await send(pipe, nth)
            async with asyncio.timeout(30):
                await nemesis.struck.wait()
            await asyncio.to_thread(front.__exit__, None, None, None)
            front = clickhouse_front(tmp_path / "ch", port)
            database = await asyncio.to_thread(front.__enter__)
        running.callback(front.__exit__, None, None, None)
        count = BLOCK * (kills + 1)
        await eventually(partial(has, pipe, count), "all blocks", 60)
        assert sink.poll() is None
        for table, key in (
            ("events", "event_id"),
            ("contacts", "contact_id"),
            ("membership_changes", "contact_id"),
            ("memberships", "contact_id"),
            ("contact_memberships", "contact_id"),
        ):
            assert await pipe.rows(f"SELECT count(), uniqExact({key}) FROM {table} FINAL") == [(count, count)], table
        physical = (await pipe.rows("SELECT count() FROM events"))[0][0]
        say(f"kill at insert: {kills} kills, {physical - count} rows of events beside their first")
