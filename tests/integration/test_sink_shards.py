"""The sink's inserts into two shards, here two databases of one engine: each row on its shard, after crashes too."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from schemas import topics
from schemas.control.definitions import Erasure
from schemas.settings import Settings
from sinks.clickhouse.connect import connected
from sinks.clickhouse.resume import Bounds, resume
from sinks.clickhouse.rows import CONTACTS, EVENTS, Item
from sinks.clickhouse.streams import STREAMS
from sinks.clickhouse.writer import Writer
from sinks.maintenance.erase import erase
from sinks.maintenance.migrate import migrate
from sinks.shards.placement import shard_of
from sinks.shards.writer import ShardWriters
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid
from tests.support.sink_pipeline import change, placed, placed_items

pytestmark = pytest.mark.clickhouse

TOPIC = "resolved"
STREAM = next(stream for stream in STREAMS if stream.topic is topics.RESOLVED)


class Shards(ShardWriters):
    """Two shards, and the tests' queries of each."""

    async def rows(self, sql: str) -> list[list[Any]]:
        return [[row[0] for row in (await writer._client.query(sql)).result_rows] for writer in self._writers]


@pytest_asyncio.fixture
async def shards(settings: Settings) -> AsyncIterator[Shards]:
    names = [f"{settings.clickhouse_database}_{n}" for n in range(2)]
    hosts = [settings.model_copy(update={"clickhouse_database": name}) for name in names]
    for host in hosts:
        await migrate(host)
    shards = Shards(settings.model_copy(update={"clickhouse_shards": 2}))
    await shards.open([[host] for host in hosts])
    for table in (*STREAM.tables, CONTACTS):
        await shards.prepare(table)
    yield shards
    await shards.stop()


async def test_each_row_is_on_the_shard_of_its_sender_once(shards: Shards) -> None:
    for _ in range(2):  # a repeat, as after a lost answer
        await shards.insert(EVENTS, TOPIC, placed_items(0, 40))
    by_shard = await shards.rows("SELECT event_id FROM events FINAL")
    for shard, stored in enumerate(by_shard):
        assert sorted(stored) == sorted(f"e{n}" for n in range(40) if shard_of("events", placed(n), 2) == shard)
        assert len(stored) > 5
    places = [(0, n, 0) for n in range(40)]
    assert await shards.stored_places([*places, (0, 99, 0)]) == {(0, n, 0): f"e{n}" for n in range(40)}
    assert len(await shards.recent_ids(TOPIC, 10, 1000)) == 40


async def test_of_a_block_that_one_shard_has_the_other_gets_the_rest(shards: Shards) -> None:
    """A sink dies during the second of two inserts: no row comes twice, and none is lost."""
    await shards.insert(EVENTS, TOPIC, placed_items(0, 20))
    half = [item for item in placed_items(20, 40) if shards.lane_of("events", item.datum) == 1]
    await shards.insert(EVENTS, TOPIC, half)
    bounds = {0: Bounds(committed=0, first=0, end=40)}

    async def ends() -> dict[int, int]:
        return {0: 40}

    ((start, part),) = (await resume(STREAM, TOPIC, bounds, ends, shards)).values()
    assert start < 20, "as far as both have everything"
    work = await STREAM.sort(placed_items(start, 40), {0: part}, shards.stored_places)
    for group in work.inserts:
        for table, some in group.items():
            assert not {item.offset for item in some} & {item.offset for item in half}
            await shards.insert(table, TOPIC, some)
    stored = await shards.rows("SELECT event_id FROM events")
    assert sorted(stored[0] + stored[1]) == sorted(f"e{n}" for n in range(40))


async def test_an_erasure_goes_through_all_shards(shards: Shards) -> None:
    """Rows with the contact's identifiers on other shards are deleted too."""
    gone, others = "external_id:u1", [n for n in range(12) if n != 1]
    contact = cid(gone)
    own = shards.lane_of("contacts", change(contact, "profile", 1))
    profile = b'{"identifiers":[{"type":"external_id","value":"u1"}]}'
    await shards.insert(EVENTS, TOPIC, placed_items(0, 12))
    await shards.insert(CONTACTS, "changes", [Item(0, 0, 0, change(contact, "profile", 1, profile=profile))])
    erasure = Erasure(
        id="ers_1",
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        created_ms=NOW_MS,
        contacts=(contact,),
        erased_ms=NOW_MS + 1,
    )
    async with AsyncExitStack() as clients:
        opened = []
        for writer in shards._writers:
            client = await clients.enter_async_context(await connected(writer._settings))
            client.database = writer._settings.clickhouse_database
            opened.append(client)
        insert = partial(
            opened[1 - own].insert,
            "refused_links",
            column_names=["workspace", "environment", "contact_id", "type", "value", "at"],
        )
        await insert([[WORKSPACE, ENVIRONMENT, cid(f"email:{v}"), "external_id", v, NOW_MS] for v in ("u1", "u2")])
        await erase(opened, erasure, NOW_MS + 1)
    left = await shards.rows("SELECT event_id FROM events")
    assert sorted(left[0] + left[1]) == sorted(f"e{n}" for n in others)
    assert await shards.rows("SELECT contact_id FROM contacts") == [[], []]
    assert sorted(await shards.rows("SELECT value FROM refused_links")) == [[], ["u2"]]


async def test_a_shard_that_does_not_answer_is_named(shards: Shards) -> None:
    assert not shards.is_holding
    shards._writers[1]._waiting["insert into events"] = "refused"
    assert shards.is_holding
    with pytest.raises(Exception, match=r"shard 2: .*insert into events waits: refused"):
        await shards.check()
    assert isinstance(shards, Writer)
