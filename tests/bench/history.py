"""A running stack in; the speed of a new segment's backfill over existing contacts out."""

import asyncio
import secrets
import time
from typing import Any

from tests.bench.pipeline import burst_stored, quantiles
from tests.support.load_client import flood, request
from tests.support.stack import LocalStack

EVENTS_EACH = 5
POLL_S = 0.1
BESIDE_PER_S = 20


async def _history(stack: LocalStack, kind: str, contacts: int) -> None:
    """Sends five events of each contact, and waits for the rows: the backfill reads ClickHouse."""
    events = (
        {"type": kind, "user_id": f"{kind}-{n % contacts}", "properties": {"total": n % 50}}
        for n in range(contacts * EVENTS_EACH)
    )
    batches = (
        request("/v1/events/batch", {"events": [next(events) for _ in range(100)]})
        for _ in range(contacts * EVENTS_EACH // 100)
    )
    await flood(stack.settings.port, batches, connections=4, seconds=600)
    sql = "SELECT uniqExact(event_id) FROM events WHERE type = {kind:String}"
    await burst_stored(stack, sql, kind, contacts * EVENTS_EACH)


async def backfill(stack: LocalStack, contacts: int) -> dict[str, Any]:
    """Measures from a segment's definition until it is live; meanwhile events keep coming, each timed to its row."""
    kind = f"past {secrets.token_hex(4)}"
    await _history(stack, kind, contacts)
    waits: list[float] = []
    async with stack.client() as client:

        async def beside() -> None:
            while True:
                began = time.perf_counter()
                order = {"type": "beside", "user_id": secrets.token_hex(6)}
                await client.post("/v1/events?sync=true&timeout_ms=10000", json=order)
                waits.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(1 / BESIDE_PER_S)

        also = asyncio.create_task(beside())
        began = time.perf_counter()
        rule = {"event": kind, "sum": {"property": "total", "op": "gte", "value": 100}}
        answer = await client.post("/v1/segments", json={"name": kind, "rule": rule})
        answer.raise_for_status()
        while True:
            shown = (await client.get(f"/v1/segments/{answer.json()['id']}")).json()
            if shown["status"] == "live" or time.perf_counter() - began > 600:
                break
            await asyncio.sleep(POLL_S)
        seconds = time.perf_counter() - began
        also.cancel()
        await asyncio.gather(also, return_exceptions=True)
    return {
        "contacts": contacts,
        "events": contacts * EVENTS_EACH,
        "live after s": round(seconds, 1),
        "contacts_per_s": round(contacts / seconds),
        "progress": shown["progress"],
        "sync events beside it": quantiles(waits),
    }
