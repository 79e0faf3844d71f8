"""A rate of events in; the rate that was answered and stored, the lag of the rows, latencies and CPU out.

Batches of a hundred and single requests come at the same time, from known contacts; three events in ten are orders,
which most of the segments count. A rate that the stack cannot keep shows as fewer answers each second and as a lag that
grows. `python -m tests.bench.sustained` starts its own stack; ``--help`` names the shares and counts.
"""

import argparse
import asyncio
import json
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import imports
from tests.bench.cost import BATCH
from tests.bench.environment import environment
from tests.bench.pipeline import quantiles
from tests.support.load_client import Tally, flood, paced, request
from tests.support.stack import LocalStack, local_stack

LOOK_S = 5
"""Seconds between two looks at the rows."""
IDLE_S, IDLE_CORES = 3, 0.25
"""The preparation's work is done when all processes together use less than this for so long."""
STORED = "SELECT count() FROM events WHERE JSONExtractString(properties, 'run') = {run:String}"


def event(run: str, n: int, contacts: int) -> dict[str, Any]:
    """Returns the nth event of a run: contacts take turns in an order that is not that of their ids."""
    kind = f"order_{n % 3}" if n % 10 < 3 else "page_view"
    properties = {"total": n % 200, "url": "https://example.com/checkout?step=2", "title": "Checkout", "run": run}
    return {"type": kind, "user_id": f"sustained-{n * 7919 % contacts}", "properties": properties}


def rules(count: int) -> list[dict[str, Any]]:
    """Returns rules of segments; of ten three have a window, four ask for an attribute, three for a property."""
    made: list[dict[str, Any]] = []
    for n in range(count):
        more, kind = divmod(n, 10)
        rule: dict[str, Any]
        if kind < 3:
            rule = {"event": f"order_{kind}", "count": {"op": "gte", "value": 3 + more}, "within": "30d"}
        elif kind < 7:
            rule = {"attribute": f"attr_{kind}", "op": "eq", "value": f"pro {more}"}
        else:
            where = [{"property": "total", "op": "gte", "value": 100 + more}]
            rule = {"event": f"order_{kind - 7}", "where": where}
        made.append(rule)
    return made


async def prepare(stack: LocalStack, contacts: int, segments: int) -> None:
    """Defines the segments, and waits until each contact has a row and all that follows from it is done."""
    async with stack.client() as client:
        for n, rule in enumerate(rules(segments)):
            (await client.post("/v1/segments", json={"name": f"sustained {n}", "rule": rule})).raise_for_status()
    seen = (
        request(
            "/v1/events/batch",
            {"events": [{"type": "seen", "user_id": f"sustained-{n}"} for n in range(at, min(at + BATCH, contacts))]},
        )
        for at in range(0, contacts, BATCH)
    )
    await flood(stack.settings.port, seen, connections=8, seconds=900)
    database = await stack.database()
    try:
        async with asyncio.timeout(900):
            sql = "SELECT uniqExact(external_id) FROM contacts WHERE startsWith(external_id, 'sustained-')"
            while (await database.query(sql)).result_rows[0][0] < contacts:
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
    """Sends at this rate for this time; returns figures of the whole stack."""
    run = secrets.token_hex(4)
    alone = [request("/v1/events", event(run, n, contacts)) for n in range(round(rate * singles * seconds))]
    batches = [
        request("/v1/events/batch", {"events": [event(run, n + k, contacts) for k in range(BATCH)]})
        for n in range(len(alone), rate * seconds, BATCH)
    ]
    port, spent, began = stack.settings.port, imports.cpu_seconds(stack), time.perf_counter()
    looking = asyncio.create_task(_look(stack, run, rate, began))
    single, batch = await asyncio.gather(
        paced(port, alone, per_second=rate * singles, connections=64),
        paced(port, batches, per_second=rate * (1 - singles) / BATCH, connections=16),
    )
    answered, taken = time.perf_counter() - began, _accepted(single) + BATCH * _accepted(batch)
    lags = await _drained(stack, looking, run, taken)
    stored = time.perf_counter() - began
    return {
        "events": taken,
        "answered_per_s": round(taken / answered),
        "stored_per_s": round(taken / stored),
        "rows_after_s": round(stored - answered, 1),
        "lag_by_s": lags,
        "single": {"statuses": _statuses(single)} | quantiles(single.latencies_ms),
        "batch": {"statuses": _statuses(batch)} | quantiles(batch.latencies_ms),
        "cpu_us_each": imports.cpu_us(stack, spent, taken),
        "rss_mb": {name: round(process.memory_info().rss / 2**20) for name, process in stack.processes().items()},
    }


def _accepted(tally: Tally) -> int:
    return tally.statuses.get(202, 0)


def _statuses(tally: Tally) -> dict[str, int]:
    return {str(status): count for status, count in tally.statuses.items()}


async def _look(stack: LocalStack, run: str, rate: int, began: float) -> dict[int, int]:
    """Notes every few seconds how many of the offered events have no row yet; ends when it is cancelled."""
    client, lags = await stack.database(), {}
    try:
        while True:
            await asyncio.sleep(LOOK_S)
            at = time.perf_counter() - began
            lags[round(at)] = round(at * rate) - await _rows(client, run)
    except asyncio.CancelledError:
        return lags
    finally:
        await client.close()


async def _drained(stack: LocalStack, looking: "asyncio.Task[dict[int, int]]", run: str, count: int) -> dict[int, int]:
    looking.cancel()
    lags = await looking
    client = await stack.database()
    try:
        async with asyncio.timeout(300):
            while await _rows(client, run) < count:
                await asyncio.sleep(0.1)
    finally:
        await client.close()
    return lags


async def _rows(client: Any, run: str) -> int:
    return int((await client.query(STORED, parameters={"run": run})).result_rows[0][0])


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
