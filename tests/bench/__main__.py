"""Bench arguments in; a table on the terminal and `bench.json` out: `python -m tests.bench [--quick]`.

Limits of the figures: client, broker, database and all stages share this machine's cores, so a stage alone is faster
than it looks here. Compare ratios within one run, never two machines.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import (
    campaigns,
    contacts,
    cost,
    edge,
    history,
    imports,
    merges,
    operators,
    pipeline,
    stages,
    volume,
    webhooks,
)
from tests.bench.environment import environment
from tests.support.stack import local_stack


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def table(name: str, value: Any, indent: int = 0) -> None:
    """Formats figures as indented lines: a number and its name."""
    pad = "  " * indent
    if isinstance(value, dict) and not all(isinstance(v, int | float) for v in value.values()):
        print(f"{pad}{name}")
        for key, part in value.items():
            table(key, part, indent + 1)
    elif isinstance(value, dict):
        print(f"{pad}{name:<24} " + "  ".join(f"{k} {v}" for k, v in value.items()))
    else:
        print(f"{pad}{name:<24} {value}")


async def measure(*, quick: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {"environment": environment()}
    seconds, bulk, rated = (3, 10_000, 5) if quick else (8, 100_000, 20)
    with tempfile.TemporaryDirectory() as home:
        say("starting a stack of its own")
        began = time.perf_counter()
        with local_stack(Path(home)) as stack:
            figures["stack ready after s"] = round(time.perf_counter() - began, 1)
            say("idle")
            figures["idle"] = await pipeline.idle(stack, 10 if quick else 30)
            for name, contacts_exist in (("known contacts", True), ("new contacts", False)):
                say(f"latency at 1,000 events/s, {name}")
                figures[f"latency, {name}"] = await pipeline.latency(stack, 1000, rated, contacts_exist=contacts_exist)
            say("merges")
            figures["merge, until reads show one contact"] = await pipeline.merges(stack, 20 if quick else 100)
            say("upserts")
            figures["upsert, until it can be read"] = await contacts.upserts(stack, 50 if quick else 300)
            say("imports of contacts")
            figures["contacts written"] = await imports.measure(stack, quick=quick)
            say("through everything")
            figures["everything"] = await pipeline.throughput(stack, bulk)
            figures["rss_mb after it"] = (await pipeline.idle(stack, 0.1))["rss_mb"]
    with tempfile.TemporaryDirectory() as home, local_stack(Path(home)) as stack:
        say("CPU of an event and of a contact in each process")
        figures["cost"] = await cost.measure(stack, quick=quick)
        say("bytes of an event")
        figures["volume"] = await volume.measure(stack, 5_000 if quick else 50_000)
    with tempfile.TemporaryDirectory() as home, local_stack(Path(home)) as stack:
        count = 5_000 if quick else 50_000
        say(f"a new segment over {count:,} contacts")
        figures["new segment"] = await history.backfill(stack, count)
    with tempfile.TemporaryDirectory() as home, local_stack(Path(home), webhook_allow_private=True) as stack:
        say("webhooks")
        figures["webhooks"] = await webhooks.measure(stack, quick=quick)
    with tempfile.TemporaryDirectory() as home:
        say("edge")
        figures["edge"] = await edge.measure(Path(home), seconds)
    with tempfile.TemporaryDirectory() as home:
        count = 2_000_000 if quick else 50_000_000
        say(f"campaigns' figures among {count:,} events")
        figures["campaigns, 1,000"] = await campaigns.measure(Path(home), count)
    with tempfile.TemporaryDirectory() as home:
        count = 100_000 if quick else 1_000_000
        say(f"reads among {count:,} contacts")
        figures["contacts"] = await contacts.measure(Path(home), count)
    figures |= alone(quick=quick)
    return figures


def alone(*, quick: bool) -> dict[str, Any]:
    """Returns figures of code that needs no stack."""
    figures: dict[str, Any] = {}
    say("stages alone")
    figures["identity alone"] = stages.identity()
    for count, lives in ((10_000, (1, 10, 100)), (100_000, (10,)), (1_000_000, (10,))):
        if count <= 10_000 or not quick:
            figures[f"segments alone, {count:,} contacts"] = stages.segments(count, lives=lives)
    say("operators")
    figures["operators, to their neighbours"] = operators.named_lists() | {
        "in, an event of the stage": operators.in_the_stage()
    }
    say("merge maps")
    figures["merge maps"] = merges.merges(200_000 if quick else 2_000_000)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, coarser figures")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where to write the figures")
    options = parser.parse_args()
    figures = uvloop.run(measure(quick=options.quick))
    for name, value in figures.items():
        table(name, value)
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    say(f"written to {options.json}")


if __name__ == "__main__":
    main()
