"""The tables and the view on a real engine: which of two rows stays, whose an event is, what a lookup finds."""

import time
from collections.abc import AsyncIterator
from typing import Any

import clickhouse_connect
import pytest
import pytest_asyncio
from clickhouse_connect.driver.exceptions import OperationalError

from schemas.settings import Settings
from sinks.clickhouse.dedupe import EventPosition
from sinks.clickhouse.rows import EVENTS, MEMBERSHIP_CHANGES, OVERRIDES, Item, Table
from sinks.clickhouse.streams import STREAMS
from sinks.clickhouse.writer import RowsRefusedError, Writer
from sinks.maintenance.layout import feeds
from sinks.maintenance.migrate import migrate
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, event, ident
from tests.support.sink_pipeline import change

pytestmark = pytest.mark.clickhouse

TOPIC = "resolved"


class Tables:
    def __init__(self, writer: Writer, client: Any) -> None:
        self.writer = writer
        self._client = client

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in (await self._client.query(sql)).result_rows]

    async def run(self, sql: str) -> None:
        await self._client.command(sql)

    async def store(self, *events: Any, first: int = 0) -> None:
        items = [Item(0, first + n, 0, datum) for n, datum in enumerate(events)]
        await self.writer.insert(EVENTS, TOPIC, items)


@pytest_asyncio.fixture
async def tables(settings: Settings) -> AsyncIterator[Tables]:
    await migrate(settings)
    writer = Writer(settings)
    await writer.start()
    client = await clickhouse_connect.get_async_client(
        dsn=settings.clickhouse, database=settings.clickhouse_database, autogenerate_session_id=False
    )
    for table in (EVENTS, MEMBERSHIP_CHANGES, OVERRIDES):
        await writer.prepare(table)
    yield Tables(writer, client)
    await client.close()
    await writer.stop()


def placed(event_id: str, origin: EventPosition = (0, 0, 0), **more: Any) -> Any:
    partition, offset, index = origin
    return event(
        "external_id:u1",
        event_id=event_id,
        **{"origin_partition": partition, "origin_offset": offset, "origin_index": index, **more},
    )


@pytest.mark.parametrize("order", [(5, 1, 9), (1, 5, 9), (9, 5, 1)])
async def test_of_two_rows_the_one_received_first_stays(tables: Tables, order: tuple[int, ...]) -> None:
    """Whichever was stored first, before the engine merges them and after."""
    for place, received in enumerate(order):
        sample = placed("evt_1", received_ms=NOW_MS + received, properties={"n": received})
        await tables.store(sample, first=place)
    before = await tables.rows("SELECT properties FROM events_resolved")
    await tables.run("OPTIMIZE TABLE events FINAL")
    after = await tables.rows("SELECT properties FROM events")
    assert before == after == [('{"n":1}',)]


async def test_rows_that_are_stored_again_are_one_in_every_table(tables: Tables) -> None:
    row = change("cnt_1", "membership", 1, segment_id="s", member=True, segment_version=1, reason="event", event_id="")
    for _ in range(2):
        await tables.store(placed("evt_1"), placed("evt_2"))
        await tables.writer.insert(MEMBERSHIP_CHANGES, "changes", [Item(0, 0, 0, row)])
    assert await tables.rows("SELECT count() FROM events FINAL") == [(2,)]
    for table in ("membership_changes", "memberships", "contact_memberships"):
        assert await tables.rows(f"SELECT count() FROM {table} FINAL") == [(1,)], table


