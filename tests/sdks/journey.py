"""What every SDK is made to do, and what must be true of it afterwards; what was read back in, faults in words out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

BATCH, OFFLINE = 25, 5
PAST_MS = int(datetime.fromisoformat("2025-01-15T10:30:00+00:00").timestamp() * 1000)
SLACK_MS = 3_000
"""A clock is corrected by the time of arrival, so a slow way shows."""
BOUGHT = {
    "total": 149.5,
    "note": "danke 🎉 Grüße",
    "items": [{"sku": "A-1", "tags": ["x", "y"]}],
    "deep": {"a": {"b": [1, 2.5, True]}},
}
TRAITS = {"plan": "pro", "address": {"city": "Köln"}}
PAGES = frozenset({"$page", "$pageview", "$screen"})
ONCE = {"Looked": 1, "Bought": 1, "Batch": BATCH, "Offline": OFFLINE, "Past": 1}


@dataclass(frozen=True, slots=True)
class Names:
    """Who takes part in one run."""

    run: str

    @property
    def ann(self) -> str:
        return f"{self.run}-ann"

    @property
    def ben(self) -> str:
        return f"{self.run}-ben"

    @property
    def nick(self) -> str:
        """What Ann was called before, or is called elsewhere."""
        return f"{self.run}-nick"


@dataclass(frozen=True, slots=True)
class SeenEvent:
    type: str
    at_ms: int
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    external_id: str | None
    attributes: Mapping[str, Any]
    events: tuple[SeenEvent, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    ann: Person | None
    ben: Person | None
    nick: str | None
    """The contact that the alias leads to."""
    groups: tuple[str, ...] = ()
    """Contacts that a group's own id was made into."""


def faults(
    names: Names,
    outcome: Outcome,
    cannot: Mapping[str, str],
    began_ms: int,
    ended_ms: int,
    *,
    later_ms: tuple[int, int] = (0, 0),
    skew_ms: int = 0,
) -> list[str]:
    """Empty where each event is there once, with the right contact, time and properties.

    ``later_ms`` is how much later the requests of a journey were sent again, at least and at most: a correction by when
    they were sent puts their events as much later, unless so much is no clock's. ``skew_ms`` is how far the clock of
    the SDK's machine was ahead: what it says to be now is now, a time that its user gives may be corrected likewise.
    """
    ann, ben = outcome.ann, outcome.ben
    if ann is None or ben is None:
        return [f"no contact for {name}" for name, person in (("ann", ann), ("ben", ben)) if person is None]
    return [
        *_people(names, outcome, ann, ben, cannot),
        *_counts(ann, ben, cannot),
        *_times((*ann.events, *ben.events), began_ms, ended_ms, later_ms, skew_ms),
        *_values(ann),
    ]


def _people(names: Names, outcome: Outcome, ann: Person, ben: Person, cannot: Mapping[str, str]) -> list[str]:
    problems = []
    if ann.id == ben.id:
        problems.append("two users are one contact")
    for name, person in ((names.ann, ann), (names.ben, ben)):
        if person.external_id != name:
            problems.append(f"{name} is shown as {person.external_id}")
        expected = {"email": f"{name}@example.com", **(TRAITS if person is ann else {})}
        problems += [
            f"{name}: attribute {key} is {person.attributes.get(key)!r}, not {value!r}"
            for key, value in expected.items()
            if person.attributes.get(key) != value
        ]
    if "alias" not in cannot and outcome.nick != ann.id:
        problems.append(f"the alias leads to {outcome.nick}, not to ann")
    if outcome.groups:
        problems.append(f"a group became a contact: {outcome.groups}")
    return problems


def _counts(ann: Person, ben: Person, cannot: Mapping[str, str]) -> list[str]:
    counted, problems = Counter(seen.type for seen in ann.events), []
    skipped = {"Past" if "past" in cannot else "", "Offline" if "offline" in cannot else ""}
    skipped.add("Looked" if "history" in cannot else "")
    for kind, count in ONCE.items():
        if kind not in skipped and counted[kind] != count:
            problems.append(f"ann: {counted[kind]} of {count} {kind}")
        numbers = Counter(seen.properties.get("n") for seen in ann.events if seen.type == kind)
        if count > 1 and any(times > 1 for times in numbers.values()):
            problems.append(f"ann: {kind} came more than once: {numbers}")
    if "page" not in cannot and not any(counted[kind] for kind in PAGES):
        problems.append("ann: no page view")
    if "group" not in cannot and not counted["$group"] + counted["$groupidentify"]:
        problems.append("ann: no group")
    second = Counter(seen.type for seen in ben.events)
    problems += [
        f"{kind}: {second[kind]} at ben, {counted[kind]} at ann"
        for kind in ("Bought2", *(() if "close" in cannot else ("Left",)))
        if second[kind] != 1 or counted[kind]
    ]
    mixed = sorted(set(second) & set(ONCE))
    return [*problems, f"ben has of ann: {mixed}"] if mixed else problems


def _times(
    events: tuple[SeenEvent, ...], began_ms: int, ended_ms: int, later_ms: tuple[int, int], skew_ms: int
) -> list[str]:
    problems = []
    for seen in events:
        past = seen.type == "Past"
        low, high = (PAST_MS, PAST_MS) if past else (began_ms, ended_ms)
        spans = [(low, high), (low + later_ms[0], high + later_ms[1])]
        if past:
            spans.append((low - skew_ms, high - skew_ms))
        if not any(first - SLACK_MS <= seen.at_ms <= last + SLACK_MS for first, last in spans):
            problems.append(f"{seen.type} is {seen.at_ms - low} ms after {low}, {high - low} allowed")
    return problems[:3]


def _values(ann: Person) -> list[str]:
    bought = next((seen for seen in ann.events if seen.type == "Bought"), None)
    if bought is None:
        return []
    return [
        f"Bought: {key} is {bought.properties.get(key)!r}, not {value!r}"
        for key, value in BOUGHT.items()
        if bought.properties.get(key) != value
    ]
