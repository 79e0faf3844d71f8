"""The leaves of rules in; the conditions to count for them, which several rules may share, out.

A condition is an event type, tests of its properties, fixed bounds in time, and the path of its values, if any. Its id
is a hash of these parts alone, so an edited threshold or window reuses the counted events.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.rules import windows
from schemas.rules.aggregates import units_of
from schemas.rules.compare import Predicate, dig, predicate
from schemas.rules.nodes import Absent, Between, Happened, InOrder, ListValues, Rule, Step, Where, Within
from schemas.rules.windows import Retention

MATCHED: tuple[int, ...] = ()
MEANING = 2
"""Increased when the meaning of a comparison or a path changes: older counts are then made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedEvents:
    """The counted series; ``path`` leads to the values, if the series has values."""

    event: str
    where: tuple[Where, ...] = ()
    between: Between | None = None
    path: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        where = sorted(hash_of([w.path, w.test.op, _meaning(w.test.value)]) for w in self.where)
        meaning = [MEANING] if where or self.path else []
        return hash_of([self.event, where, self.between, *([self.path] if self.path else []), *meaning])


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A series that serves all ``segments`` with one count."""

    id: str
    tests: tuple[tuple[tuple[str, ...], Predicate], ...]
    between: Between | None
    path: tuple[str, ...]
    keep: Retention
    segments: frozenset[str]

    @property
    def reads_properties(self) -> bool:
        return bool(self.tests or self.path)

    def counts(self, time_ms: int, properties: Any) -> tuple[int, ...] | None:
        """The event's value, or ``MATCHED`` for a condition without values; ``None`` for an event that does not count.

        ``properties`` is read only if the condition needs it.
        """
        if self.between is not None and not self.between.from_ms <= time_ms < self.between.to_ms:
            return None
        for path, test in self.tests:
            if not test(dig(properties, path)):
                return None
        if not self.path:
            return MATCHED
        value = units_of(dig(properties, self.path))
        return None if value is None else (value,)


def _meaning(operand: Any) -> Any:
    """The identity of a test: a named list counts by its values, not by its name."""
    return {"list": operand.digest} if isinstance(operand, ListValues) else operand


def counted(leaf: Happened) -> CountedEvents:
    between = leaf.window if isinstance(leaf.window, Between) else None
    return CountedEvents(event=leaf.event, where=leaf.where, between=between, path=leaf.measure.path)


def counted_step(step: Step) -> CountedEvents:
    return CountedEvents(event=step.event, where=step.where)


def needs(leaf: Rule) -> Iterator[tuple[CountedEvents, Retention]]:
    """The series that a leaf needs, and their retention."""
    everything = Retention(most=windows.MOST_EVENTS, ms=None)
    match leaf:
        case Happened(measure=measure, window=window):
            ms = window.ms if isinstance(window, Within) else None
            is_count = measure.kind == "count"
            most = windows.threshold(measure.op, int(measure.value)).keeps if is_count else windows.MOST_EVENTS
            yield counted(leaf), Retention(most=most, ms=ms)
        case InOrder(steps=steps):
            for step in steps:
                yield counted_step(step), everything
        case Absent(missing=missing, after=after, within_ms=within_ms):
            yield counted_step(missing), Retention(most=windows.MOST_EVENTS, ms=within_ms)
            span_ms = 0 if after.count == 1 else after.within_ms
            ms = None if within_ms is None or span_ms is None else within_ms + span_ms
            yield counted_step(after), Retention(most=windows.MOST_EVENTS, ms=ms)


def condition(what: CountedEvents, keeps: list[Retention], segments: frozenset[str]) -> Condition:
    """Builds the condition for all its segments, with the largest retention."""
    bounds = [keep.ms for keep in keeps]
    return Condition(
        id=what.id,
        tests=tuple((where.path, predicate(where.test)) for where in what.where),
        between=what.between,
        path=what.path,
        keep=Retention(
            most=max(keep.most for keep in keeps),
            ms=None if None in bounds else max(ms for ms in bounds if ms is not None),
        ),
        segments=segments,
    )


def hash_of(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
