"""Events that share an id, in the tables of a real engine: which rows collapse, before and after the upgrade."""

from collections.abc import AsyncIterator
from typing import Any

import clickhouse_connect
import pytest
import pytest_asyncio

from schemas.records.records import Event
from schemas.records.sameness import AGAIN, CHANGED, event_key
from schemas.settings import Settings
from sinks.clickhouse.consent_rows import CONSENT_CHANGES
from sinks.clickhouse.rows import DUPLICATES, EVENTS, Item, Table
from sinks.clickhouse.writer import Writer
from sinks.maintenance.migrate import migrate, migrations
from tests.support.builders import cid, event
from tests.support.sink_pipeline import change

pytestmark = pytest.mark.clickhouse

UPGRADE = "0013_sameness.sql"


class Tables:
    def __init__(self, writer: Writer, client: Any) -> None:
        self.writer = writer
        self._client = client

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in (await self._client.query(sql)).result_rows]

    async def run(self, sql: str) -> None:
        await self._client.command(sql)

    async def store(self, table: Table, *data: Any, first: int = 0) -> None:
        await self.writer.prepare(table)
        for n, datum in enumerate(data):  # a part for each
            await self.writer.insert(table, "t", [Item(0, first + n, 0, datum)])


@pytest_asyncio.fixture
async def tables(settings: Settings) -> AsyncIterator[Tables]:
    await migrate(settings, [migration for migration in migrations() if migration.name < UPGRADE])
    writer = Writer(settings)
    await writer.start()
    client = await clickhouse_connect.get_async_client(
        dsn=settings.clickhouse, database=settings.clickhouse_database, autogenerate_session_id=False
    )
    yield Tables(writer, client)
    await client.close()
    await writer.stop()


def placed(offset: int, *identifiers: str, **more: Any) -> Event:
    place: dict[str, Any] = {"origin_partition": 0, "origin_offset": offset, "origin_index": 0}
    return event(*(identifiers or ("external_id:a",)), event_id="3001", **place, **more)


async def test_rows_that_only_share_an_id_stay_and_copies_collapse(tables: Tables, settings: Settings) -> None:
    await migrate(settings)
    events = [placed(0), placed(1, type="invoice"), placed(2, "external_id:b"), placed(3), placed(4, "external_id:b")]
    await tables.store(EVENTS, *events)
    expected = sorted((e["type"], cid(f"external_id:{who}")) for e, who in zip(events[:3], "aab", strict=True))
    sql = "SELECT type, own_contact_id FROM {} ORDER BY type, own_contact_id"
    assert await tables.rows(sql.format("events_resolved")) == expected
    await tables.run("OPTIMIZE TABLE events FINAL")
    assert await tables.rows(sql.format("events")) == expected
    existing = {key for _, _, _, key in await tables.writer.recent_ids("t", 10, 100)}
    assert existing == {event_key(event) for event in events}


async def test_rows_from_before_the_upgrade_stay_and_collapse_as_they_did(tables: Tables, settings: Settings) -> None:
    """Also where the upgrade was cut off before it was recorded and came again."""
    columns = "workspace, environment, event_id, contact_id, type, received_at, _offset"
    for offset, kind in enumerate(("order", "order", "invoice")):
        await tables.run(
            f"INSERT INTO events ({columns}) VALUES ('local', 'production', 'old', 'c', '{kind}', 1, {offset})"
        )
    (upgrade,) = (migration for migration in migrations() if migration.name == UPGRADE)
    for statement in upgrade.statements(settings.clickhouse_database):
        await tables.run(statement)
    await migrate(settings)
    count = "SELECT type, count() FROM events FINAL GROUP BY type ORDER BY type"
    assert await tables.rows(count) == [("invoice", 1), ("order", 1)]
    await tables.run("OPTIMIZE TABLE events FINAL")
    assert await tables.rows(count) == [("invoice", 1), ("order", 1)]
    (key,) = await tables.rows(
        "SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = 'events'"
    )
    assert key == ("workspace, environment, campaign_id, type, event_id, _sender",)


async def test_every_copy_is_a_duplicate_of_its_sender(tables: Tables, settings: Settings) -> None:
    await migrate(settings)
    copies = [placed(1, repeat=AGAIN), placed(2, repeat=CHANGED), placed(3, "external_id:b", repeat=AGAIN)]
    await tables.store(DUPLICATES, *copies, *copies)
    rows = await tables.rows(
        "SELECT type, own_contact_id, event_id_conflict FROM duplicates FINAL ORDER BY _origin_offset"
    )
    a, b = cid("external_id:a"), cid("external_id:b")
    assert rows == [("page_view", a, 0), ("page_view", a, 1), ("page_view", b, 0)]


async def test_two_events_of_one_id_are_two_consents(tables: Tables, settings: Settings) -> None:
    await migrate(settings)
    contents = [
        change(
            "cnt_1", "consent", n, event_id="3001", profile=b'{"consent":"email","value":%s,"key":"%s"}' % (value, key)
        )
        for n, (value, key) in enumerate(((b"true", b"k1"), (b"false", b"k2"), (b"false", b"k2")))
    ]
    await tables.store(CONSENT_CHANGES, *contents)
    states = await tables.rows("SELECT state FROM consent_changes FINAL ORDER BY state")
    assert states == [("given",), ("withdrawn",)]
