"""A rule in; a pure function ``(contact, now) -> (holds, time of the next possible change)`` out.

A verdict holds until its due time passes or the contact changes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from schemas.calendar_days import month_day, next_anniversary, start_of_day, today_in, zones
from schemas.rules import aggregates, steps, windows
from schemas.rules.compare import any_value, attribute_at, predicate
from schemas.rules.conditions import counted, counted_step
from schemas.rules.nodes import (
    Absent,
    AllOf,
    Anniversary,
    AnyOf,
    Attribute,
    Comparison,
    Consent,
    Happened,
    HasIdentifier,
    Identified,
    InOrder,
    InSegment,
    Instant,
    Not,
    Rule,
    Within,
)
from schemas.rules.windows import NEVER, Series
from schemas.times import value_ms


class Facts(Protocol):
    """The state of a contact in the form of rules; attributes and consents are ``[value, time, event id]`` by name."""

    @property
    def attributes(self) -> Mapping[str, list[Any]]: ...

    @property
    def consents(self) -> Mapping[str, list[Any]]: ...

    @property
    def counts(self) -> Mapping[str, Series]:
        """Series by the id of their condition."""
        ...

    @property
    def members(self) -> Mapping[str, Any]:
        """The contact's segments, among them all those without a rule."""
        ...

    @property
    def identifiers(self) -> Mapping[str, Collection[str]]:
        """The identifiers by type."""
        ...

    @property
    def is_identified(self) -> bool: ...


Verdict = tuple[bool, int]
Evaluate = Callable[[Facts, int], Verdict]


def compile_rule(rule: Rule) -> Evaluate:
    """Compiles an expanded tree (``schemas.rules.rule_tree.expand``), which has no references."""
    match rule:
        case AllOf(rules=rules):
            return _until([compile_rule(part) for part in rules], stop=False)
        case AnyOf(rules=rules):
            return _until([compile_rule(part) for part in rules], stop=True)
        case Not(rule=inner):
            return _not(compile_rule(inner))
        case Attribute(path=path, test=Comparison(value=Instant(moving=True)) as test):
            return _moving(path, test)
        case Attribute(path=path, test=test):
            return _attribute(path, test)
        case Anniversary():
            return _anniversary(rule)
        case HasIdentifier(kind=kind, test=test):
            return _identifier(kind, test)
        case Happened():
            return _counted(rule)
        case InOrder():
            return _in_order(rule)
        case Absent():
            return _absent(rule)
        case InSegment(segment_id=segment_id, rule=other):
            return _listed(segment_id) if other is None else compile_rule(other)
        case Consent(name=name, value=value):
            return _consent(name, is_given=value)
        case Identified(value=value):
            return lambda contact, _now_ms: (contact.is_identified is value, NEVER)


def _until(parts: Sequence[Evaluate], *, stop: bool) -> Evaluate:
    """Combines the parts: any of them (``stop=True``) or all of them (``stop=False``)."""

    def evaluate(contact: Facts, now_ms: int) -> Verdict:
        first_due = NEVER
        for part in parts:
            holds, due = part(contact, now_ms)
            if holds is stop:
                return stop, due  # while this verdict stands, the other parts do not matter
            first_due = min(first_due, due)
        return not stop, first_due

    return evaluate


def _not(inner: Evaluate) -> Evaluate:
    def evaluate(contact: Facts, now_ms: int) -> Verdict:
        holds, due = inner(contact, now_ms)
        return not holds, due

    return evaluate


def _attribute(path: tuple[str, ...], test: Comparison) -> Evaluate:
    holds = predicate(test)
    return lambda contact, _now_ms: (holds(attribute_at(contact.attributes, path)[0]), NEVER)


def _moving(path: tuple[str, ...], test: Comparison) -> Evaluate:
    """Evaluates ``before`` or ``after`` a moving moment: time alone changes the verdict."""
    offset, is_before = test.value.ms, test.op == "before"

    def evaluate(contact: Facts, now_ms: int) -> Verdict:
        time = value_ms(attribute_at(contact.attributes, path)[0])
        if time is None:
            return False, NEVER
        met = time - offset
        if is_before:
            return now_ms > met, NEVER if now_ms > met else met + 1
        return now_ms < met, met if now_ms < met else NEVER

    return evaluate


def zone_of(leaf: Anniversary, contact: Facts) -> str:
    """The name of the time zone in which the contact's days count."""
    if not leaf.zone.path:
        return leaf.zone.name
    named = attribute_at(contact.attributes, leaf.zone.path)[0]
    return named if isinstance(named, str) and named in zones() else leaf.zone.name


def _anniversary(leaf: Anniversary) -> Evaluate:
    path, later = leaf.path, timedelta(days=leaf.days)

    def evaluate(contact: Facts, now_ms: int) -> Verdict:
        of = month_day(attribute_at(contact.attributes, path)[0])
        if of is None:
            return False, NEVER
        zone = zone_of(leaf, contact)
        day = today_in(zone, now_ms) + later
        anniversary = next_anniversary(of, day)
        if anniversary == day:
            return True, start_of_day(zone, day - later + timedelta(days=1))
        return False, start_of_day(zone, anniversary - later)

    return evaluate


def _identifier(kind: str, test: Comparison) -> Evaluate:
    passes = any_value(test)
    return lambda contact, _now_ms: (passes(contact.identifiers.get(kind, ())), NEVER)


def _counted(leaf: Happened) -> Evaluate:
    condition, kind = counted(leaf).id, leaf.measure.kind
    within_ms = leaf.window.ms if isinstance(leaf.window, Within) else None
    if kind == "count":
        limit = windows.threshold(leaf.measure.op, int(leaf.measure.value))
        judge = windows.judge
        return lambda contact, now_ms: judge(contact.counts.get(condition), limit, within_ms, now_ms)
    bound = aggregates.Limit.of(leaf.measure)
    return lambda contact, now_ms: aggregates.judge(contact.counts.get(condition), kind, bound, within_ms, now_ms)


def _in_order(leaf: InOrder) -> Evaluate:
    conditions = [counted_step(step).id for step in leaf.steps]
    return lambda contact, now_ms: steps.sequence([contact.counts.get(c) for c in conditions], leaf.steps, now_ms)


def _absent(leaf: Absent) -> Evaluate:
    missing, after = counted_step(leaf.missing).id, counted_step(leaf.after).id
    return lambda contact, now_ms: steps.absence(contact.counts.get(missing), contact.counts.get(after), leaf, now_ms)


def _listed(segment_id: str) -> Evaluate:
    """Whether the contact is on the list now: for a segment without a rule."""
    return lambda contact, _now_ms: (segment_id in contact.members, NEVER)


def _consent(name: str, *, is_given: bool) -> Evaluate:
    def evaluate(contact: Facts, _now_ms: int) -> Verdict:
        stamped = contact.consents.get(name)
        return stamped is not None and stamped[0] is is_given, NEVER

    return evaluate
