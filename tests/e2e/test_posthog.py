"""What PostHog's clients say of people and groups, as the read API shows it afterwards."""

import asyncio
from typing import Any
from uuid import uuid4

import posthog
import pytest
from posthog.capture_mode import CaptureMode

from tests.e2e.test_one_event import unique
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
KEY = "pk_dev_local"


async def capture(stack: LocalStack, *events: dict[str, Any]) -> None:
    """In one batch whose answer waits until all of it can be read."""
    batch = [{"uuid": str(uuid4()), **event} for event in events]
    async with stack.client() as client:
        answer = await client.post("/batch/?sync=true&timeout_ms=10000", json={"api_key": KEY, "batch": batch})
        assert answer.status_code == 200, answer.text


async def contact(stack: LocalStack, name: str) -> dict[str, Any] | None:
    async with stack.client() as client:
        answer = await client.get(f"/v1/contacts/{name}")
        return answer.json() if answer.status_code == 200 else None


async def test_an_alias_joins_two_identified_only_where_it_is_dangerous(stack: LocalStack) -> None:
    """The refused link shows; a stranger's history comes along; attributes are taken away; groups are no contacts."""
    user, two, device, group = (unique(name) for name in ("one", "two", "device", "acme"))
    await capture(
        stack,
        {"event": "seen", "distinct_id": device},
        {"event": "$identify", "distinct_id": user, "properties": {"$set": {"plan": "pro", "city": "Ulm"}}},
        {"event": "$identify", "distinct_id": two, "properties": {"$anon_distinct_id": unique("other")}},
        {
            "event": "$groupidentify",
            "distinct_id": f"$company_{group}",
            "properties": {"$group_type": "company", "$group_key": group},
        },
    )
    await capture(
        stack,
        {"event": "$unset", "distinct_id": user, "properties": {"$unset": ["plan"]}},
        {"event": "$create_alias", "distinct_id": user, "properties": {"alias": device}},
        {"event": "$create_alias", "distinct_id": user, "properties": {"alias": two}},
    )
    joined = await eventually(
        lambda: contact(stack, f"external_id:{device}"),
        "the stranger's id leads to the user",
        meets=lambda result: result is not None and result["external_id"] == user,
    )
    assert joined["attributes"] == {"city": "Ulm"}
    assert (await contact(stack, f"external_id:{two}") or {})["external_id"] == two
    async with stack.client() as client:
        identity = (await client.get(f"/v1/contacts/external_id:{user}/identity")).json()
        assert ("external_id", two, "two_contacts") in {
            (r["type"], r["value"], r["reason"]) for r in identity["refused"]
        }
        events = (await client.get(f"/v1/contacts/external_id:{user}/events")).json()["data"]
        assert "seen" in {event["type"] for event in events}
    assert await contact(stack, f"external_id:$company_{group}") is None
    await capture(stack, {"event": "$merge_dangerously", "distinct_id": user, "properties": {"alias": two}})
    await eventually(
        lambda: contact(stack, f"external_id:{two}"),
        "one contact by the dangerous merge",
        meets=lambda result: result is not None and result["external_id"] == user,
    )


async def test_capture_of_version_1_by_its_own_sdk(stack: LocalStack) -> None:
    """An alias as this SDK sends it: the user is shown, not the id before."""
    user, before = unique("v1-user"), unique("v1-before")
    faults: list[Any] = []

    def send() -> None:
        client = posthog.Posthog(
            KEY, host=stack.url, capture_mode=CaptureMode.V1, on_error=lambda *what: faults.append(what), max_retries=3
        )
        client.capture("seen", distinct_id=before, properties={"n": 1, "$session_id": "s1"})
        client.alias(previous_id=before, distinct_id=user)
        client.set(distinct_id=user, properties={"plan": "pro"})
        client.shutdown()

    await asyncio.to_thread(send)
    assert faults == []
    result = await eventually(
        lambda: contact(stack, f"external_id:{before}"),
        "the user has the history",
        meets=lambda row: row is not None and row["external_id"] == user and row["attributes"].get("plan") == "pro",
    )
    async with stack.client() as client:
        events = (await client.get(f"/v1/contacts/{result['id']}/events")).json()["data"]
    seen = next(event for event in events if event["type"] == "seen")
    assert (seen["properties"]["n"], seen["properties"]["$session_id"]) == (1, "s1")
    assert seen["properties"]["$lib"] == "posthog-python"
