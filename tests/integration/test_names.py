"""Names of segments, campaigns, webhooks and types of events beside a running sink, on a real broker and engine."""

import asyncio
import os
import subprocess
import sys
from functools import partial
from typing import Any

import pytest

from deploy.local.stack import environment
from deploy.provision import provision
from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import ControlRecord, ControlState
from schemas.control.definitions import Campaign, Conversion, Segment, Variant, Webhook
from schemas.settings import Settings
from sinks.definitions.rows import NAME_TABLES
from tests.integration.contact_rows import defined
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, event
from tests.support.services import ROOT
from tests.support.sink_pipeline import Pipeline, pipeline, process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

HOME: dict[str, Any] = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS, "updated_ms": NOW_MS}
CAMPAIGN = Campaign(
    **HOME,
    id="cmp_1",
    name='Spring "sale"; DROP',
    channel="email",
    status="sent",
    number=1,
    variants=(Variant(id="a", name="Short"),),
    conversion=Conversion(event="order_completed", window="7d", value="total"),
)
WEBHOOK = Webhook(**HOME, id="whk_1", url="https://example.com/h", types=("*",), secret="whsec_hidden")


async def define(pipe: Pipeline, kind: str, record: ControlRecord) -> None:
    key, value = control_state.encode(kind, record)
    await pipe.raw(topics.CONTROL, value, key=key)


async def names(pipe: Pipeline, table: str = "segments") -> list[tuple[Any, ...]]:
    return await pipe.rows(f"SELECT workspace, {table[:-1]}_id, name, deleted FROM {table} FINAL ORDER BY ALL")


async def are(pipe: Pipeline, *rows: tuple[Any, ...]) -> bool:
    return await names(pipe) == [*rows]


async def provisioned(settings: Settings, table: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "deploy.provision", "--rebuild", table],
        cwd=ROOT,
        env={**os.environ, **environment(settings)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


async def test_names_follow_the_definitions_and_outlive_them(settings: Settings) -> None:
    other = defined("seg_1").model_copy(update={"workspace": "elsewhere", "name": "theirs"})
    async with pipeline(settings) as pipe:
        for kind, record in (("segment", defined("seg_1")), ("segment", defined("seg_2")), ("segment", other)):
            await define(pipe, kind, record)
        await define(pipe, "campaign", CAMPAIGN)
        await define(pipe, "webhook", WEBHOOK)
        await pipe.resolved([event("external_id:u1", type="page_viewed"), event("external_id:u2", type="x")])
        both = (("local", "seg_1", "named seg_1", 0), ("local", "seg_2", "named seg_2", 0))
        async with process(settings, "clickhouse"):
            await eventually(partial(are, pipe, ("elsewhere", "seg_1", "theirs", 0), *both), "the names")
            await define(pipe, "segment", defined("seg_1").model_copy(update={"name": "Regulars", "version": 2}))
            await define(pipe, "segment", defined("seg_2").model_copy(update={"deleted": True}))
            now = (
                ("elsewhere", "seg_1", "theirs", 0),
                ("local", "seg_1", "Regulars", 0),
                ("local", "seg_2", "named seg_2", 1),
            )
            await eventually(partial(are, pipe, *now), "the edit and the deletion")
            assert await names(pipe, "campaigns") == [("local", "cmp_1", CAMPAIGN.name, 0)]
            goal = "SELECT goal_event, goal_window, goal_value, variants.name FROM campaigns FINAL"
            assert await pipe.rows(goal) == [("order_completed", "7d", "total", ["Short"])]
            assert await pipe.rows("SELECT url, types FROM webhooks FINAL") == [("https://example.com/h", ["*"])]
            assert (await pipe.rows("SELECT count() FROM webhooks WHERE toString(tuple(*)) LIKE '%hidden%'"))[0][0] == 0

            # beside the sink: made anew with the names of what is gone
            assert "rebuilt" in await provisioned(settings, "segments")
            await pipe.run("ALTER TABLE segments DELETE WHERE segment_id = 'seg_1' SETTINGS mutations_sync = 2")
            assert "rebuilt" in await provisioned(settings, "segments")
            assert await names(pipe) == [*now]
            assert "rebuilt" in await provisioned(settings, "event_types")
            types = (
                "SELECT workspace, type, kind, toUnixTimestamp64Milli(first_seen) FROM event_types FINAL ORDER BY type"
            )
            assert await pipe.rows(types) == [("local", t, "track", NOW_MS) for t in ("page_viewed", "x")]

            # a table that was dropped is made by provisioning and filled by the sink
            await pipe.run("DROP TABLE campaigns SYNC")
            assert await provision(settings) == ["campaigns"]
            await define(pipe, "segment", defined("seg_9"))
            await eventually(lambda: names(pipe, "campaigns"), "the campaign's name")
            later = "SELECT 1 FROM segments WHERE segment_id = 'seg_9'"
            await eventually(lambda: pipe.rows(later), "the segment's name")
        before = await pipe.rows("SELECT _version FROM segments FINAL ORDER BY ALL")
        async with process(settings, "clickhouse"):
            await define(pipe, "segment", defined("seg_3"))
            await eventually(lambda: pipe.rows("SELECT 1 FROM segments WHERE segment_id = 'seg_3'"), "a later name")
        after = await pipe.rows("SELECT _version FROM segments FINAL WHERE segment_id != 'seg_3' ORDER BY ALL")
        assert after == before, "what is the same is not written again"


def test_a_definition_that_no_row_can_hold_costs_only_itself() -> None:
    state = ControlState()
    huge = defined("seg_1").model_copy(update={"created_ms": 10**30, "version": -5})
    rule: Any = 1
    for _ in range(500):
        rule = [rule]
    deep = Segment(**HOME, id="seg_2", name="deep", rule=rule, version=1)
    state.segments[WORKSPACE, ENVIRONMENT] = {segment.id: segment for segment in (huge, deep)}
    rows = NAME_TABLES[0].rows(state)
    assert [row[:4] for row in rows.values()] == [(WORKSPACE, ENVIRONMENT, "seg_1", "named seg_1")]
    assert all(isinstance(value, str) or 0 <= value < 2**63 for row in rows.values() for value in row)
