"""A seed in; a stack's acknowledged events, and their expected results by naive recounting, out."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.support.builders import cid
from tests.support.load_client import Connection, request

DAY_MS = 86_400_000
BATCH = 20
RULES: dict[str, Any] = {
    "frequent": {"event": "order_completed", "count": {"op": "gte", "value": 3}, "within": "30d"},
    "big": {"event": "order_completed", "where": [{"property": "total", "op": "gte", "value": 90}]},
    "pro": {"attribute": "plan", "op": "eq", "value": "pro"},
    "quiet pro": {
        "all": [
            {"attribute": "plan", "op": "eq", "value": "pro"},
            {"not": {"event": "order_completed", "count": {"op": "gte", "value": 2}}},
        ]
    },
}


@dataclass(slots=True)
class SentLedger:
    """Acknowledged events, each once, however often the client sent it."""

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    retries: int = 0

    def groups(self) -> dict[str, set[str]]:
        """Identifier -> all identifiers of its contact: naive connected components."""
        parts: dict[str, set[str]] = {}
        for event in self.events.values():
            names = identifiers(event)
            merged = set(names).union(*(parts.get(name, {name}) for name in names))
            for name in merged:
                parts[name] = merged
        return parts

    def members(self) -> dict[str, set[frozenset[str]]]:
        """Rule -> the contacts (as sets of identifiers) that must match it now."""
        parts = self.groups()
        orders: dict[frozenset[str], list[dict[str, Any]]] = defaultdict(list)
        plans: dict[frozenset[str], tuple[int, str, str]] = {}
        contacts = {frozenset(part) for part in parts.values()}
        for event_id, event in self.events.items():
            contact = frozenset(parts[identifiers(event)[0]])
            if "event" in event:
                if event["event"] == "order_completed":
                    orders[contact].append(event)
            else:
                plan_change = (event["timestamp"], event_id, event["traits"]["plan"])
                plans[contact] = max(plans.get(contact, plan_change), plan_change)
        pro = {c for c, (_, _, plan) in plans.items() if plan == "pro"}
        return {
            "frequent": {c for c in contacts if len(orders[c]) >= 3},
            "big": {c for c in contacts if any(o["properties"]["total"] >= 90 for o in orders[c])},
            "pro": pro,
            "quiet pro": {c for c in pro if len(orders[c]) < 2},
        }


def identifiers(event: dict[str, Any]) -> list[str]:
    """Returns ``external_id:u1``, ... of a call, the strongest first."""
    names = (("distinct_id", "external_id"), ("anonymous_id", "anonymous_id"))
    return [f"{kind}:{event[name]}" for name, kind in names if name in event]


def contact_ids(part: frozenset[str]) -> set[str]:
    """Returns the possible ids of a contact with these identifiers."""
    return {cid(name) for name in part}


def make_events(seed: int, count: int, people: int, now_ms: int) -> list[dict[str, Any]]:
    """Makes orders, page views and traits of people who start anonymous; times are unique, so "latest" is too."""
    rng = random.Random(seed)
    events = []
    for n in range(count):
        person = rng.randrange(people)
        event: dict[str, Any] = {
            "environment": "production",
            "event_id": f"e{seed}-{n}",
            "timestamp": now_ms - DAY_MS + n * 1000 % (DAY_MS // 2) + n % 997,
        }
        both = rng.random()
        if both < 0.75:
            event["distinct_id"] = f"u{person}"
        if both > 0.6:
            event["anonymous_id"] = f"a{person}-{rng.randrange(2)}"
        if rng.random() < 0.1 and "distinct_id" in event:
            event["traits"] = {"plan": rng.choice(["pro", "free"])}
        else:
            event["event"] = rng.choice(["order_completed", "page_view", "page_view"])
            event["properties"] = {"total": rng.randrange(100)}
        events.append(event)
    return events


async def deliver(
    port: int, events: list[dict[str, Any]], ledger: SentLedger, *, per_second: float, senders: int = 8
) -> None:
    """Sends all events at a steady rate; repeats each batch until its acknowledgement, as an SDK would."""
    order: list[list[dict[str, Any]]] = []
    for path in ("event", "traits"):
        some = [e for e in events if path in e]
        order += [some[start : start + BATCH] for start in range(0, len(some), BATCH)]
    random.Random(len(order)).shuffle(order)
    gap = BATCH / per_second * senders

    async def sender(mine: list[list[dict[str, Any]]]) -> None:
        connection: Connection | None = None
        loop = asyncio.get_running_loop()
        due = loop.time()
        for batch in mine:
            due = max(due + gap, loop.time())
            await asyncio.sleep(due - loop.time())
            data = request("/track" if "event" in batch[0] else "/identify", batch)
            while True:
                try:
                    connection = connection or await Connection.open(port)
                    status, body = await asyncio.wait_for(connection.send(data), 10)
                except (OSError, TimeoutError):
                    connection, status, body = None, 0, b""
                if status == 200:
                    break
                assert status in (0, 429, 503), (status, body)
                ledger.retries += 1
                await asyncio.sleep(0.2)
            assert orjson.loads(body)["ok"]
            ledger.events.update((e["event_id"], e) for e in batch)
        if connection is not None:
            connection.close()

    await asyncio.gather(*(sender(order[i::senders]) for i in range(senders)))
