"""One truth for an event, in a real stack: a mix through two edges, one of which forgets, and a sink that dies."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import Campaign
from schemas.service import kafka
from tests.e2e.test_one_event import unique
from tests.support.builders import ENVIRONMENT, WORKSPACE
from tests.support.comparison import rows
from tests.support.stack import SECRET, LocalStack, edge_beside
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver, receiver

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def second_edge(stack: LocalStack, home: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Another edge of the same cluster; each start begins with an empty memory."""
    with edge_beside(stack, home) as (_, http):
        async with httpx.AsyncClient(base_url=http.base_url, headers=SECRET, timeout=30, trust_env=False) as client:
            yield client


async def campaigns(stack: LocalStack, *names: str) -> None:
    now = time.time_ns() // 1_000_000
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": now, "updated_ms": now}
    producer = kafka.producer(stack.settings)
    await producer.start()
    try:
        for name in names:
            campaign = Campaign(id=name, name=name, channel="email", status="sent", number=1, **home)
            key, value = control_state.encode("campaign", campaign)
            await producer.send_and_wait(topics.name(topics.CONTROL, stack.settings), value, key=key)
    finally:
        await producer.stop()


async def live(client: httpx.AsyncClient, rule: Any) -> str:
    made = await client.post("/v1/segments", json={"name": unique("s"), "rule": rule})
    assert made.status_code == 201, made.text
    segment = str(made.json()["id"])

    async def is_live() -> bool:
        return bool((await client.get(f"/v1/segments/{segment}")).json()["status"] == "live")

    await eventually(is_live, "the segment is live")
    return segment


async def members(client: httpx.AsyncClient, segment: str) -> list[str]:
    answer = (await client.get(f"/v1/segments/{segment}/contacts")).json()
    return [row["id"] for row in answer["data"]]


