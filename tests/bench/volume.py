"""A running stack in; an event's bytes on each topic and in each table, on disk, out.

The event is the example of the native API's reference. The growth of segments measures a topic, and a changelog before
its compaction. Active parts measure a table, after their merge.
"""

import asyncio
import secrets
import time
from pathlib import Path
from typing import Any

from tests.support.load_client import flood, request
from tests.support.stack import LocalStack

BATCH, ITEMS = 100, [{"sku": "PRO-12M", "quantity": 1, "price": 149.0}]
STORED = "SELECT uniqExact(event_id) FROM events WHERE type = {kind:String}"
PARTS = (
    "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"
)


def example(kind: str, n: int) -> dict[str, Any]:
    """Returns an event of a user's own browser, with its own order."""
    order = {"order_id": f"ord_{n:05}", "total": 149.0, "currency": "USD", "items": ITEMS}
    return {"type": kind, "user_id": f"usr_{n:04}", "anonymous_id": f"anon_{n:06x}", "properties": order}


def of_topics(log: Path) -> dict[str, int]:
    """Bytes of the segments of each topic: ``<topic>-<partition>/<offset>.log``."""
    sizes: dict[str, int] = {}
    for segment in log.glob("*/*.log"):
        topic = segment.parent.name.rpartition("-")[0]
        sizes[topic] = sizes.get(topic, 0) + segment.stat().st_size
    return sizes


async def of_tables(stack: LocalStack) -> dict[str, int]:
    client = await stack.database()
    try:
        for table in ("events", "contacts", "links"):
            await client.command(f"OPTIMIZE TABLE {table} FINAL")
        return {str(table): int(size) for table, size in (await client.query(PARTS)).result_rows}
    finally:
        await client.close()


async def measure(stack: LocalStack, count: int) -> dict[str, Any]:
    """Measures the bytes of an event; every fourth event belongs to a new contact."""
    kind, log = f"order_{secrets.token_hex(4)}", stack.settings.home / "kafka" / "log"
    topics, tables = of_topics(log), await of_tables(stack)
    events = [example(kind, n // 4 if n % 4 else n) for n in range(count)]
    bodies = (request("/v1/events/batch", {"events": events[at : at + BATCH]}) for at in range(0, count, BATCH))
    await flood(stack.settings.port, bodies, connections=8, seconds=600)
    client = await stack.database()
    stored, deadline = 0, time.monotonic() + 300
    while stored < count and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        stored = (await client.query(STORED, parameters={"kind": kind})).result_rows[0][0]
    await client.close()
    return {
        "stored": stored,
        "topics, bytes each": _each(topics, of_topics(log), count),
        "tables, bytes each": _each(tables, await of_tables(stack), count),
    }


def _each(before: dict[str, int], now: dict[str, int], count: int) -> dict[str, float]:
    grown = {name: round((size - before.get(name, 0)) / count, 1) for name, size in sorted(now.items())}
    return {name: size for name, size in grown.items() if size >= 1}
