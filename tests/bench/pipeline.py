"""A running stack in; events/s through all stages, and the delay until a membership and a row exist, out."""

import asyncio
import secrets
import time
from typing import Any

import psutil

from schemas.records.records import Change
from tests.support.load_client import Tally, flood, paced, request
from tests.support.membership_feed import follow_memberships
from tests.support.stack import LocalStack

ASKED_PER_S = 20
"""Events that wait for their rows beside the others: so rows are timed and the database has nothing more to do."""


def quantiles(values: list[float]) -> dict[str, int]:
    if not values:
        return {}
    tally = Tally(latencies_ms=values)
    return {f"p{round(q * 100)}_ms": round(tally.quantile(q)) for q in (0.5, 0.95, 0.99)} | {
        "max_ms": round(max(values))
    }


async def throughput(stack: LocalStack, count: int) -> dict[str, Any]:
    """Measures from the first request to the last row: all stages run at the same time."""
    requests = (
        request(
            "/v1/events/batch",
            {
                "events": [
                    {"type": "bulk", "user_id": f"bulk{(b * 100 + n) % 20_000}", "properties": {"n": n}}
                    for n in range(100)
                ]
            },
        )
        for b in range(count // 100)
    )
    client = await stack.database()
    began = time.perf_counter()
    tally = await flood(stack.settings.port, requests, connections=8, seconds=600)
    accepted = time.perf_counter() - began
    while True:
        stored = (await client.query("SELECT uniqExact(event_id) FROM events WHERE type = 'bulk'")).result_rows[0][0]
        if stored >= count or time.perf_counter() - began > 300:
            break
        await asyncio.sleep(0.1)
    seconds = time.perf_counter() - began
    await client.close()
    return {
        "events": count,
        "rows": stored,
        "accepted_per_s": round(count / accepted),
        "stored_per_s": round(stored / seconds),
        "statuses": {str(k): v for k, v in tally.statuses.items()},
    }


async def latency(stack: LocalStack, per_second: int, seconds: int, *, contacts_exist: bool) -> dict[str, Any]:
    """Each event is a contact's first order, so each must enter the segment.

    ``known``: the contacts exist already. Else each event creates its contact, which is twice the work.
    """
    kind, count = f"order {secrets.token_hex(4)}", per_second * seconds
    await define(stack, kind)
    synced = ASKED_PER_S * seconds
    if contacts_exist:
        await _introduce(stack, kind, count + synced)
    ids = [f"{kind}-{n}" for n in range(count + synced)]
    orders = [{"type": kind, "user_id": i, "event_id": i, "properties": {"total": 9}} for i in ids]
    member: dict[str, float] = {}
    watching = asyncio.create_task(watch_changes(stack, kind, member, count + synced))
    await asyncio.sleep(1)
    began = time.perf_counter()
    due = {i: began + n / per_second for n, i in enumerate(ids[:count])}
    tally, stored = await asyncio.gather(
        paced(
            stack.settings.port,
            [request("/v1/events", order) for order in orders[:count]],
            per_second=per_second,
            connections=64,
        ),
        paced(
            stack.settings.port,
            [request("/v1/events?sync=true&timeout_ms=10000", order) for order in orders[count:]],
            per_second=ASKED_PER_S,
            connections=64,
        ),
    )
    await asyncio.wait([watching], timeout=60)
    watching.cancel()
    return {
        "events": count,
        "per_s": per_second,
        "answer": quantiles(tally.latencies_ms),
        "membership": {"seen": len(member)} | quantiles([(at - due[i]) * 1000 for i, at in member.items() if i in due]),
        "both rows": {"statuses": {str(k): v for k, v in stored.statuses.items()}} | quantiles(stored.latencies_ms),
        "statuses": {str(k): v for k, v in tally.statuses.items()},
    }


async def merges(stack: LocalStack, count: int) -> dict[str, Any]:
    """Measures from a linking event's acknowledgement until a read by either identifier returns one contact."""
    waits = []
    async with stack.client() as client:
        for n in range(count):
            token = secrets.token_hex(6)
            for name in ("anonymous_id", "user_id"):
                seen = {"type": "seen", name: f"{name}-{token}"}
                (await client.post("/v1/events?sync=true&timeout_ms=10000", json=seen)).raise_for_status()
            both = {
                "type": "tied",
                "user_id": f"user_id-{token}",
                "anonymous_id": f"anonymous_id-{token}",
                "event_id": f"tie-{token}-{n}",
            }
            (await client.post("/v1/events", json=both)).raise_for_status()
            began = time.perf_counter()
            while True:
                paths = (f"/v1/contacts/anonymous_id:anonymous_id-{token}", f"/v1/contacts/external_id:user_id-{token}")
                a, b = [(await client.get(path)).json() for path in paths]
                if a["id"] == b["id"] and b["anonymous_ids"]:
                    break
            waits.append((time.perf_counter() - began) * 1000)
    return quantiles(waits)


async def define(stack: LocalStack, kind: str) -> None:
    rule = {"event": kind, "count": {"op": "gte", "value": 1}, "within": "1d"}
    async with stack.client() as client:
        answer = await client.post("/v1/segments", json={"name": kind, "rule": rule})
        answer.raise_for_status()
    await asyncio.sleep(2)  # all processes have the definition before the clock starts


async def _introduce(stack: LocalStack, kind: str, count: int) -> None:
    """Sends one page view of each contact, and waits for the contacts' rows."""
    seen = [{"type": f"seen {kind}", "user_id": f"{kind}-{n}"} for n in range(count)]
    batches = (request("/v1/events/batch", {"events": seen[n : n + 100]}) for n in range(0, count, 100))
    await flood(stack.settings.port, batches, connections=4, seconds=60)
    await burst_stored(stack, "SELECT count() FROM contacts WHERE startsWith(external_id, {kind:String})", kind, count)


async def burst_stored(stack: LocalStack, sql: str, kind: str, count: int) -> None:
    """Returns when the query counts the burst, after five minutes at most, and the database is quiet again."""
    client = await stack.database()
    for _ in range(1500):
        if (await client.query(sql, parameters={"kind": kind})).result_rows[0][0] >= count:
            break
        await asyncio.sleep(0.2)
    await client.close()
    await asyncio.sleep(3)  # excludes the database's merges of that burst from the measurement


async def watch_changes(stack: LocalStack, kind: str, seen: dict[str, float], count: int) -> None:
    """Records when each of these events' changes arrives, until the count is complete."""
    enough = asyncio.Event()

    def note(_record: Any, change: Change) -> None:
        if change["event_id"].startswith(kind):
            seen.setdefault(change["event_id"], time.perf_counter())
            if len(seen) >= count:
                enough.set()

    following = asyncio.create_task(follow_memberships(stack, note, wait_ms=100))
    try:
        await enough.wait()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def idle(stack: LocalStack, seconds: float) -> dict[str, Any]:
    """Measures CPU (share of one core) and memory of each idle process."""
    processes = stack.processes()
    before = {name: sum(p.cpu_times()[:2]) for name, p in processes.items()}
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    used = {name: (sum(p.cpu_times()[:2]) - before[name]) / took * 100 for name, p in processes.items()}
    return {
        "cpu_percent": {name: round(share, 2) for name, share in used.items()} | {"all": round(sum(used.values()), 2)},
        "rss_mb": {name: rss_mb(p) for name, p in processes.items()},
    }


def rss_mb(process: psutil.Process) -> int:
    return int(process.memory_info().rss // 1_000_000)
