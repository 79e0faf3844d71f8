"""Erasure on a real engine: of every table that can name a contact its rows go, and nobody else's."""

import time
from collections.abc import AsyncIterator
from typing import Any

import clickhouse_connect
import orjson
import pytest
import pytest_asyncio

from schemas import topics
from schemas.control import control_state
from schemas.control.definitions import Erasure
from schemas.records import codec
from schemas.settings import Settings
from sinks.maintenance.erase import CONDITIONS, erase
from sinks.maintenance.migrate import migrate
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event, link
from tests.support.sink_pipeline import change, pipeline, process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

GONE, OTHER = "cnt_gone", "cnt_other"
IDS = ("contact_id", "own_contact_id", "loser", "winner", "a_id", "b_id")
TIMES = ("received_at", "created_at", "at")
NAMELESS = {
    *("_migrations", "squashes", "accepted", "event_outcomes", "quarantine_outcomes"),
    *("segments", "campaigns", "webhooks", "removals", "event_types", "typed_columns"),
}
"""Tables that know of no contact."""


@pytest_asyncio.fixture
async def client(settings: Settings) -> AsyncIterator[Any]:
    await migrate(settings)
    client = await clickhouse_connect.get_async_client(
        dsn=settings.clickhouse, database=settings.clickhouse_database, autogenerate_session_id=False
    )
    yield client
    await client.close()


async def columns(client: Any) -> dict[str, set[str]]:
    rows = await client.query(
        "SELECT table, groupArray(name) FROM system.columns WHERE database = currentDatabase() AND table IN"
        " (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')"
        " GROUP BY table"
    )
    return {table: set(names) for table, names in rows.result_rows}


async def test_every_table_that_can_name_a_contact_knows_of_erasure(client: Any) -> None:
    """A new table needs its line in ``CONDITIONS``."""
    assert (await columns(client)).keys() - NAMELESS == {table for table, _ in CONDITIONS}


async def test_rows_of_the_contact_until_then_go_and_no_others(client: Any) -> None:
    tables = await columns(client)
    now_ms = time.time_ns() // 1_000_000  # quarantine keeps nothing that is old
    moments = {"old": now_ms - 1, "new": now_ms + 10_000}
    for table in sorted(tables.keys() - NAMELESS):
        names = tables[table]
        ids = [name for name in IDS if name in names]
        for who in (GONE, OTHER):
            for label, at_ms in moments.items():
                values = dict.fromkeys(ids, f"'{who}'") | {
                    name: f"fromUnixTimestamp64Milli({at_ms})" for name in TIMES if name in names
                }
                values |= {"workspace": f"'{WORKSPACE}'", "event_id": f"'evt_{who}_{label}'"}
                values |= {"environment": f"'{ENVIRONMENT}'", "payload": f"'x{who}y'", "`offset`": str(at_ms)}
                values |= {"version": str(at_ms), "_topic": f"'t_{who}_{label}'", "segment_id": f"'{who}{label}'"}
                values |= {"attempt_id": f"'{who}{label}'", "type": "'x'"}
                kept = {name: value for name, value in values.items() if name.strip("`") in names}
                select = ", ".join(kept.values())
                await client.command(f"INSERT INTO {table} ({', '.join(kept)}) SELECT {select}")
    erasure = Erasure(
        id="ers_1",
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        created_ms=now_ms,
        contacts=(GONE,),
        erased_ms=now_ms,
    )
    for _ in range(2):
        await erase([client], erasure, now_ms + 1000)
        for table in sorted(tables.keys() - NAMELESS):
            left = {row[0] for row in (await client.query(f"SELECT DISTINCT _topic FROM {table}")).result_rows}
            assert f"t_{GONE}_old" not in left, table
            assert left >= {f"t_{who}_new" for who in (GONE, OTHER)}, table


async def test_what_is_read_again_of_the_erased_is_passed_over(settings: Settings) -> None:
    """All of it stands in Kafka and nothing in the tables: as after a reset of the group."""
    gone, other = cid("external_id:u1"), cid("external_id:u2")
    erasure = Erasure(
        id="ers_1", workspace=WORKSPACE, environment=ENVIRONMENT, created_ms=NOW_MS, contacts=(gone,), erased_ms=NOW_MS
    )
    async with pipeline(settings) as pipe:
        for nth, name in enumerate(("external_id:u1", "external_id:u2")):
            await pipe.resolved([event(name, event_id=f"evt_{nth}", origin_offset=nth)])
            await pipe.raw(topics.LINKS, codec.encode_links([link(name, name)]))
        profile = orjson.dumps({"created_ms": NOW_MS, "updated_ms": NOW_MS})
        await pipe.changes(*(change(who, "profile", 1, profile=profile) for who in (gone, other)))
        key, value = control_state.encode("erasure", erasure)
        await pipe.raw(topics.CONTROL, value, key=key)
        later = event("external_id:u1", event_id="evt_9", received_ms=NOW_MS + 1, origin_offset=9)
        async with process(settings, "clickhouse"):
            await pipe.resolved([later])
            await eventually(lambda: pipe.rows("SELECT 1 FROM events WHERE event_id = 'evt_9'"), "what came after it")
            await eventually(lambda: pipe.rows("SELECT 1 FROM contacts"), "the neighbour's contact")
            await eventually(lambda: pipe.rows("SELECT 1 FROM links"), "the neighbour's link")
        assert await pipe.rows("SELECT event_id FROM events ORDER BY event_id") == [("evt_1",), ("evt_9",)]
        assert await pipe.rows("SELECT contact_id FROM contacts") == [(other,)]
        assert await pipe.rows("SELECT a_id FROM links") == [(other,)]
