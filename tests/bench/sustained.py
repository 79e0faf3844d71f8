"""A rate of events in; the rates that were answered and stored, the lag of rows, latencies and CPU out.

Batches of a hundred and single requests come at the same time, from known contacts in no order; three events in ten
are orders, which most of the segments count. A rate that the stack cannot keep shows as fewer answers each second and
as a lag that grows. `python -m tests.bench.sustained` starts its own stack; ``--help`` names the shares and counts.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from tests.bench import imports, pipeline
from tests.bench.cost import BATCH, plan, rules
from tests.bench.environment import environment
from tests.support.load_client import Tally, flood, paced, request
from tests.support.stack import LocalStack, local_stack

SAMPLE_S = 5
"""Seconds between two counts of the rows."""
DRAIN_S = 300
"""How long rows may take after the last answer."""
IDLE_S = 3
IDLE_CORES = 0.25
"""The preparation's work is done when all processes together use less than this for ``IDLE_S``."""
STORED = "SELECT count() FROM events WHERE type IN ('order_0', 'order_1', 'order_2', 'page_view')"
DISTINCT = STORED.replace("count()", "uniqExact(event_id)")


def event(chance: random.Random, contacts: int) -> dict[str, Any]:
    """Returns an event of any of the contacts."""
    kind = f"order_{chance.randrange(3)}" if chance.random() < 0.3 else "page_view"
    properties = {
        "total": chance.randrange(200),
        "url": "https://example.com/checkout?step=2",
        "title": "Checkout",
    }
    return {"type": kind, "user_id": f"sustained-{chance.randrange(contacts)}", "properties": properties}


def contact(n: int) -> dict[str, Any]:
    return {"external_id": f"sustained-{n}", "attributes": {f"attr_{n % 4}": plan(n % 20)}}


async def prepare(stack: LocalStack, contacts: int, segments: int) -> None:
    """Defines the segments, and waits until each contact has a row and all that follows from it is done."""
    async with stack.client() as client:
        for n, rule in enumerate(rules(segments)):
            (await client.post("/v1/segments", json={"name": f"sustained {n}", "rule": rule})).raise_for_status()
    parts = [range(at, min(at + imports.BATCH, contacts)) for at in range(0, contacts, imports.BATCH)]
    bodies = (request("/v1/contacts/batch", {"contacts": [contact(n) for n in part]}) for part in parts)
    tally = await flood(stack.settings.port, bodies, connections=4, seconds=900)
    assert tally.statuses == {202: len(parts)}, tally.statuses
    database = await stack.database()
    try:
        async with asyncio.timeout(900):
            while (await database.query(imports.COUNTED, {"name": "sustained-"})).result_rows[0][0] < contacts:
                await asyncio.sleep(0.5)
            await _idle(stack)
    finally:
        await database.close()


async def _idle(stack: LocalStack) -> None:
    """Returns when the stack's processes have used next to no CPU for some seconds."""
    spent = sum(imports.cpu_seconds(stack).values())
    while True:
        await asyncio.sleep(IDLE_S)
        before, spent = spent, sum(imports.cpu_seconds(stack).values())
        if spent - before < IDLE_CORES * IDLE_S:
            return


async def measure(stack: LocalStack, *, rate: int, seconds: int, singles: float, contacts: int) -> dict[str, Any]:
    """Sends at this rate for this time, to a prepared stack; returns figures of the whole stack."""
    chance = random.Random(rate)
    offered = rate * seconds
    single_requests = [request("/v1/events", event(chance, contacts)) for _ in range(round(offered * singles))]
    parts = [min(BATCH, offered - at) for at in range(len(single_requests), offered, BATCH)]
    batches = [
        request("/v1/events/batch", {"events": [event(chance, contacts) for _ in range(size)]}) for size in parts
    ]
    port, database = stack.settings.port, await stack.database()
    lags: dict[int, int] = {}
    spent, began = imports.cpu_seconds(stack), time.perf_counter()
    sampling = asyncio.create_task(_sample(database, rate, seconds, lags))
    try:
        single, batch = await asyncio.gather(
            paced(port, single_requests, per_second=rate * singles, connections=64),
            paced(port, batches, per_second=rate * (1 - singles) / BATCH, connections=16),
        )
        sampling.cancel()
        answered = time.perf_counter() - began
        accepted = _accepted(single) + min(BATCH * _accepted(batch), sum(parts))
        await _drained(database, accepted)
        stored = time.perf_counter() - began
        used = imports.cpu_us(stack, spent, max(1, accepted))
        rows = (await database.query(DISTINCT)).result_rows[0][0]
    finally:
        sampling.cancel()
        await database.close()
    return {
        "events": accepted,
        "rows": rows,
        "answered_per_s": round(accepted / answered),
        "stored_per_s": round(min(rows, accepted) / stored),
        "rows_after_s": round(stored - answered, 1),
        "lag_by_s": lags,
        "single": {"statuses": single.statuses, **pipeline.quantiles(single.latencies_ms)},
        "batch": {"statuses": batch.statuses, **pipeline.quantiles(batch.latencies_ms)},
        "cpu_us_each": used,
        "rss_mb": {name: pipeline.rss_mb(process) for name, process in stack.processes().items()},
    }


def _accepted(tally: Tally) -> int:
    return tally.statuses.get(202, 0)


async def _sample(database: AsyncClient, rate: int, seconds: int, lags: dict[int, int]) -> None:
    """Notes every few seconds how many events that were due have no row yet; refused ones never get one."""
    began = time.perf_counter()
    while True:
        await asyncio.sleep(SAMPLE_S)
        with suppress(ClickHouseError):  # a sample less
            rows = await _rows(database)
            at = time.perf_counter() - began
            lags[round(at)] = round(min(at, seconds) * rate) - rows


async def _drained(database: AsyncClient, count: int) -> None:
    """Returns when there are so many rows, or after ``DRAIN_S``."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_S):
            while await _rows(database) < count:
                await asyncio.sleep(0.2)


async def _rows(database: AsyncClient) -> int:
    return int((await database.query(STORED)).result_rows[0][0])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sustained", description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="events a second")
    parser.add_argument("--seconds", type=int, default=60, help="how long")
    parser.add_argument("--singles", type=float, default=0.2, help="the share of events in single requests")
    parser.add_argument("--contacts", type=int, default=100_000, help="known contacts")
    parser.add_argument("--segments", type=int, default=10, help="segments, of which three in ten have a window")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    load = {name: getattr(options, name) for name in ("rate", "seconds", "singles", "contacts")}
    with tempfile.TemporaryDirectory() as home, local_stack(Path(home)) as stack:

        async def run() -> dict[str, Any]:
            await prepare(stack, options.contacts, options.segments)
            return await measure(stack, **load)

        figures = {"environment": environment(), "load": load | {"segments": options.segments}, **uvloop.run(run())}
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
