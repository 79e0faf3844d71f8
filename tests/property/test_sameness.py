"""Any mix of events by any path through two edges: rows, segments, webhooks and figures count the same ones."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.records.sameness import event_key
from tests.property.world_sameness import Counts, Edges
from tests.support.campaign_oracle import facts_of

SENDERS = ({"user_id": "a"}, {"user_id": "b"}, {"anonymous_id": "z"}, {"user_id": "a", "anonymous_id": "z"})
TIMES: tuple[dict[str, Any], ...] = ({}, {"timestamp": 1_789_999_000_000}, {"timestamp": 1_789_999_500_000})
PATHS = (
    *("/v1/events", "/v1/events?sync=true", "/v1/events/batch", "/v1/events/batch?sync=true"),
    *("/v1/track", "/v1/batch"),
)
events = st.builds(
    lambda event_id, kind, sender, total, when, campaign: {
        **({"event_id": event_id} if event_id else {}),
        "type": kind,
        **sender,
        "properties": {"total": total, **({"campaign_id": campaign} if campaign else {})},
        **when,
    },
    st.sampled_from(["3001", "3001", "3002", ""]),
    st.sampled_from(["order", "seen", "message.sent"]),
    st.sampled_from(SENDERS),
    st.integers(1, 2),
    st.sampled_from(TIMES),
    st.sampled_from(["", "", "c1", "c2"]),
)
requests = st.tuples(
    st.integers(0, 1), st.sampled_from(PATHS), st.lists(events, min_size=1, max_size=4), st.sampled_from([0, 0, 0, 1])
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("edges")


def test_everything_counts_the_same_events(home: Path) -> None:
    """Crashes of identity, segments and sink included, and edges that forget."""
    loop = asyncio.new_event_loop()
    edges = loop.run_until_complete(_edges(home))

    @given(st.lists(requests, min_size=1, max_size=8), st.integers(1, 3), st.integers(0, 2**32))
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def check(sent: list[Any], remembers: int, seed: int) -> None:
        loop.run_until_complete(_check(edges, sent, remembers, random.Random(seed)))

    try:
        check()
    finally:
        loop.run_until_complete(edges.close())
        loop.close()


async def _edges(home: Path) -> Edges:
    return Edges(home)


async def _check(edges: Edges, sent: list[Any], remembers: int, rng: random.Random) -> None:
    edges.begin(remembers)
    for number, path, some, forgets in sent:
        await edges.send(number, path, some)
        if forgets:
            edges.restart(number, remembers)
    counts = Counts(edges.log.records, rng)
    truth = counts.truth
    assert len([e for e in truth.values() if e["event_id"] in ("3001", "3002")]) == len(_said(sent))

    rows, again = await counts.rows()
    kept = {event_key(row): row for row in rows.values()}
    assert len(rows) == len(kept) == len(truth), "no event has two rows"
    for key, row in kept.items():
        assert {name: row[name] for name in _SAID} == {name: truth[key][name] for name in _SAID}  # type: ignore[literal-required]
    assert len(rows) + again == len(edges.log.events), "each that was taken is a row or a duplicate"

    assert counts.segments() == counts.counted()

    assert Counter(counts.deliveries().values()) == Counter(
        orjson.dumps(orjson.loads(e["properties"])) for e in truth.values()
    )

    figures = Counter(e["campaign_id"] for e, _, _ in facts_of(rows.values(), {}, edges.now_ms))
    assert figures == Counter(e["campaign_id"] for e in truth.values())


_SAID = ("timestamp_ms", "received_ms", "properties", "campaign_id")


def _said(sent: list[Any]) -> set[tuple[str, ...]]:
    """What clients would call different events: by id, type and who sent it."""
    keys: set[tuple[str, ...]] = set()
    for _, _, some, _ in sent:
        for row in some:
            if "event_id" in row:
                sender = f"user {row['user_id']}" if "user_id" in row else "browser"
                keys.add((row["event_id"], row["type"], sender))
    return keys
