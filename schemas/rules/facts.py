"""A contact's stored events in; the values that rules need out, so a rule runs without the stage's state."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.records.sameness import counted_key
from schemas.rules import rule_tree, windows
from schemas.rules.conditions import Condition, CountedEvents, condition, needs
from schemas.rules.nodes import Rule
from schemas.rules.windows import MOST_EVENTS, Retention, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFacts:
    """``schemas.rules.evaluate.Facts`` as plain values."""

    attributes: dict[str, list[Any]] = field(default_factory=dict)
    consents: dict[str, list[Any]] = field(default_factory=dict)
    counts: dict[str, Series] = field(default_factory=dict)
    members: dict[str, Any] = field(default_factory=dict)
    identifiers: Mapping[str, Collection[str]] = field(default_factory=dict)
    is_identified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFact:
    """A tracked event; ``properties`` holds plain JSON values."""

    time_ms: int
    event_id: str
    sender: str = ""
    """The end of its sender's own contact id, as ``schemas.records.sameness`` cuts it."""
    type: str
    properties: Any


def counted_for(tree: Rule) -> dict[str, list[Condition]]:
    """The counted events of a whole rule by type: the newest ``MOST_EVENTS`` of each, however old."""
    everything = Retention(most=MOST_EVENTS, ms=None)
    counted: dict[str, CountedEvents] = {
        what.id: what for leaf in rule_tree.all_leaves(tree) for what, _ in needs(leaf)
    }
    by_type: dict[str, list[Condition]] = defaultdict(list)
    for what in counted.values():
        by_type[what.event].append(condition(what, [everything], frozenset()))
    return by_type


def counts_of(tree: Rule, events: Iterable[EventFact], now_ms: int) -> dict[str, Series]:
    """Returns the series of a whole rule's conditions."""
    conditions = counted_for(tree)
    counts: dict[str, Series] = {}
    for event in events:
        key = counted_key(event.event_id, event.sender)
        for counted in conditions.get(event.type, ()):
            value = counted.counts(event.time_ms, event.properties)
            if value is not None:
                series = counts.setdefault(counted.id, [[], [], *([] for _ in value)])
                windows.add(series, event.time_ms, key, counted.keep, now_ms, *value)
    return counts
