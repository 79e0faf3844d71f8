"""What a workspace keeps no longer goes, and nothing else, on a real engine; and the API says that it went."""

import time
from typing import Any

import pytest

from schemas.control.control_state import ControlState
from schemas.control.definitions import Workspace
from schemas.records.records import Event
from schemas.settings import Settings
from schemas.times import DAY_MS, iso
from sinks.clickhouse.rows import DELIVERY_ATTEMPTS, DUPLICATES, EVENTS
from sinks.maintenance.retention import RetentionKeeper, border_ms, remove
from tests.support.builders import ENVIRONMENT, WORKSPACE, event
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

NOW = time.time_ns() // 1_000_000
HOME = Workspace(id=WORKSPACE, workspace=WORKSPACE, created_ms=1, name="w", retention={"events": 60, "deliveries": 20})


def sent(name: str, days: int, **more: Any) -> Event:
    at = NOW - days * DAY_MS
    return event("external_id:u1", event_id=name, received_ms=at, timestamp_ms=at, **more)


def attempt(name: str, days: int, workspace: str = WORKSPACE) -> dict[str, Any]:
    text = {"url": "https://x.io", "error": "", "type": "t", "status": "succeeded", "event_id": name, "contact_id": ""}
    data = {"request_headers": b"{}", "request_body": b"{}", "response_body": b""}
    home = {"workspace": workspace, "environment": ENVIRONMENT, "webhook_id": "whk_1"}
    numbers = {"attempt": 1, "response_code": 200, "duration_ms": 1, "at_ms": NOW - days * DAY_MS, "next_ms": 0}
    return {**home, **text, **data, **numbers, "id": name, "delivery_id": name}


async def names(api: ReadPipeline, sql: str) -> list[Any]:
    return [value for (value,) in await api.rows(sql)]


async def test_old_rows_of_the_workspace_go_and_no_others(settings: Settings) -> None:
    async with reads(settings) as api:
        kept: list[Any] = [
            sent("young", 50),
            sent("at the border", 59),
            sent("who", 400, kind="identify"),
            sent("consent", 400, profile=b'{"consents":{"sms":true}}'),
            {**sent("theirs", 400), "workspace": "elsewhere"},
        ]
        staging = {**sent("staging", 400), "environment": "staging"}
        await api.store(EVENTS, *kept, sent("old", 400), sent("older", 70, type="message.sent"), staging)
        await api.store(DUPLICATES, sent("again", 400), sent("lately", 3))
        await api.store(DELIVERY_ATTEMPTS, attempt("new", 10), attempt("gone", 30), attempt("other", 30, "elsewhere"))
        missing = await api.get("/v1/events/old", 200)
        assert missing["event_id"] == "old"
        keeper = RetentionKeeper(settings, ControlState())
        for _ in range(2):
            await keeper.keep([api._client], HOME)
        assert await names(api, "SELECT event_id FROM events FINAL ORDER BY event_id") == sorted(
            row["event_id"] for row in kept
        )
        assert await names(api, "SELECT DISTINCT event_id FROM duplicates") == ["lately"]
        assert await names(api, "SELECT DISTINCT attempt_id FROM delivery_attempts ORDER BY ALL") == ["new", "other"]
        noted = (
            "SELECT workspace, table, toUnixTimestamp64Milli(before) FROM removals FINAL WHERE rows > 0 ORDER BY table"
        )
        before, sent_before = border_ms(60, NOW), border_ms(20, NOW)
        assert await api.rows(noted) == [
            (WORKSPACE, "delivery_attempts", sent_before),
            (WORKSPACE, "duplicates", before),
            (WORKSPACE, "events", before),
        ]
        for path in ("/v1/events/old", "/v1/events/old/trace"):
            assert iso(before) in (await api.get(path, 404))["error"]["message"]
        assert (await api.get("/v1/ledger"))["totals"]["residual"] == 0
        # nothing is waited for that another workspace's rows are about
        await remove([api._client], "nobody", "events", NOW)
        assert len(await api.rows(noted)) == 3


def test_the_border_moves_a_twelfth_of_the_days_at_a_time() -> None:
    for days in (8, 35, 60, 365, 3650):
        borders = [border_ms(days, NOW + n * DAY_MS) for n in range(days)]
        assert all(NOW + n * DAY_MS - at >= days * DAY_MS for n, at in enumerate(borders)), "never early"
        assert all(NOW + n * DAY_MS - at <= (days + max(1, days // 12) + 1) * DAY_MS for n, at in enumerate(borders))
        assert len(set(borders)) <= days / max(1, days // 12) + 2


async def test_a_record_that_no_edge_wrote_removes_nothing(settings: Settings) -> None:
    async with reads(settings) as api:
        await api.store(EVENTS, sent("a", 10), {**sent("b", 400), "workspace": "o'x"})
        odd = HOME.model_copy(update={"retention": {"events": -5, "contacts": 1}})
        quoted = HOME.model_copy(update={"id": "o'x", "workspace": "o'x"})
        keeper = RetentionKeeper(settings, ControlState())
        for workspace in (odd, quoted):
            await keeper.keep([api._client], workspace)
        assert await names(api, "SELECT event_id FROM events FINAL ORDER BY event_id") == ["a", "b"]
