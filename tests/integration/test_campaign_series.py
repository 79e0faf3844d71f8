"""Figures of campaigns as an analyst has them: by the calendar of a time zone, and by the view of messages."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from schemas.times import iso
from sinks.clickhouse.rows import EVENTS, OVERRIDES
from tests.integration.test_campaigns import RANDOM, campaign, generated
from tests.support import campaign_oracle as oracle
from tests.support.builders import NOW_MS
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    settings = fresh_settings(tmp_path_factory.mktemp("series"), kafka=kafka, clickhouse=clickhouse)
    events, merges = generated(1)
    async with reads(settings) as api:
        for n in range(len(RANDOM)):
            await api.define("campaign", campaign(f"r{n}", n))
        await api.store(EVENTS, *events[:900])
        await api.store(EVENTS, *events[500:])
        await api.store(OVERRIDES, *merges)
        yield api


@pytest.mark.parametrize("interval", ["minute", "hour", "day", "week", "month"])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "UTC"])
async def test_a_series_in_a_zone_puts_each_message_where_the_calendar_there_has_it(
    api: ReadPipeline, interval: str, zone: str
) -> None:
    answer = await api.get("/v1/campaigns/cmp_r1/timeseries", interval=interval, tz=zone)
    assert (answer["interval"], answer["tz"]) == (interval, zone)
    facts = oracle.facts_of(generated(1)[0], {m["loser"]: m["winner"] for m in generated(1)[1]}, NOW_MS * 2)
    expected = Counter(_begin(ms, interval, zone) for ms in oracle.firsts(facts, "cmp_r1")["sent"].values())
    assert {p["at"]: p["sent"] for p in answer["data"] if p["sent"]} == expected
    assert [p["at"] for p in answer["data"]] == sorted({p["at"] for p in answer["data"]})


def _begin(ms: int, interval: str, zone: str) -> str:
    """As a person would look it up; no clock changes within these weeks."""
    at = datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).replace(second=0, microsecond=0)
    at = at if interval == "minute" else at.replace(minute=0)
    at = at if interval in ("minute", "hour") else at.replace(hour=0)
    at = at - timedelta(days=at.weekday()) if interval == "week" else at.replace(day=1) if interval == "month" else at
    return iso(int(at.timestamp() * 1000))


@pytest.mark.parametrize("home", RANDOM)
async def test_the_view_of_messages_counts_as_the_api_does(api: ReadPipeline, home: str) -> None:
    stats = (await api.get(f"/v1/campaigns/{home}"))["stats"]
    columns = ", ".join(f"count({kind}_at)" for kind in oracle.KINDS)
    sql = (
        f"SELECT {columns}, countIf(machine_opened), countIf(machine_clicked), sumMapIf(map(bounce_class, 1),"
        " bounced_at IS NOT NULL) FROM campaign_messages WHERE campaign_id = {home:String}"
    )
    ((*counts, bounces),) = await api.rows(sql, home=home)
    kinds = (*oracle.KINDS, "machine_opened", "machine_clicked")
    assert dict(zip(kinds, counts, strict=True)) == {kind: stats[kind] for kind in kinds}
    assert bounces == stats["bounces"]
