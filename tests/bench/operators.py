"""Rule operators in; the cost of each one's test on the stream, as a ratio to its nearest neighbour, out.

Run `python -m tests.bench.operators`: no stack; operators take turns, so a busy machine slows all alike.
"""

import json
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from processors.segments.stage import SegmentsStage
from schemas import topics
from schemas.control.control_state import ControlState, Segment, ValueList, encode
from schemas.control.value_lists import ordered
from schemas.records import codec
from schemas.rules import rule_tree
from schemas.rules.conditions import Condition
from schemas.rules.evaluate import compile_rule
from schemas.rules.facts import ContactFacts, counted_for
from schemas.rules.nodes import ListValues, Rule
from schemas.rules.parse import parse
from tests.bench.stages import BATCH, feed
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, MemoryTables, event

LONG, INLINE = 10_000, 500
"""Values of a list, and most of a rule itself; half of the looked up ones are among them."""
ROUNDS, CALLS = 31, 20_000
LISTS = {
    f"{kind} {size}": ListValues(
        name=f"list_{size}", digest=f"{kind} {size}", values=tuple(f"{kind}-{n}" for n in range(size))
    )
    for kind in ("sku", "user")
    for size in (INLINE, LONG)
}


def _tree(rule: dict[str, Any], lists: dict[str, ListValues]) -> Rule:
    return rule_tree.expand(parse(rule), lambda _: None, (), lists)


def _attribute(value: Any, lists: dict[str, ListValues], size: int) -> Callable[[], None]:
    evaluate = compile_rule(_tree({"attribute": "sku", "op": "in", "value": value}, lists))
    rng = random.Random(1)
    some = [ContactFacts(attributes={"sku": [f"sku-{rng.randrange(2 * size)}", 0, ""]}) for _ in range(CALLS)]

    def run() -> None:
        for contact in some:
            evaluate(contact, 0)

    return run


def _identifier(value: Any, lists: dict[str, ListValues], size: int) -> Callable[[], None]:
    evaluate = compile_rule(_tree({"identifier": "external_id", "op": "in", "value": value}, lists))
    rng = random.Random(1)
    some = [ContactFacts(identifiers={"external_id": {f"user-{rng.randrange(2 * size)}"}}) for _ in range(CALLS)]

    def run() -> None:
        for contact in some:
            evaluate(contact, 0)

    return run


def _where(value: Any, lists: dict[str, ListValues], size: int) -> Callable[[], None]:
    rule = {"event": "bought", "where": [{"property": "sku", "op": "in", "value": value}]}
    (condition,) = counted_for(_tree(rule, lists))["bought"]
    counted: Condition = condition
    rng = random.Random(1)
    some = [{"sku": f"sku-{rng.randrange(2 * size)}", "total": 5} for _ in range(CALLS)]

    def run() -> None:
        for properties in some:
            counted.counts(0, properties)

    return run


def named_lists() -> dict[str, Any]:
    """Nanoseconds of a test by 500 inline values and by lists of 500 and 10,000; ratios to the inline test."""
    figures: dict[str, Any] = {}
    for name, make, kind in (
        ("attribute", _attribute, "sku"),
        ("where", _where, "sku"),
        ("identifier", _identifier, "user"),
    ):
        inline = make([f"{kind}-{n}" for n in range(INLINE)], {}, INLINE)
        short = make({"list": "l"}, {"l": LISTS[f"{kind} {INLINE}"]}, INLINE)
        long = make({"list": "l"}, {"l": LISTS[f"{kind} {LONG}"]}, LONG)
        times: dict[str, list[float]] = {"inline": [], "list": [], "long list": []}
        for _ in range(ROUNDS):
            for which, run in (("inline", inline), ("list", short), ("long list", long)):
                began = time.process_time_ns()
                run()
                times[which].append((time.process_time_ns() - began) / CALLS)
        cost = {which: median(some) for which, some in times.items()}
        figures[f"in, {name}"] = {
            "inline ns": round(cost["inline"]),
            "list of 500 x": round(cost["list"] / cost["inline"], 2),
            "list of 10,000 x": round(cost["long list"] / cost["inline"], 2),
        }
    return figures


def in_the_stage(count: int = 10_000, rounds: int = 7) -> dict[str, Any]:
    """Microseconds of an event through the segments stage with an inline test, and the ratio of a list's test."""
    rng = random.Random(1)
    values = {"inline": [f"sku-{n}" for n in range(INLINE)], "list": {"list": "skus"}}
    events = [
        event(f"external_id:u{n % 1000}", event_id=f"evt_{n}", type="bought", properties={"sku": _sku(rng)})
        for n in range(count)
    ]
    batches = [codec.encode_events(events[i : i + BATCH]) for i in range(0, count, BATCH)]
    times: dict[str, list[float]] = {"inline": [], "list": []}
    for _ in range(rounds):
        for which, value in values.items():
            control, tables = ControlState(), MemoryTables()
            rule = {"event": "bought", "where": [{"property": "sku", "op": "in", "value": value}]}
            home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS, "updated_ms": NOW_MS}
            skus = ordered([f"sku-{n}" for n in range(LONG)])
            record = ValueList(id=f"{ENVIRONMENT}/skus", name="skus", values=skus, version=1, **home)
            control.apply(*encode("list", record))
            control.apply(*encode("segment", Segment(id="seg_1", name="s", rule=rule, version=1, **home)))
            stage = SegmentsStage(control, 1)
            stage.on_assigned(0, lambda table, tables=tables: tables.scan(table, 0))  # type: ignore[misc]
            feed(stage, topics.RESOLVED.name, batches[:1], tables)  # the stage compiles its plan
            times[which].append(feed(stage, topics.RESOLVED.name, batches, tables) / count)
    cost = {which: median(some) for which, some in times.items()}
    return {"inline us": round(cost["inline"] * 1e6, 1), "list of 10,000 x": round(cost["list"] / cost["inline"], 2)}


def _sku(rng: random.Random) -> str:
    """Returns a SKU; half of all SKUs are on both lists."""
    return f"sku-{rng.choice((rng.randrange(INLINE), rng.randrange(LONG, 2 * LONG)))}"


if __name__ == "__main__":
    print(json.dumps(named_lists() | {"in, an event of the stage": in_the_stage()}, indent=2))
