"""A whole rule, a contact's state and a time in; whether the rule holds, why, and until when, out.

The functions that decide memberships return ``met`` and ``changes_at``; the other fields are their inputs.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from schemas.calendar_days import today_in
from schemas.records.sameness import id_in
from schemas.rules import aggregates, rule_tree, steps
from schemas.rules.compare import attribute_at
from schemas.rules.conditions import counted, counted_step
from schemas.rules.evaluate import Facts, compile_rule, zone_of
from schemas.rules.nodes import (
    Absent,
    Anniversary,
    Attribute,
    Comparison,
    Consent,
    Happened,
    HasIdentifier,
    Identified,
    InOrder,
    InSegment,
    Instant,
    ListValues,
    Rule,
    Within,
)
from schemas.rules.windows import NEVER, Series, newest_range
from schemas.times import END_MS, FIRST_MS, iso

MOST_TOLD = 100
"""Event ids of a leaf; of more the latest."""
MOST_CHANGES = 4_000
"""Moments ahead that are looked at for one that changes the whole: each of the future events, or two a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """``value`` was compared with ``threshold``; ``truncated``: older events are unknown."""

    path: str
    met: bool
    value: Any = None
    threshold: Any = None
    events: tuple[str, ...] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """``changes_ms`` is when ``member`` may change without another event; ``None``: never."""

    member: bool
    leaves: tuple[Leaf, ...]
    changes_ms: int | None


def explain_rule(tree: Rule, contact: Facts, now_ms: int) -> Explanation:
    """Explains a whole ``tree``, from ``schemas.rules.rule_tree.expand``; pure."""
    evaluate = compile_rule(tree)
    member, due = evaluate(contact, now_ms)
    leaves = tuple(_leaf(at, leaf, contact, now_ms) for at, leaf in rule_tree.leaves(tree))
    for _ in range(MOST_CHANGES):
        if due == NEVER or evaluate(contact, due)[0] is not member:
            break
        due = evaluate(contact, due)[1]  # a part changes, but the whole does not
    else:
        due = NEVER  # anniversaries change their parts every year
    return Explanation(member=member, leaves=leaves, changes_ms=due if due < NEVER else None)


def _leaf(at: str, leaf: Rule, contact: Facts, now_ms: int) -> Leaf:
    met = compile_rule(leaf)(contact, now_ms)[0]
    match leaf:
        case Attribute(path=path, test=test):
            value, stamped = attribute_at(contact.attributes, path)
            events = (stamped[2],) if stamped is not None and stamped[2] else ()
            return Leaf(path=at, met=met, value=value, threshold=_operand(test, now_ms), events=events)
        case Anniversary(path=path, days=days):
            value, stamped = attribute_at(contact.attributes, path)
            day = today_in(zone_of(leaf, contact), now_ms) + timedelta(days=days)
            events = (stamped[2],) if stamped is not None and stamped[2] else ()
            return Leaf(path=at, met=met, value=value, threshold=day.isoformat(), events=events)
        case HasIdentifier(kind=kind, test=test):
            values = sorted(contact.identifiers.get(kind, ()))[:MOST_TOLD]
            return Leaf(path=at, met=met, value=values, threshold=_operand(test, now_ms))
        case Consent(name=name, value=expected):
            stamped = contact.consents.get(name)
            events = (stamped[2],) if stamped is not None and stamped[2] else ()
            return Leaf(
                path=at, met=met, value=None if stamped is None else stamped[0], threshold=expected, events=events
            )
        case Identified(value=expected):
            return Leaf(path=at, met=met, value=contact.is_identified, threshold=expected)
        case InSegment():
            return Leaf(path=at, met=met, value=met, threshold=True)
        case Happened():
            return _happened(at, leaf, contact, now_ms, met=met)
        case InOrder():
            return _in_order(at, leaf, contact, now_ms, met=met)
        case Absent():
            return _absent(at, leaf, contact, now_ms, met=met)
        case _:
            raise TypeError(f"{type(leaf).__name__} is no leaf")


def _operand(test: Comparison, now_ms: int) -> Any:
    if isinstance(test.value, Instant):
        ms = test.value.ms + (now_ms if test.value.moving else 0)
        return iso(min(max(ms, FIRST_MS), END_MS - 1))
    if isinstance(test.value, ListValues):
        return {"list": test.value.name, "size": len(test.value.values)}
    return list(test.value) if isinstance(test.value, tuple) else test.value


def _happened(at: str, leaf: Happened, contact: Facts, now_ms: int, *, met: bool) -> Leaf:
    series = contact.counts.get(counted(leaf).id)
    start, end, truncated = newest_range(series, now_ms)
    if isinstance(leaf.window, Within) and series is not None:
        first = bisect_left(series[0], now_ms - leaf.window.ms, start, end)
        start, truncated = first, truncated and first == start
    ids = [] if series is None else series[1][start:end]
    kind = leaf.measure.kind
    value: int | float | None = len(ids)
    if kind != "count":
        value = aggregates.shown(aggregates.total(kind, [] if series is None else series[2][start:end]))
    return Leaf(path=at, met=met, value=value, threshold=leaf.measure.value, events=_latest(ids), truncated=truncated)


def _in_order(at: str, leaf: InOrder, contact: Facts, now_ms: int, *, met: bool) -> Leaf:
    series = [contact.counts.get(counted_step(step).id) for step in leaf.steps]
    got = steps.witness(series, leaf.steps, now_ms)
    return Leaf(
        path=at,
        met=met,
        value=len(got),
        threshold=len(leaf.steps),
        events=_latest([key for those in got for _, key in those]),
        truncated=_is_cut(series, now_ms),
    )


def _absent(at: str, leaf: Absent, contact: Facts, now_ms: int, *, met: bool) -> Leaf:
    """``value``: seconds since the oldest unanswered event that counts; ``threshold``: ``for`` in seconds."""
    missing, after = (contact.counts.get(counted_step(step).id) for step in (leaf.missing, leaf.after))
    first_ms = FIRST_MS if leaf.within_ms is None else now_ms - leaf.within_ms
    waiting = [e for e in steps.unanswered(missing, after, leaf, now_ms) if first_ms <= e[0] <= now_ms]
    return Leaf(
        path=at,
        met=met,
        value=aggregates.shown((now_ms - waiting[0][0]) * 1000) if waiting else None,
        threshold=leaf.for_ms // 1000,
        events=_latest([key for _, key in waiting]),
        truncated=_is_cut([missing, after], now_ms),
    )


def _is_cut(some: list[Series | None], now_ms: int) -> bool:
    return any(newest_range(series, now_ms)[2] for series in some)


def _latest(ids: list[str]) -> tuple[str, ...]:
    return tuple(id_in(key) for key in ids[-MOST_TOLD:])
