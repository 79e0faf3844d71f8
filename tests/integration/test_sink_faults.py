"""The ClickHouse sink, and what it leans on, killed or cut off: nothing is missing, and nothing is there twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.provision import provision
from schemas import topics
from schemas.records import codec
from schemas.records.records import Event
from schemas.settings import Settings
from tests.support.builders import cid, event
from tests.support.forms import Form
from tests.support.services import clickhouse_front, free_port, front_url
from tests.support.sink_pipeline import Pipeline, change, pipeline, process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


def numbered(number: int, **more: Any) -> Event:
    return event("external_id:u1", event_id=f"evt_{number}", origin_offset=number, **more)


async def physical(pipe: Pipeline) -> int:
    """Rows, also those that a merge would collapse."""
    return int((await pipe.rows("SELECT count() FROM events"))[0][0])


async def test_killed_between_insert_and_commit(settings: Settings, form: Form) -> None:
    """Each time: the row can be read, the offset is not committed yet, and the process is gone."""
    uncommitted, sent = 0, 0
    kills = form.number("kills of the sink between insert and commit", short=2, full=5)
    async with pipeline(settings) as pipe:
        await pipe.run("SYSTEM STOP MERGES events")
        for _ in range(kills):
            async with process(settings, "clickhouse") as sink:
                for _ in range(2):
                    offset = await pipe.resolved([numbered(sent), numbered(sent + 1)])
                    sent += 2
                    await eventually(partial(physical_is, pipe, sent), f"{sent} rows")
                sink.kill()
                sink.wait()
            uncommitted += await pipe.committed(topics.RESOLVED) <= offset
        async with process(settings, "clickhouse"):
            await pipe.resolved([numbered(sent)])
            await eventually(lambda: pipe.rows(f"SELECT 1 FROM events WHERE event_id = 'evt_{sent}'"), "the last row")
        rows = await pipe.rows("SELECT count(), uniqExact(event_id) FROM events")
    assert rows == [(sent + 1, sent + 1)]
    assert uncommitted, "no kill fell between insert and commit"


async def physical_is(pipe: Pipeline, count: int) -> bool:
    return await physical(pipe) >= count


async def test_killed_while_a_backlog_is_stored(settings: Settings) -> None:
    """Wherever the kills fall, in all four tables."""
    smaller = settings.model_copy(update={"block_rows": 200})
    contact = cid("external_id:u1")
    async with pipeline(smaller) as pipe:
        for table in ("events", "membership_changes"):
            await pipe.run(f"SYSTEM STOP MERGES {table}")
        for n in range(60):
            await pipe.resolved([numbered(n * 50 + i, origin_partition=n % 4) for i in range(50)], partition=n % 4)
            await pipe.changes(
                *(
                    change(
                        contact,
                        "membership",
                        n * 50 + i,
                        segment_id="seg_1",
                        member=i % 2 == 0,
                        segment_version=1,
                        reason="r",
                    )
                    for i in range(50)
                ),
                change(contact, "profile", n + 1),
            )
        for goal in (200, 900, 1800):
            async with process(smaller, "clickhouse") as sink:
                await eventually(partial(physical_is, pipe, goal), f"{goal} rows")
                sink.kill()
                sink.wait()
        async with process(smaller, "clickhouse"):
            await eventually(lambda: physical_is(pipe, 3000), "all events")
            last = "SELECT 1 FROM {} FINAL WHERE version = {}"
            await eventually(lambda: pipe.rows(last.format("contact_memberships", 2999)), "all memberships")
            await eventually(lambda: pipe.rows(last.format("contacts", 60)), "all contacts")
        events = await pipe.rows("SELECT count(), uniqExact(event_id) FROM events")
        changes = await pipe.rows("SELECT uniqExact(version) FROM membership_changes")
        members = await pipe.rows("SELECT member, version FROM memberships FINAL")
    assert events == [(3000, 3000)]
    assert changes == [(3000,)]
    assert members == [(0, 2999)]


async def test_clickhouse_away_and_back(settings: Settings, tmp_path: Path) -> None:
    """The sink holds what it has, commits nothing, and stores it when ClickHouse is there again."""
    port = free_port()
    own = settings.model_copy(update={"clickhouse_url": front_url(port)})
    with clickhouse_front(tmp_path / "ch", port) as front:
        async with pipeline(own) as pipe, process(own, "clickhouse") as sink:
            await pipe.resolved([numbered(0)])
            await eventually(lambda: physical_is(pipe, 1), "a row")
            await eventually(lambda: committed_is(pipe, 1), "a commit")
            front.kill()
            front.wait()
            for n in range(1, 20):
                await pipe.resolved([numbered(n)])
            log = own.home / "clickhouse.log"
            await eventually(lambda: said(log, "retrying"), "the sink waiting")
            held = await pipe.committed(topics.RESOLVED)
            with clickhouse_front(tmp_path / "ch", port):
                await eventually(lambda: physical_is(pipe, 20), "all rows")
                await eventually(lambda: committed_is(pipe, 20), "the commit")
                rows = await pipe.rows("SELECT count(), uniqExact(event_id) FROM events")
            assert sink.poll() is None
    assert held == 1
    assert rows == [(20, 20)]


async def committed_is(pipe: Pipeline, offset: int) -> bool:
    return await pipe.committed(topics.RESOLVED) >= offset


async def said(log: Path, words: str) -> bool:
    return words in log.read_text()


@asynccontextmanager
async def answers_lost(url: str, times: int) -> AsyncIterator[tuple[str, list[int]]]:
    """The address of a way to ClickHouse on which the answers to the first inserts of events are lost."""
    target = urlsplit(url)
    lost: list[int] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        cut = False

        async def there() -> None:
            nonlocal cut
            while data := await reader.read(65536):
                cut = cut or (b"INSERT INTO `events`" in data and len(lost) < times)
                far_writer.write(data)
                await far_writer.drain()
            far_writer.close()

        async def back() -> None:
            while data := await far_reader.read(65536):
                if cut:
                    lost.append(1)
                    break
                writer.write(data)
                await writer.drain()
            writer.close()

        await asyncio.gather(there(), back(), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        user = f"{target.username}:{target.password}@" if target.username else ""
        yield f"http://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}", lost
    finally:
        server.close()


async def test_an_insert_whose_answer_is_lost_is_there_once(settings: Settings) -> None:
    async with pipeline(settings) as pipe, answers_lost(settings.clickhouse, times=3) as (url, lost):
        await pipe.run("SYSTEM STOP MERGES events")
        async with process(settings.model_copy(update={"clickhouse_url": url}), "clickhouse"):
            await pipe.resolved([numbered(0), numbered(1)])
            await eventually(lambda: committed_is(pipe, 1), "the commit")
        rows = await pipe.rows("SELECT count() FROM events")
        distinct = await pipe.rows("SELECT count() FROM events FINAL")
    assert lost
    assert distinct == [(2,)]
    # the driver sends a block again by itself when a connection closes; what we do not send again is not there twice
    assert rows[0][0] <= 2 * 3


async def test_poison_goes_to_quarantine_and_its_neighbours_are_stored(settings: Settings) -> None:
    """Bytes that are no record, a schema that nobody knows, a row that the table refuses, one the driver refuses."""
    contact = cid("external_id:u1")
    async with pipeline(settings) as pipe:
        await pipe.run("ALTER TABLE events ADD CONSTRAINT no_poison CHECK type != 'poison'")
        async with process(settings, "clickhouse") as sink:
            await pipe.resolved([numbered(0), numbered(1, type="poison", reply_to="edge_1"), numbered(2)])
            await pipe.raw(topics.RESOLVED, b"\x00\xff not a record")
            await pipe.raw(topics.RESOLVED, codec.MARKER + b"12345678" + b"datum")
            await pipe.changes(
                change(contact, "profile", 1),
                change(contact, "profile", -1),
                change(contact, "profile", 2, profile=b"[1]"),
                change(contact, "surprise", 3),
                change(contact, "profile", 4),
            )
            await pipe.resolved([numbered(3)])
            await eventually(lambda: pipe.rows("SELECT 1 FROM quarantine HAVING count() = 6"), "six in quarantine")
            await eventually(lambda: physical_is(pipe, 3), "the neighbours")
            await eventually(lambda: pipe.rows("SELECT 1 FROM contacts WHERE version = 4"), "the last contact")
            assert sink.poll() is None
        rows = await pipe.rows("SELECT topic, `offset`, `index`, event_id, reason FROM quarantine ORDER BY ALL")
        events = await pipe.rows("SELECT event_id FROM events ORDER BY event_id")
        (payload,) = await pipe.rows("SELECT hex(payload) FROM quarantine WHERE event_id = 'evt_1'")
        versions = await pipe.rows("SELECT version FROM contacts FINAL")
    resolved, changes = topics.RESOLVED.name, topics.CHANGES.name
    assert rows == [
        (changes, 0, 1, "", "unstorable"),
        (changes, 0, 2, "", "unstorable"),
        (changes, 0, 3, "", "unstorable"),
        (resolved, 0, 1, "evt_1", "unstorable"),
        (resolved, 1, -1, "", "undecodable"),
        (resolved, 2, -1, "", "undecodable"),
    ]
    assert events == [("evt_0",), ("evt_2",), ("evt_3",)]
    assert versions == [(4,)]
    assert [e["event_id"] for e in codec.decode_events(bytes.fromhex(payload[0]))] == ["evt_1"], "replayable alone"


async def test_a_flood_of_records_of_a_newer_schema_stops_the_sink(settings: Settings) -> None:
    async with pipeline(settings) as pipe:
        for _ in range(130):
            await pipe.raw(topics.RESOLVED, b"\xc3\x01newschemapoison")
        async with process(settings, "clickhouse") as sink:
            status = await eventually(lambda: ended(sink), "the end of the sink")
        text = (settings.home / "clickhouse.log").read_text()
    assert status > 0
    assert "TooManyRefusedError" in text


async def ended(process: object) -> int | None:
    return process.poll()  # type: ignore[attr-defined,no-any-return]


async def test_a_second_sink_comes_and_goes(settings: Settings) -> None:
    """Partitions move while records come; each row is there, once."""
    quick = settings.model_copy(update={"session_timeout_s": 6.0})
    second = quick.model_copy(update={"worker": 1})
    async with pipeline(quick) as pipe:
        await pipe.run("SYSTEM STOP MERGES events")
        sent = 0
        stop = asyncio.Event()

        async def feed() -> None:
            nonlocal sent
            while not stop.is_set():
                await pipe.resolved([numbered(sent, origin_partition=sent % 4)], partition=sent % 4)
                sent += 1
                await asyncio.sleep(0.005)

        async with process(quick, "clickhouse"):
            feeding = asyncio.create_task(feed())
            async with process(second, "clickhouse"):
                await eventually(lambda: physical_is(pipe, 300), "rows from both")
            await eventually(partial(physical_is, pipe, sent + 200), "rows from the first alone", within_s=60)
            stop.set()
            await feeding
            await eventually(lambda: physical_is(pipe, sent), "all rows")
        rows = await pipe.rows("SELECT count(), uniqExact(event_id) FROM events")
    assert rows == [(sent, sent)]


async def test_a_topic_that_was_made_again_is_stored_from_its_beginning(settings: Settings) -> None:
    """The tables know its offsets already, from records that are no more; what stands there now is new."""
    name = topics.name(topics.RESOLVED, settings)
    async with pipeline(settings) as pipe:
        async with process(settings, "clickhouse"):
            await pipe.resolved([numbered(n) for n in range(3)])
            await pipe.resolved([numbered(3)])
            await eventually(partial(physical_is, pipe, 4), "rows")
            await eventually(partial(committed_is, pipe, 2), "the commit")
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
        await admin.start()
        await admin.delete_topics([name])
        await eventually(partial(is_gone, admin, name), "the topic's end")
        await admin.close()
        await provision(settings)
        async with process(settings, "clickhouse"):
            await pipe.resolved([event("external_id:u1", event_id="evt_new", origin_offset=0)])
            await eventually(lambda: pipe.rows("SELECT 1 FROM events WHERE event_id = 'evt_new'"), "the new row")
        async with process(settings, "clickhouse"):
            await pipe.resolved([event("external_id:u1", event_id="evt_newer", origin_offset=1)])
            await eventually(lambda: pipe.rows("SELECT 1 FROM events WHERE event_id = 'evt_newer'"), "the newer row")
        rows = await pipe.rows("SELECT count(), uniqExact(event_id) FROM events FINAL")
    assert rows == [(6, 6)]


async def is_gone(admin: AIOKafkaAdminClient, name: str) -> bool:
    return name not in await admin.list_topics()
