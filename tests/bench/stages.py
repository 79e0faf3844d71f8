"""Encoded records in; events/s through each stage's pure step on one core, decoding and encoding included, out."""

import random
import time
from collections.abc import Sequence
from typing import Any

import orjson

from processors.identity.stage import IdentityStage
from processors.runtime.stage import InputRecord, PartitionState, Stage
from processors.segments.stage import SegmentsStage
from schemas import topics
from schemas.control.control_state import ControlState, Segment, encode
from schemas.records import codec
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, MemoryTables, event, link

BATCH = 100


def feed(
    stage: Stage, topic: str, values: list[bytes], tables: MemoryTables | None = None, now_ms: int = NOW_MS
) -> float:
    """Returns CPU seconds for these records, in groups of 20."""
    tables, offset = tables or MemoryTables(), 0
    began = time.process_time()
    for start in range(0, len(values), 20):
        state = PartitionState(0, tables)
        group = values[start : start + 20]
        records = [InputRecord(topic, 0, offset + n, None, value, now_ms) for n, value in enumerate(group)]
        stage.process(records, state, now_ms)
        tables.apply(0, state.writes)
        offset += len(group)
    return time.process_time() - began


def identity(count: int = 50_000) -> dict[str, Any]:
    """Measures known users without and with 1 % of linking events, then links alone through the resolver."""
    figures = {}
    for name, every in (("no links", 0), ("1 % links", 100)):
        events = []
        for n in range(count):
            names = [f"external_id:u{n % 5000}"]
            if every and n % every == 0:
                names.append(f"anonymous_id:a{n}")
            events.append(event(*names, event_id=f"evt_{n}", properties={"url": "https://example.com/a", "n": n}))
        values = [codec.encode_events(events[i : i + BATCH]) for i in range(0, count, BATCH)]
        figures[f"events/s, {name}"] = round(count / feed(IdentityStage(ControlState(), 4), topics.EVENTS.name, values))
    links = [link(f"external_id:u{n}", f"anonymous_id:a{n}", event=f"evt_{n}") for n in range(count // 2)]
    values = [codec.encode_links(links[i : i + BATCH]) for i in range(0, len(links), BATCH)]
    figures["new links/s, resolver"] = round(
        len(links) / feed(IdentityStage(ControlState(), 4), topics.LINKS.name, values)
    )
    star = [link("external_id:u", f"anonymous_id:a{n}", event=f"evt_{n}") for n in range(999)]
    seconds = feed(IdentityStage(ControlState(), 4), topics.LINKS.name, [codec.encode_links([value]) for value in star])
    figures["links/s, a star of 1,000"] = round(len(star) / seconds)
    return figures


def _rule(n: int) -> dict[str, Any]:
    """Returns one of four shapes of marketers' rules, over forty event types."""
    kind: dict[str, Any] = {"event": f"type_{n % 40}"}
    rules: list[dict[str, Any]] = [
        {**kind, "count": {"op": "gte", "value": 3}, "within": "30d"},
        {"attribute": f"attr_{n % 20}", "op": "eq", "value": "pro"},
        {"all": [{**kind, "where": [{"property": "total", "op": "gte", "value": 100}]}, {"identified": True}]},
        {"any": [{"attribute": "attr_3", "op": "gt", "value": 10}, {**kind, "count": {"op": "gte", "value": 10}}]},
    ]
    return rules[n % 4]


def segments(contacts: int = 20_000, count: int = 40_000, lives: Sequence[int] = (1, 10, 100)) -> dict[str, Any]:
    """Measures events of existing contacts, one in ten an identify call, with this many live segments."""
    rng = random.Random(1)
    figures: dict[str, Any] = {}
    first = [event(f"external_id:u{n}", event_id=f"first_{n}") for n in range(contacts)]
    later = []
    for n in range(count):
        name = f"external_id:u{rng.randrange(contacts)}"
        if n % 10:
            more = {"type": f"type_{rng.randrange(40)}", "properties": orjson.dumps({"total": rng.randrange(200)})}
        else:
            more = {"kind": "identify", "profile": orjson.dumps({"set": {f"attr_{n % 20}": rng.choice(["pro", 17])}})}
        later.append({**event(name, event_id=f"evt_{n}"), **more})
    for live in lives:
        control, tables = ControlState(), MemoryTables()
        for n in range(live):
            home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS, "updated_ms": NOW_MS}
            segment = Segment(id=f"seg_{n}", name="s", rule=_rule(n), version=1, **home)
            control.apply(*encode("segment", segment))
        stage = SegmentsStage(control, 1)
        stage.on_assigned(0, lambda table, tables=tables: tables.scan(table, 0))  # type: ignore[misc]
        # a minute after its start a stage stops re-emitting outputs
        for some, now_ms in ((first, NOW_MS), (later, NOW_MS + 60_000)):
            values = [codec.encode_events(some[i : i + BATCH]) for i in range(0, len(some), BATCH)]  # type: ignore[arg-type]
            seconds = feed(stage, topics.RESOLVED.name, values, tables, now_ms)
        figures[f"events/s, {live} segments"] = round(count / seconds)
        rows = [len(row) for _, row in tables.scan(topics.SEGMENT_STATES, 0)]
        figures[f"bytes per contact, {live} segments"] = round(sum(rows) / len(rows))
    return figures
