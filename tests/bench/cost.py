"""A running stack in; the CPU cost of an event and of a contact of a batch in each process out.

Beside the load, the client repeats a fixed piece of work, and each cost is also a multiple of it. A busy or slower
machine makes both dearer alike, so these multiples compare across runs, unlike microseconds.
`python -m tests.bench.cost [--quick] [--accept]` measures this alone, with its own stack, and compares it with the
accepted figures. Exit status 1 if an event or a contact costs more than ``compare.MOST`` times as much.
"""

import argparse
import asyncio
import hashlib
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import uvloop

from tests.bench import compare, imports
from tests.bench.environment import environment
from tests.support.load_client import flood, request
from tests.support.stack import LocalStack, local_stack

BATCH = 100
UNIT_EVERY_S = 0.05
ROUNDS = 3


def rules(count: int) -> list[dict[str, Any]]:
    """Returns rules of segments; of ten three have a window, four ask for an attribute, three for a property."""
    made: list[dict[str, Any]] = []
    for n in range(count):
        variant, shape = divmod(n, 10)
        rule: dict[str, Any]
        if shape < 3:
            rule = {"event": f"order_{shape}", "count": {"op": "gte", "value": 3 + variant}, "within": "30d"}
        elif shape < 7:
            rule = {"attribute": f"attr_{shape - 3}", "op": "eq", "value": plan(variant)}
        else:
            where = [{"property": "total", "op": "gte", "value": 100 + variant}]
            rule = {"event": f"order_{shape - 7}", "where": where}
        made.append(rule)
    return made


def plan(variant: int) -> str:
    """Returns the attribute's value that the rules of a variant ask for."""
    return f"pro {variant}" if variant else "pro"


SEGMENTS = tuple(rules(10))


def unit_of_work() -> float:
    """Returns the CPU seconds of a fixed piece of work that resembles the stages' work."""
    began = time.thread_time()
    rows: dict[str, dict[str, Any]] = {}
    for n in range(500):
        name = hashlib.sha256(b"%d" % n).hexdigest()
        row = orjson.loads(orjson.dumps({"id": name, "n": n, "tags": ["a", name[:8]], "when": {"at": n * 1000}}))
        rows[row["id"]] = {key: value for key, value in row.items() if value is not None}
    sorted(rows, key=lambda name: rows[name]["n"], reverse=True)
    return time.thread_time() - began


async def beside(work: Callable[[], Awaitable[dict[str, Any]]]) -> tuple[dict[str, Any], float]:
    """Returns the work's result, and the median unit of work in µs meanwhile."""
    units: list[float] = []

    async def measure() -> None:
        while True:
            units.append(unit_of_work())
            await asyncio.sleep(UNIT_EVERY_S)

    measuring = asyncio.create_task(measure())
    try:
        return await work(), statistics.median(units) * 1e6
    finally:
        measuring.cancel()


async def events(stack: LocalStack, count: int) -> dict[str, Any]:
    """Sends tracked events of known contacts, a hundred a request, and waits for all rows."""
    kind = f"order_{secrets.token_hex(4)}"
    requests = (
        request("/v1/events/batch", {"events": [event(kind, at + n) for n in range(BATCH)]})
        for at in range(0, count, BATCH)
    )
    client = await stack.database()
    spent, began = imports.cpu_seconds(stack), time.perf_counter()
    tally = await flood(stack.settings.port, requests, connections=8, seconds=600)
    sql, stored = "SELECT uniqExact(event_id) FROM events WHERE type = {kind:String}", 0
    while stored < count and time.perf_counter() - began < 300:
        await asyncio.sleep(0.2)
        stored = (await client.query(sql, parameters={"kind": kind})).result_rows[0][0]
    seconds = time.perf_counter() - began
    await client.close()
    return {
        "events": count,
        "rows": stored,
        "per_s": round(stored / seconds),
        "cpu_us_each": imports.cpu_us(stack, spent, count),
        "statuses": {str(k): v for k, v in tally.statuses.items()},
    }


def event(kind: str, n: int) -> dict[str, Any]:
    properties = {"total": n % 200, "url": "https://example.com/checkout?step=2", "title": "Checkout"}
    return {"type": kind, "user_id": f"user-{n % 20_000}", "properties": properties}


async def measure(stack: LocalStack, *, quick: bool) -> dict[str, Any]:
    """Returns the cheapest of some rounds of each kind: other load on the machine only adds cost."""
    async with stack.client() as client:
        for n, rule in enumerate(SEGMENTS):
            (await client.post("/v1/segments", json={"name": f"cost {n}", "rule": rule})).raise_for_status()
    await events(stack, 20_000)  # the contacts exist, and every process is warm
    many, people = (20_000, 5_000) if quick else (100_000, 20_000)
    works: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
        "event of a batch": lambda: events(stack, many),
        "contact of a batch": lambda: imports.batches(stack, people, emails=False),
    }
    figures = {}
    for name, work in works.items():
        rounds = [_in_units(*await beside(work)) for _ in range(ROUNDS)]
        figures[name] = min(rounds, key=lambda figure: figure["units_each"]["all"])
    return figures


def _in_units(figure: dict[str, Any], unit_us: float) -> dict[str, Any]:
    units = {name: round(us / unit_us, 4) for name, us in figure["cpu_us_each"].items()}
    return {**figure, "unit_us": round(unit_us), "units_each": units}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cost", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer events and contacts, coarser figures")
    parser.add_argument("--accept", action="store_true", help="make this run the state that later ones are compared to")
    parser.add_argument("--json", type=Path, default=Path("bench-cost.json"), help="where to write the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, local_stack(Path(home)) as stack:
        figures = {"environment": environment(), **uvloop.run(measure(stack, quick=options.quick))}
    text = json.dumps(figures, indent=2) + "\n"
    options.json.write_text(text)
    accepted = compare.read(compare.ACCEPTED)
    print(compare.table(figures, accepted))
    if options.accept:
        compare.ACCEPTED.write_text(text)
        return
    if complaints := compare.complaints(figures, accepted):
        raise SystemExit("\n".join(complaints))


if __name__ == "__main__":
    main()