class Mix:
    """Requests one after the other; of events that are the same the first is the one that counts."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.sent = 0

    async def send(self, client: httpx.AsyncClient, path: str, *events: dict[str, Any]) -> dict[str, Any]:
        answer = await client.post(path, json={"events": events} if "batch" in path else events[0])
        assert answer.status_code in (200, 202), answer.text
        for event in events:
            sender = event.get("user_id") or event["anonymous_id"]
            self.first.setdefault((event["event_id"], event["type"], sender), event)
        self.sent += len(events)
        body: dict[str, Any] = answer.json()
        return body

    def orders(self, kind: str) -> list[tuple[str, int]]:
        return sorted((e["event_id"], e["properties"]["total"]) for (_, t, _), e in self.first.items() if t == kind)

    def totals(self, kind: str, *senders: str) -> list[int]:
        return [e["properties"]["total"] for (_, t, s), e in self.first.items() if t == kind and s in senders]


async def test_rows_segments_webhooks_figures_and_tasks_count_the_same_events(
    stack: LocalStack, tmp_path: Path
) -> None:
    order, ann, ben, browser = unique("order"), unique("ann"), unique("ben"), unique("browser")
    one_id, other_id, kept, lost = unique("3001"), unique("3002"), unique("cmp"), unique("cmp")
    mix = Mix()

    def said(total: int, **more: Any) -> dict[str, Any]:
        return {"event_id": one_id, "type": order, "user_id": ann, "properties": {"total": total}, **more}

    def converted(campaign: str, value: int) -> dict[str, Any]:
        return {**said(0), "type": "conversion", "campaign_id": campaign, "properties": {"value": value}}

    async with stack.client() as first, receiver() as endpoint:
        await campaigns(stack, kept, lost)
        hook = await first.post("/v1/webhooks", json={"url": endpoint.url("/hook"), "types": [order]})
        assert hook.status_code == 201, hook.text
        count = {"event": order, "count": {"op": "eq", "value": 4}}
        total = {"event": order, "sum": {"property": "total", "op": "eq", "value": 15}}
        segments = {await live(first, rule): rule for rule in (count, total)}
        async with second_edge(stack, tmp_path / "a") as two:
            await mix.send(first, "/v1/events", said(1))
            await mix.send(two, "/v1/events", said(100))  # the same through another edge, with other content
            clash = await mix.send(first, "/v1/events", said(7, user_id=ben))
            assert clash["warnings"] == ["event_id_conflict: another event has this event_id; both count"]
            await mix.send(two, "/v1/events/batch", said(2, event_id=other_id), said(100, event_id=other_id))
            await mix.send(first, "/v1/events?sync=true", said(4, anonymous_id=browser, event_id=unique("tie")))
            await mix.send(two, "/v1/events", said(8, user_id=None, anonymous_id=browser))
            await mix.send(first, "/v1/events", converted(kept, 5))
            await mix.send(two, "/v1/events", converted(lost, 9))
        async with second_edge(stack, tmp_path / "b") as two:  # it remembers nothing
            os.kill(stack.pid("clickhouse-sink"), signal.SIGKILL)  # here: what follows must not be stored in time
            late = await mix.send(two, "/v1/events?sync=true&timeout_ms=50", said(1000, timestamp=1_790_000_000))
            await mix.send(two, "/v1/events/batch", said(7, user_id=ben), said(7, user_id=ben), converted(lost, 5))
            await mix.send(two, "/v1/events/batch?sync=true&timeout_ms=10000", said(1), said(2, event_id=other_id))
        await eventually(
            lambda: _is_stored(stack, order, one_id, mix.sent), "each that was taken is a row or a duplicate"
        )

        sql = "SELECT event_id, JSONExtractInt(properties, 'total') FROM events_resolved WHERE type = {o:String}"
        assert sorted(await rows(stack, sql, o=order)) == mix.orders(order)
        assert sorted(mix.totals(order, ann, browser)) == [1, 2, 4, 8]
        contact = (await first.get(f"/v1/contacts/external_id:{ann}")).json()["id"]
        for segment, rule in segments.items():
            await eventually(lambda s=segment: _is(first, s, [contact]), "the segment has whom the rows say")  # type: ignore[misc]
            await _agree(first, segment, rule, contact)
        listed = (await first.get(f"/v1/contacts/{contact}/events")).json()
        assert listed["meta"]["total"] == 5, "four orders and a conversion"

        expected = Counter(mix.totals(order, ann, ben, browser))
        await eventually(lambda: _has(endpoint, expected.total()), "as many deliveries as events")
        await asyncio.sleep(0.5)
        assert Counter(got.json["data"]["properties"]["total"] for got in endpoint.got) == expected, "and no more"

        figures = [(await first.get(f"/v1/campaigns/{name}")).json()["stats"] for name in (kept, lost)]
        assert [(f["conversion_events"], f["conversion_value"]) for f in figures] == [(1, 5.0), (0, 0.0)]

        task = (await first.get(f"/v1/tasks/{late['task_id']}")).json()
        assert task["status"] == "completed"
        assert task["events"] == [{"event_id": one_id, "disposition": "duplicate", "reason": "event_id_conflict"}]


async def _is_stored(stack: LocalStack, order: str, one_id: str, expected: int) -> bool:
    events = "type = {o:String} OR type = 'conversion' AND event_id = {id:String}"
    both = " UNION ALL ".join(f"SELECT 1 FROM {table} FINAL WHERE {events}" for table in ("events", "duplicates"))
    sql = f"SELECT count() FROM ({both})"
    return bool((await rows(stack, sql, o=order, id=one_id))[0][0] == expected)


async def _is(client: httpx.AsyncClient, segment: str, expected: list[str]) -> bool:
    return await members(client, segment) == expected


async def _has(endpoint: WebhookReceiver, expected: int) -> bool:
    return len(endpoint.got) >= expected


async def _agree(client: httpx.AsyncClient, segment: str, rule: Any, contact: str) -> None:
    """The rule in SQL and the explanation from the stored rows say what the stage has told."""
    ruled = (await client.post("/v1/segments/preview", json={"rule": rule})).json()
    assert ruled == {"contacts": 1, "sample": [contact]}
    answer = await client.post(f"/v1/segments/{segment}/explain", params={"contact": contact})
    assert answer.status_code == 200, answer.text
    why = answer.json()
    assert (why["member"], len(why["leaves"][0]["events"])) == (True, 4)
