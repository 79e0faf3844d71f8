"""A rule that this version cannot read: its segment is disabled and says why, and nothing else stops."""

from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import Segment
from schemas.service.kafka import producer
from schemas.settings import Settings
from schemas.times import parse_time
from tests.e2e.test_one_event import defined, send, unique
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
NEWER: dict[str, Any] = {"near": {"latitude": 52.5, "longitude": 13.4}, "within": "5km"}
"""No form of rule that the edge would let in."""


async def shown(client: httpx.AsyncClient, segment: str) -> Any:
    answer = await client.get(f"/v1/segments/{segment}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def members(client: httpx.AsyncClient, segment: str) -> set[str]:
    result = (await client.get(f"/v1/segments/{segment}/contacts")).json()["data"]
    return {row["external_id"] for row in result}


async def edit_as_a_newer_version(settings: Settings, segment: dict[str, Any]) -> None:
    """The record that an edge would write that knows more forms of rules."""
    written_ms = parse_time(segment["updated_at"])
    assert written_ms is not None
    record = Segment(
        id=segment["id"],
        workspace="local",
        environment="production",
        name=segment["name"],
        rule=NEWER,
        version=segment["version"] + 1,
        created_ms=written_ms,
        updated_ms=written_ms + 1,
    )
    key, value = control_state.encode("segment", record)
    async with producer(settings) as sender:
        await sender.send_and_wait(topics.name(topics.CONTROL, settings), value, key=key)


async def quarantined(settings: Settings) -> int:
    """Records that have ever been put aside, by any process."""
    name = topics.name(topics.QUARANTINE, settings)
    parts = [TopicPartition(name, p) for p in range(topics.partition_count(topics.QUARANTINE, settings))]
    async with AIOKafkaConsumer(bootstrap_servers=settings.bootstrap) as consumer:
        return sum((await consumer.end_offsets(parts)).values())


async def test_a_rule_that_cannot_be_read_is_disabled_with_its_reason_and_stops_nobody_else(stack: LocalStack) -> None:
    bought, early, late = unique("bought"), unique("early"), unique("late")
    async with stack.client() as client:
        bad = await defined(client, unique("bad"), {"event": bought})
        good = await defined(client, unique("good"), {"event": bought})
        await send(client, {"type": bought, "user_id": early})
        assert await members(client, bad) == await members(client, good) == {early}

        before = await quarantined(stack.settings)
        await edit_as_a_newer_version(stack.settings, await shown(client, bad))
        result = await eventually(
            lambda: shown(client, bad), "disabled", meets=lambda result: result["status"] == "disabled"
        )
        assert (result["version"], result["rule"], result["contacts"]) == (2, NEWER, 1)
        assert "near" in result["reason"], result["reason"]
        in_list = {row["id"]: row for row in (await client.get("/v1/segments?limit=100")).json()["data"]}
        assert in_list[bad]["reason"] == result["reason"]
        assert (in_list[good]["status"], "reason" in in_list[good]) == ("live", False)

        sent = await send(client, {"type": bought, "user_id": late})
        assert sent["segment_changes"] == {"entered": [good], "left": []}
        assert await members(client, good) == {early, late}
        assert await members(client, bad) == {early}, "its members stay as they were"
        made = await defined(client, unique("made after it"), {"event": bought})
        await eventually(
            lambda: members(client, made), "history is counted as ever", meets=lambda result: result == {early, late}
        )
        refused = await client.post(f"/v1/segments/{bad}/explain?contact=external_id:{early}")
        assert 400 <= refused.status_code < 500, refused.text
        assert await quarantined(stack.settings) == before

        edit = await client.patch(f"/v1/segments/{bad}", json={"rule": {"event": bought}})
        assert edit.status_code == 200, edit.text
        mended = await eventually(
            lambda: shown(client, bad), "live again", meets=lambda result: result["status"] == "live"
        )
        assert (mended["version"], "reason" in mended) == (3, False)
        # what came while it was disabled counts too
        await eventually(lambda: members(client, bad), "everybody", meets=lambda result: result == {early, late})
        for segment in (bad, good, made):
            assert (await client.delete(f"/v1/segments/{segment}")).status_code == 204
