"""A segment's size over time and its entries and exits: repeats, merges, late rows and clocks that stood still."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from schemas.records.records import BY_RULE, CARRIED, RESTATED
from schemas.times import DAY_MS, HOUR_MS, iso
from sinks.clickhouse.rows import MEMBERSHIP_CHANGES
from tests.integration.contact_rows import defined
from tests.support.builders import NOW_MS, cid
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, change, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

START = NOW_MS // DAY_MS * DAY_MS
"""A full day."""


def moved(of: str, version: int, at_ms: int, *, member: bool = True, reason: str = "event") -> Any:
    more = {"segment_version": 1, "reason": reason, "event_id": "evt_1" if reason == "event" else "", "at_ms": at_ms}
    return change(cid(of), "membership", version, segment_id="seg_h", member=member, **more)


ROWS = (
    moved("external_id:a", 1, START - 3 * DAY_MS, reason=BY_RULE),
    moved("external_id:b", 1, START + 1),
    moved("external_id:b", 2, START + 2, reason=RESTATED),
    moved("external_id:c", 5, START + HOUR_MS, reason=RESTATED),
    moved("external_id:b", 3, START + 2 * HOUR_MS, member=False, reason="time"),
    # a merge: d becomes e
    moved("external_id:d", 1, START + 2 * HOUR_MS),
    moved("external_id:d", 2, START + 3 * HOUR_MS, member=False, reason=CARRIED),
    moved("external_id:e", 3, START + 3 * HOUR_MS, reason=CARRIED),
    # in and out at the same moment
    *(moved("external_id:f", n, START + 4 * HOUR_MS, member=n % 2 == 1) for n in range(1, 5)),
)


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    settings = fresh_settings(tmp_path_factory.mktemp("history"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as pipe:
        for name in ("seg_h", "seg_none"):
            await pipe.define("segment", defined(name))
        await pipe.store(MEMBERSHIP_CHANGES, *reversed(ROWS))
        yield pipe


async def test_the_size_at_the_end_of_each_interval(api: ReadPipeline) -> None:
    span: dict[str, Any] = {"from": iso(START), "to": iso(START + 6 * HOUR_MS)}
    answer = await api.get("/v1/segments/seg_h/history", interval="hour", **span)
    assert [(p["at"], p["contacts"], p["entered"], p["left"]) for p in answer["data"]] == [
        (iso(START), 2, 1, 0),
        (iso(START + HOUR_MS), 3, 1, 0),
        (iso(START + 2 * HOUR_MS), 3, 1, 1),
        (iso(START + 3 * HOUR_MS), 3, 0, 0),
        (iso(START + 4 * HOUR_MS), 3, 2, 2),
        (iso(START + 5 * HOUR_MS), 3, 0, 0),
    ]
    assert (await api.get("/v1/segments/seg_h"))["contacts"] == 3
    days = (await api.get("/v1/segments/seg_h/history", to=iso(START + DAY_MS)))["data"]
    assert len(days) == 30
    assert [p["contacts"] for p in days][-5:] == [0, 1, 1, 1, 3]
    assert (await api.get("/v1/segments/seg_none/history"))["data"][-1]["contacts"] == 0


async def test_entries_and_exits_newest_first_by_page_and_by_cursor(api: ReadPipeline) -> None:
    listed = await api.get("/v1/segments/seg_h/changes", limit=100)
    who = {cid(f"external_id:{name}"): name for name in "abcdef"}
    moves = [(who[row["contact_id"]], row["change"], row["reason"]) for row in listed["data"]]
    f = [("f", change, "event") for change in ("left", "entered", "left", "entered")]
    assert moves[:4] == f
    assert set(moves[4:6]) == {("b", "left", "time"), ("d", "entered", "event")}
    assert moves[6:] == [("c", "entered", RESTATED), ("b", "entered", "event"), ("a", "entered", BY_RULE)]
    assert listed["meta"]["total"] == len(moves) == 9
    pages: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = await api.get("/v1/segments/seg_h/changes", cursor=cursor, limit=2)
        pages += page["data"]
        cursor = page["next_cursor"]
    assert pages == listed["data"]
    left = await api.get("/v1/segments/seg_h/changes", change="left")
    assert {row["change"] for row in left["data"]} == {"left"}
    assert left["meta"]["total"] == 3
    early = await api.get("/v1/segments/seg_h/changes", to=iso(START))
    assert [row["event_id"] for row in early["data"]] == [None]


async def test_what_is_refused(api: ReadPipeline) -> None:
    for path, name, value in (
        ("history", "interval", "week"),
        ("history", "from", "soon"),
        ("history", "from", "2900-01-01"),
        ("changes", "change", "moved"),
        ("changes", "to", "soon"),
        ("changes", "cursor", "WzEsMiwzXQ"),
    ):
        refused = await api.get(f"/v1/segments/seg_h/{path}", 422, **{name: value})
        assert refused["error"]["param"] in (name, "to"), path
    wide = await api.get("/v1/segments/seg_h/history", 422, interval="minute", **{"from": iso(START - 3 * DAY_MS)})
    assert "more than 1000 points" in wide["error"]["message"]
    await api.get("/v1/segments/seg_x/history", 404)
    await api.get("/v1/segments/seg_h/changes", 404, environment="staging")
