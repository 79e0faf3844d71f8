"""The segments of one workspace and environment in, a Plan out: what to count, and whom an event concerns.

A condition is what several rules may count together: an event type, what its properties must be, and
bounds in time that do not move. Its id is a hash of just that, so that an edited threshold or window finds
the events of before.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from processors.segments import windows
from processors.segments.compare import Predicate, dig, predicate
from processors.segments.evaluate import Evaluate, Verdict, compile_rule
from processors.segments.state import Contact
from processors.segments.windows import Keep
from schemas import rule
from schemas.control import Segment
from schemas.errors import Refused
from schemas.rule_nodes import AllOf, AnyOf, Attribute, Between, Consent, Happened, Identified, Not, Rule, Within

log = logging.getLogger(__name__)

Home = tuple[str, str]
"""Workspace and environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """One segment that can be evaluated."""

    id: str
    version: int
    evaluate: Evaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is counted once for all ``segments``."""

    id: str
    tests: tuple[tuple[tuple[str, ...], Predicate], ...]
    between: Between | None
    keep: Keep
    segments: frozenset[str]

    def counts(self, time_ms: int, properties: Any) -> bool:
        """``properties`` are looked at only if there are ``tests``."""
        if self.between is not None and not self.between.from_ms <= time_ms < self.between.to_ms:
            return False
        return all(test(dig(properties, path)) for path, test in self.tests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All segments of one home; ``disabled`` (with the reason) are left as they are."""

    home: Home
    digest: str
    versions: dict[str, str]
    """Segment id -> what changes with its rule."""
    segments: dict[str, Compiled]
    conditions: dict[str, Condition]
    keeps: dict[str, Keep]
    by_event: dict[str, tuple[Condition, ...]]
    by_attribute: dict[str, frozenset[str]]
    by_consent: dict[str, frozenset[str]]
    by_identity: frozenset[str]
    when_empty: frozenset[str]
    """Segments that a contact is a member of of whom nothing is known."""
    disabled: dict[str, str] = field(default_factory=dict)
    pending: frozenset[str] = frozenset()
    """Segments whose history is not complete: they are counted for, and not judged."""

    def concerned(self, event_type: str, attributes: Iterable[str], consents: Iterable[str]) -> set[str]:
        """Every segment that an event which says this may have changed."""
        found = set(self.by_identity | self.when_empty)
        found.update(*(condition.segments for condition in self.by_event.get(event_type, ())))
        found.update(*(self.by_attribute.get(name, ()) for name in attributes))
        found.update(*(self.by_consent.get(name, ()) for name in consents))
        return found

    def judge(self, segment: Compiled, contact: Contact, now_ms: int) -> Verdict | None:
        """``None`` for a disabled or pending segment; one that raises is disabled."""
        if segment.id in self.disabled or segment.id in self.pending:
            return None
        try:
            return segment.evaluate(contact, now_ms)
        except Exception as error:  # noqa: BLE001 - a client's rule must stop nobody else
            self.disable([segment.id], error)
            return None

    def matches(self, condition: Condition, time_ms: int, properties: Any) -> bool:
        """As ``Condition.counts``; where it raises its segments are disabled."""
        try:
            return condition.counts(time_ms, properties)
        except Exception as error:  # noqa: BLE001 - a client's rule must stop nobody else
            self.disable(condition.segments, error)
            return False

    def still_disabled(self, versions: dict[str, str]) -> dict[str, str]:
        return {s: why for s, why in self.disabled.items() if versions.get(s) == self.versions.get(s)}

    def disable(self, segments: Iterable[str], error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        for segment in segments:
            if segment not in self.disabled:
                self.disabled[segment] = reason
                log.error("segment %s of %s/%s is disabled: %s", segment, *self.home, reason)


def compile_plan(home: Home, segments: Iterable[Segment], before: Plan | None = None) -> Plan:
    """A segment whose rule cannot be read or evaluated is disabled, not an error; so is one that was ``before``."""
    defined = sorted(segments, key=lambda segment: segment.id)
    versions = {s.id: f"{s.version}:{_hash(s.rule)}" for s in defined}
    parsed: dict[str, Rule] = {}
    compiled: dict[str, Compiled] = {}
    failed: list[tuple[str, Exception]] = []
    for segment in defined:
        try:
            tree = rule.parse(segment.rule)
            evaluate = compile_rule(tree, condition_id)
        except (Refused, NotImplementedError) as error:
            failed.append((segment.id, error))
            continue
        parsed[segment.id] = tree
        compiled[segment.id] = Compiled(id=segment.id, version=segment.version, evaluate=evaluate)
    conditions, by_event = _conditions(parsed)
    plan = Plan(
        home=home,
        digest=digest_of(home, versions),
        versions=versions,
        segments=compiled,
        conditions=conditions,
        keeps={condition.id: condition.keep for condition in conditions.values()},
        by_event=by_event,
        by_attribute=_index((leaf.path[0], s) for s, leaf in _leaves(parsed) if isinstance(leaf, Attribute)),
        by_consent=_index((leaf.name, s) for s, leaf in _leaves(parsed) if isinstance(leaf, Consent)),
        by_identity=frozenset(s for s, leaf in _leaves(parsed) if isinstance(leaf, Identified)),
        when_empty=frozenset(),
        disabled=before.still_disabled(versions) if before else {},
    )
    for segment_id, reason in failed:
        plan.disable([segment_id], reason)
    nobody = Contact(*home)
    verdicts = {s: plan.judge(one, nobody, 0) for s, one in compiled.items()}
    return replace(plan, when_empty=frozenset(s for s, verdict in verdicts.items() if verdict and verdict[0]))


def digest_of(home: Home, versions: dict[str, str]) -> str:
    """What a contact's row says of the plan that it follows."""
    return _hash([*home, versions])


def condition_id(leaf: Happened) -> str:
    where = sorted(_hash([w.path, w.test.op, w.test.value]) for w in leaf.where)
    return _hash([leaf.event, where, leaf.window if isinstance(leaf.window, Between) else None])


def _conditions(parsed: dict[str, Rule]) -> tuple[dict[str, Condition], dict[str, tuple[Condition, ...]]]:
    users: dict[str, list[tuple[str, Happened]]] = defaultdict(list)
    for segment, leaf in _leaves(parsed):
        if isinstance(leaf, Happened):
            users[condition_id(leaf)].append((segment, leaf))
    conditions = {name: _condition(name, those) for name, those in users.items()}
    by_event: dict[str, list[Condition]] = defaultdict(list)
    for name, those in users.items():
        by_event[those[0][1].event].append(conditions[name])
    return conditions, {event: tuple(some) for event, some in by_event.items()}


def _condition(name: str, users: list[tuple[str, Happened]]) -> Condition:
    leaf = users[0][1]
    within = [other.window.ms if isinstance(other.window, Within) else None for _, other in users]
    return Condition(
        id=name,
        tests=tuple((where.path, predicate(where.test)) for where in leaf.where),
        between=leaf.window if isinstance(leaf.window, Between) else None,
        keep=Keep(
            most=max(windows.threshold(o.measure.op, int(o.measure.value)).keeps for _, o in users),
            ms=None if None in within else max(ms for ms in within if ms is not None),
        ),
        segments=frozenset(segment for segment, _ in users),
    )


def _leaves(parsed: dict[str, Rule]) -> Iterator[tuple[str, Rule]]:
    waiting = list(parsed.items())
    while waiting:
        segment, node = waiting.pop()
        match node:
            case AllOf(rules=rules) | AnyOf(rules=rules):
                waiting += [(segment, part) for part in rules]
            case Not(rule=inner):
                waiting.append((segment, inner))
            case _:
                yield segment, node


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, segment in pairs:
        found[name].add(segment)
    return {name: frozenset(segments) for name, segments in found.items()}


def _hash(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