async def test_of_a_cluster_the_sink_says_when_rows_were_stored(tables: Tables, settings: Settings) -> None:
    await tables.run("ALTER TABLE events MODIFY COLUMN _stored_at DEFAULT toDateTime64(0, 3)")
    await tables.store(placed("evt_1"))
    assert await tables.rows("SELECT toYear(_stored_at) FROM events") == [(1970,)], "a server's own time else"
    writer = Writer(settings.model_copy(update={"clickhouse_cluster": "c"}))
    await writer.start()
    try:
        await writer.prepare(EVENTS)
        before_ms = time.time_ns() // 1_000_000
        await writer.insert(EVENTS, TOPIC, [Item(0, n, 0, placed(f"evt_{n}")) for n in (2, 3)])
    finally:
        await writer.stop()
    ((stored_ms,),) = await tables.rows(
        "SELECT DISTINCT toUnixTimestamp64Milli(_stored_at) FROM events WHERE event_id != 'evt_1'"
    )
    assert before_ms <= stored_ms <= time.time_ns() // 1_000_000


class Killed(Writer):
    """A client whose server dies when an insert has been logged and its part is not in place, as often as told."""

    def __init__(self, settings: Settings, tables: "Tables", times: int) -> None:
        super().__init__(settings)
        self._tables = tables
        self.left = times

    async def _insert(self, table: Table, columns: list[list[Any]]) -> None:
        await super()._insert(table, columns)
        if self.left:
            self.left -= 1
            (newest,) = await self._tables.rows(
                "SELECT name FROM system.parts WHERE database = currentDatabase() AND active"
                f" AND table = '{table.name}' ORDER BY modification_time DESC, name DESC LIMIT 1"
            )
            await self._tables.run(f"ALTER TABLE {table.name} DROP PART '{newest[0]}'")
            raise OperationalError("Network Error: the server has gone")


@pytest.mark.parametrize("table", [EVENTS, MEMBERSHIP_CHANGES], ids=lambda table: table.name)
async def test_a_block_whose_part_is_gone_after_a_kill_is_stored(
    tables: Tables, settings: Settings, table: Table
) -> None:
    await tables.run(f"SYSTEM STOP MERGES {table.name}")
    killed = Killed(settings, tables, times=2)
    await killed.start()
    try:
        await killed.prepare(table)
        row = change("cnt_1", "membership", 1, segment_id="s", member=True, segment_version=1, reason="e", event_id="")
        data = [row] if table is MEMBERSHIP_CHANGES else [placed("evt_1"), placed("evt_2")]
        await killed.insert(table, "t", [Item(0, n, 0, datum) for n, datum in enumerate(data)])
    finally:
        await killed.stop()
    assert killed.left == 0
    assert await tables.rows(f"SELECT count() FROM {table.name}") == [(len(data),)]


class Answerless(Writer):
    """A client that stores what it is given and never hears so the first time."""

    heard = 0

    async def _insert(self, table: Table, columns: list[list[Any]]) -> None:
        await super()._insert(table, columns)
        self.heard += 1
        if self.heard == 1:
            raise OperationalError("Network Error: the answer is lost")


async def test_rows_that_are_there_after_an_error_are_not_sent_again(tables: Tables, settings: Settings) -> None:
    await tables.run("SYSTEM STOP MERGES events")
    writer = Answerless(settings)
    await writer.start()
    try:
        await writer.prepare(EVENTS)
        await writer.insert(EVENTS, TOPIC, [Item(p, 5, n, placed(f"evt_{p}_{n}")) for p in range(3) for n in range(2)])
    finally:
        await writer.stop()
    assert writer.heard == 1
    assert await tables.rows("SELECT count() FROM events") == [(6,)]


async def test_a_large_block_is_one_part(tables: Tables) -> None:
    """The driver sends it in several pieces; it is there whole or not at all."""
    await tables.run("SYSTEM STOP MERGES events")
    await tables.store(*(placed(f"evt_{n}", properties={"text": "x" * 500}) for n in range(20_000)))
    parts = await tables.rows(
        "SELECT count(), sum(rows) FROM system.parts WHERE database = currentDatabase() AND table = 'events' AND active"
    )
    assert parts == [(1, 20_000)]


