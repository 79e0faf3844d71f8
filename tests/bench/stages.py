"""Nothing in; events/s through each stage's pure step on one core, decoding and encoding included, out."""

import time
from typing import Any

from processors.identity.stage import IdentityStage
from processors.runtime.stage import Record, State
from schemas import codec, topics
from tests.builders import NOW_MS, MemoryTables, event, link

BATCH = 100


def _feed(stage: IdentityStage, topic: str, values: list[bytes]) -> float:
    """Seconds for these records, in groups of 20."""
    tables, offset = MemoryTables(), 0
    began = time.perf_counter()
    for start in range(0, len(values), 20):
        state = State(0, tables)
        group = values[start : start + 20]
        records = [Record(topic, 0, offset + n, None, value, NOW_MS) for n, value in enumerate(group)]
        stage.step(records, state, NOW_MS)
        tables.apply(0, state.writes)
        offset += len(group)
    return time.perf_counter() - began


def identity(count: int = 50_000) -> dict[str, Any]:
    """Known users without and with 1 % of events that teach a link, then links alone through the resolver."""
    figures = {}
    for name, every in (("no links", 0), ("1 % links", 100)):
        events = []
        for n in range(count):
            names = [f"external_id:u{n % 5000}"]
            if every and n % every == 0:
                names.append(f"anonymous_id:a{n}")
            events.append(event(*names, event_id=f"evt_{n}", properties={"url": "https://example.com/a", "n": n}))
        values = [codec.encode_events(events[i : i + BATCH]) for i in range(0, count, BATCH)]
        figures[f"events/s, {name}"] = round(count / _feed(IdentityStage(4), topics.EVENTS.name, values))
    links = [link(f"external_id:u{n}", f"anonymous_id:a{n}", event=f"evt_{n}") for n in range(count // 2)]
    values = [codec.encode_links(links[i : i + BATCH]) for i in range(0, len(links), BATCH)]
    figures["new links/s, resolver"] = round(len(links) / _feed(IdentityStage(4), topics.LINKS.name, values))
    star = [link("external_id:u", f"anonymous_id:a{n}", event=f"evt_{n}") for n in range(999)]
    seconds = _feed(IdentityStage(4), topics.LINKS.name, [codec.encode_links([one]) for one in star])
    figures["links/s, a star of 1,000"] = round(len(star) / seconds)
    return figures
