"""An event's way, step by step, as the API tells it, and the ledger of the minute that it came in."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from schemas.times import parse_iso
from tests.e2e.test_one_event import unique
from tests.e2e.test_tenants import workspace
from tests.support.stack import LocalStack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import receiver

pytestmark = pytest.mark.e2e
ORDER = (
    "request",
    "received",
    "resolved",
    "merged",
    "refused",
    "changed",
    "consent",
    "stored",
    "repeated",
    "delivered",
)


async def traced(client: httpx.AsyncClient, event_id: str, *steps: str) -> Any:
    """The trace when it has these steps."""

    async def asked() -> Any:
        answer = (await client.get(f"/v1/events/{event_id}/trace")).json()
        return answer if {*steps} <= {step["step"] for step in answer.get("steps", [])} else None

    return await eventually(asked, f"a trace of {event_id} with {steps}")


def step(trace: Any, name: str) -> Any:
    [step] = [step for step in trace["steps"] if step["step"] == name]
    return step


async def test_each_step_tells_its_time_place_and_reason(stack: LocalStack) -> None:
    kind, user, browser = unique("ordered"), unique("u"), unique("a")
    async with receiver() as endpoint, stack.client() as client:
        made = {"name": "Buyers", "rule": {"event": kind}}
        segment = (await client.post("/v1/segments", json=made)).json()["id"]
        hook = {"url": endpoint.url("/hook"), "types": [kind, "segment.entered"]}
        webhook = (await client.post("/v1/webhooks", json=hook)).json()["id"]
        for who in ({"user_id": user}, {"anonymous_id": browser}):  # two contacts, which the order makes one
            assert (await client.post("/v1/events?sync=true", json={"type": "seen", **who})).status_code == 200
        event_id = f'{unique("evt")}/"é'
        order = {"type": kind, "event_id": event_id, "user_id": user, "anonymous_id": browser}
        sent = (await client.post("/v1/events?sync=true&timeout_ms=10000", json=order)).json()
        await client.post("/v1/events/batch?task=true", json=[order, {"type": "seen", "user_id": user}])
        encoded = quote(event_id, safe="")
        trace = await traced(client, encoded, *ORDER[:4], "changed", "stored", "delivered")

    assert (trace["event_id"], trace["type"], trace["contact_id"]) == (event_id, kind, sent["contact_id"])
    names = [step["step"] for step in trace["steps"]]
    assert names == sorted(names, key=ORDER.index)
    assert step(trace, "request")["detail"]["source"] == "altacee"
    assert step(trace, "request")["detail"]["key_id"].startswith("key_")
    times = [parse_iso(step(trace, name)["at"]) or 0 for name in ("request", "received", "resolved", "stored")]
    assert times == sorted(times)
    assert times[0] > 0
    for name, topic in (("received", "events"), ("resolved", "resolved"), ("merged", "merges"), ("changed", "changes")):
        place = next(step for step in trace["steps"] if step["step"] == name)["place"]
        assert place["topic"] == topic
        assert place["offset"] >= 0
    resolved = step(trace, "resolved")["detail"]
    pairs = [sorted(identifier["value"] for identifier in taught["identifiers"]) for taught in resolved["taught"]]
    assert sorted((user, browser)) in pairs
    merged = step(trace, "merged")["detail"]
    assert merged["into"] == sent["contact_id"] != merged["from"]
    changed = step(trace, "changed")["detail"]
    assert (changed["segment_id"], changed["name"], changed["change"]) == (segment, "Buyers", "entered")
    assert changed["reason"]
    delivered = [step["detail"] for step in trace["steps"] if step["step"] == "delivered"]
    assert {delivery["webhook_id"] for delivery in delivered} == {webhook}
    assert all(delivery["response_code"] == 200 for delivery in delivered)


async def test_a_copy_is_a_step_of_the_event_that_it_repeats(stack: LocalStack) -> None:
    event = {"type": "seen", "event_id": unique("evt"), "user_id": unique("u")}
    async with stack.client() as client:
        for more in ({}, {"properties": {"other": True}}):
            # a batch that is waited for goes past the edge's own memory of ids
            await client.post("/v1/events?sync=true&timeout_ms=10000", json={**event, **more})
        repeated = step(await traced(client, event["event_id"], "repeated"), "repeated")
    assert repeated["detail"]["conflict"]
    assert repeated["place"]["topic"] == "events"


async def test_a_trace_of_an_event_that_is_not_there_or_is_a_neighbours_is_not_found(stack: LocalStack) -> None:
    event = {"type": "seen", "event_id": unique("evt"), "user_id": unique("u")}
    async with stack.client() as client:
        assert (await client.post("/v1/events?sync=true&timeout_ms=10000", json=event)).status_code == 200
        path = f"/v1/events/{event['event_id']}/trace"
        assert (await client.get(path)).status_code == 200
        [neighbour] = await workspace(client, "production")
        for answer in (
            await neighbour.get(path),
            await client.get(path, headers={"Headwater-Environment": "staging"}),
            await client.get(f"/v1/events/{unique('evt')}/trace"),
            await client.get("/v1/events/%FF/trace"),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert (await client.get(path, params={"of": "x"})).status_code == 422
        assert (await client.get(path, headers=neighbour.public)).status_code == 403


async def test_an_erased_contacts_events_have_no_trace_and_stay_in_the_ledger(stack: LocalStack) -> None:
    async with stack.client() as client:
        made = (await client.post("/v1/workspaces", json={"name": unique("w")})).json()
        key = {"Authorization": f"Bearer {made['key']['key']}"}
        user, event_id = unique("u"), unique("evt")
        events = [{"type": "seen", "user_id": user, "event_id": event_id}, {"type": "seen", "user_id": unique("u")}]
        await client.post("/v1/events/batch?sync=true&timeout_ms=10000", json=events, headers=key)

        async def totals(**expected: int) -> Any:
            result = (await client.get("/v1/ledger", headers=key)).json()["totals"]
            return result if result == {**dict.fromkeys(result, 0), **expected} else None

        await eventually(lambda: totals(accepted=2, stored=2), "both are stored")
        erased = await client.delete(f"/v1/contacts/external_id:{user}", headers=key)
        assert erased.status_code == 204
        erasure = erased.headers["location"]

        async def is_done() -> bool:
            return bool((await client.get(erasure, headers=key)).json()["status"] == "done")

        await eventually(is_done, "the erasure", within_s=60)
        await eventually(lambda: totals(accepted=2, stored=1, suppressed=1), "one is suppressed")
        assert (await client.get(f"/v1/events/{event_id}/trace", headers=key)).status_code == 404
        for query in ({"source": "nobody"}, {"from": "2020-01-01T00:00:00Z"}, {"to": "x"}):
            refused = await client.get("/v1/ledger", params=query, headers=key)
            assert (refused.status_code, refused.json()["error"]["param"]) == (422, next(iter(query)))