async def test_the_view_shows_whose_an_event_is_today(tables: Tables) -> None:
    def merge(loser: str, winner: str, version: int) -> dict[str, Any]:
        return {
            "workspace": WORKSPACE,
            "environment": ENVIRONMENT,
            "loser": loser,
            "winner": winner,
            "version": version,
            "at_ms": NOW_MS,
            "event_id": "evt_m",
            "identifier": ident("anonymous_id:x"),
        }

    merges = [
        merge("cnt_a", "cnt_b", 1),
        merge("cnt_a", "cnt_c", 2),
        merge("cnt_d", "cnt_c", 1),
        merge("cnt_d", "cnt_d", 2),
    ]
    await tables.writer.insert(OVERRIDES, "merges", [Item(0, n, 0, m) for n, m in enumerate(merges)])

    def of(contact_id: str) -> dict[str, Any]:
        return {"contact_id": contact_id, "identifiers": [ident(f"id:{contact_id}")] if contact_id else []}

    await tables.store(*(placed(f"evt_{c}", **of(f"cnt_{c}")) for c in "abcd"), placed("evt_n", **of("")))
    await tables.store(placed("evt_e", environment="staging", **of("cnt_a")), first=10)
    results = dict(await tables.rows("SELECT event_id, contact_id FROM events_resolved"))
    assert results == {
        "evt_a": "cnt_c",
        "evt_b": "cnt_b",
        "evt_c": "cnt_c",
        "evt_d": "cnt_d",
        "evt_n": "",
        "evt_e": "cnt_a",
    }


async def test_the_tables_say_where_a_partition_goes_on(tables: Tables) -> None:
    items = [
        Item(p, o, i, placed(f"evt_{p}{o}{i}", (7, 10 * p + o, i))) for p, o, i in [(0, 1, 0), (0, 2, 1), (1, 9, 0)]
    ]
    await tables.writer.insert(EVENTS, TOPIC, items)
    assert await tables.writer.last_places("events", TOPIC, {0: 0, 1: 0, 2: 0}) == {0: (2, 1), 1: (9, 0)}
    assert await tables.writer.last_places("events", TOPIC, {0: 3, 1: 3}) == {1: (9, 0)}
    assert await tables.writer.last_places("events", "another", {0: 0}) == {}
    assert sorted(await tables.writer.highest_origins(TOPIC, {0: 0, 1: 0})) == [(0, (7, 2, 1)), (1, (7, 19, 0))]
    result = await tables.writer.stored_places([(7, 2, 1), (7, 3, 0), (6, 2, 1)])
    assert result == {(7, 2, 1): "evt_021"}
    recent = await tables.writer.recent_ids(TOPIC, minutes=5, limit=1)
    assert [row[:3] for row in recent] == [(p, WORKSPACE, ENVIRONMENT) for p in (0, 1)]


async def test_what_no_repetition_makes_better_is_refused(tables: Tables) -> None:
    """By the driver, whose number does not fit; by the table, whose rule it breaks."""
    await tables.run("ALTER TABLE events ADD CONSTRAINT no_poison CHECK type != 'poison'")
    with pytest.raises(RowsRefusedError, match="_origin_partition"):
        await tables.store(placed("evt_1", (2**40, 0, 0)))
    with pytest.raises(RowsRefusedError, match="no_poison"):
        await tables.store(placed("evt_1"), placed("evt_2", type="poison"))
    assert await tables.rows("SELECT count() FROM events") == [(0,)]


async def test_tables_of_the_sinks_blocks_are_merged_seldom(tables: Tables) -> None:
    """A block is small; merged by the default, a table is written again with every few of them."""
    filled = {table.name for stream in STREAMS for table in stream.tables} | {"accepted"}
    fed = {feed.target for feed in feeds()}
    seldom = await tables.rows(
        "SELECT name FROM system.tables"
        " WHERE database = currentDatabase() AND position(engine_full, 'merge_selector_base = 10') > 0"
    )
    assert {name for (name,) in seldom} == filled | fed
