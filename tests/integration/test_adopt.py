"""Another database of the same engine adopts a server's tables; the embedded engine cannot fill replicated ones."""

import re
from typing import Any

import pytest

from deploy.backup.adopt import adopt, attach
from deploy.backup.tables import tables_of
from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import writing
from sinks.clickhouse.rows import EVENTS, MEMBERSHIP_CHANGES, Item
from sinks.clickhouse.writer import Writer
from sinks.maintenance.migrate import migrate
from tests.support.builders import event
from tests.support.sink_pipeline import change

pytestmark = pytest.mark.clickhouse
PLACE: dict[str, Any] = {"origin_partition": 0, "origin_offset": 7, "origin_index": 0}


async def test_the_same_rows_and_places_are_in_the_new_tables(settings: Settings) -> None:
    newer = settings.model_copy(update={"clickhouse_database": f"{settings.clickhouse_database}_new"})
    member = change("cnt_1", "membership", 1, segment_id="s", member=True, segment_version=1, reason="e", event_id="")
    await migrate(settings)
    writer, texts = Writer(settings), list[str]()
    await writer.start()
    for table in (EVENTS, MEMBERSHIP_CHANGES):
        await writer.prepare(table)
    for n in range(3):  # parts that are not merged yet
        await writer.insert(EVENTS, "resolved", [Item(n, 7, 0, event("external_id:u1", event_id=f"e{n}", **PLACE))])
    await writer.insert(MEMBERSHIP_CHANGES, "changes", [Item(0, 0, 0, member)])
    await writer.stop()
    async with await writing(newer) as client:
        await migrate(newer)
        with pytest.raises(CannotStart, match="no tables in nowhere"):
            await attach(client, "nowhere", texts.append)
        await attach(client, settings.clickhouse_database, texts.append)
        for name in await tables_of(client):
            both = [f"SELECT * FROM {of.clickhouse_database}.{name} ORDER BY ALL" for of in (settings, newer)]
            before, after = [(await client.query(sql)).result_rows for sql in both]
            assert before == after
        assert re.fullmatch(r"6 rows of \d\d tables are adopted: start the sink", texts[0]), (
            "memberships twice, by views"
        )
        with pytest.raises(CannotStart, match="is not empty"):
            await attach(client, settings.clickhouse_database, texts.append)
    reader = Writer(newer)
    await reader.start()
    assert await reader.last_places("events", "resolved", dict.fromkeys(range(3), 0)) == dict.fromkeys(range(3), (7, 0))
    await reader.stop()


@pytest.mark.parametrize("more", [{}, {"clickhouse_cluster": "c", "clickhouse_shards": 2}])
async def test_only_replicas_of_one_shard_adopt(settings: Settings, more: dict[str, object]) -> None:
    with pytest.raises(CannotStart, match="by the replicas of one shard"):
        await adopt(settings.model_copy(update=more), "headwater", print)
