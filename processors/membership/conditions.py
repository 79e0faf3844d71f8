"""The segments of one workspace and environment in, a Plan out: conditions to count, segments that an event affects.

A segment that refers to another is affected by the same events, and its version changes with the other's rule.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from processors.membership.contact_state import Contact
from schemas.control.control_state import Segment, ValueList
from schemas.control.list_users import contents_of, stamp_of
from schemas.errors import ApiError
from schemas.rules import parse, rule_tree
from schemas.rules.compare import names_of
from schemas.rules.conditions import MEANING, Condition, CountedEvents, condition, hash_of, needs
from schemas.rules.evaluate import Evaluate, Verdict, compile_rule
from schemas.rules.nodes import Consent, HasIdentifier, Identified, InSegment, Rule
from schemas.rules.windows import Retention

log = logging.getLogger(__name__)

Tenant = tuple[str, str]
"""Workspace and environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A segment that can be evaluated; ``rule`` contains the rules that it refers to."""

    id: str
    version: int
    rule: Rule
    evaluate: Evaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All segments of one tenant. Memberships of ``disabled`` segments (id -> reason) do not change."""

    home: Tenant
    digest: str
    versions: dict[str, str]
    """Segment id -> a text that changes with its rule."""
    segments: dict[str, Compiled]
    conditions: dict[str, Condition]
    keeps: dict[str, Retention]
    by_event: dict[str, tuple[Condition, ...]]
    by_attribute: dict[str, frozenset[str]]
    by_consent: dict[str, frozenset[str]]
    by_identity: frozenset[str]
    default_members: frozenset[str]
    """Segments that an empty contact is a member of."""
    lists: dict[str, str] = field(default_factory=dict)
    """Segment id -> a text that changes with the content of the named lists that decide on it; empty: none does."""
    disabled: dict[str, str] = field(default_factory=dict)
    pending: frozenset[str] = frozenset()
    """Segments whose history is not complete: events are counted for them, memberships not evaluated."""

    def affected_segments(self, event_type: str, attributes: Iterable[str], consents: Iterable[str]) -> set[str]:
        """Returns the segments that an event of this type, with these attributes and consents, may affect."""
        affected = set(self.by_identity | self.default_members)
        affected.update(*(condition.segments for condition in self.by_event.get(event_type, ())))
        affected.update(*(self.by_attribute.get(name, ()) for name in attributes))
        affected.update(*(self.by_consent.get(name, ()) for name in consents))
        return affected

    def judge(self, segment: Compiled, contact: Contact, now_ms: int) -> Verdict | None:
        """Evaluates a segment; ``None`` if it is disabled or pending. An error disables the segment."""
        if segment.id in self.disabled or segment.id in self.pending:
            return None
        try:
            return segment.evaluate(contact, now_ms)
        except Exception as error:  # noqa: BLE001 - a client's rule must stop nobody else
            self.disable([segment.id], error)
            return None

    def matches(self, condition: Condition, time_ms: int, properties: Any) -> tuple[int, ...] | None:
        """Calls ``Condition.counts``; an error disables the condition's segments."""
        try:
            return condition.counts(time_ms, properties)
        except Exception as error:  # noqa: BLE001 - a client's rule must stop nobody else
            self.disable(condition.segments, error)
            return None

    def still_disabled(self, versions: dict[str, str]) -> dict[str, str]:
        return {s: why for s, why in self.disabled.items() if versions.get(s) == self.versions.get(s)}

    def disable(self, segments: Iterable[str], error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        for segment in segments:
            if segment not in self.disabled:
                self.disabled[segment] = reason
                log.error("segment %s of %s/%s is disabled: %s", segment, *self.home, reason)


def compile_plan(
    home: Tenant,
    segments: Iterable[Segment],
    before: Plan | None = None,
    lists: Mapping[str, ValueList] | None = None,
) -> Plan:
    """Disables a segment with an invalid or failing rule, and an unchanged segment that ``before`` disabled.

    A segment's version changes with its rule, and with the content of the lists that the rule uses.
    """
    defined = sorted(segments, key=lambda segment: segment.id)
    by_id, values = {segment.id: segment for segment in defined}, lists or {}
    stamps = {segment.id: stamp_of(segment, by_id, values) for segment in defined}
    trees, failed = _trees(defined, contents_of(values))
    versions = {s.id: f"{s.version}:{_hash_of_whole(s, trees.get(s.id), stamps[s.id])}" for s in defined}
    compiled = {
        s.id: Compiled(id=s.id, version=s.version, rule=trees[s.id], evaluate=compile_rule(trees[s.id]))
        for s in defined
        if s.id in trees
    }
    leaves = [(name, leaf) for name, tree in trees.items() for leaf in rule_tree.all_leaves(tree)]
    conditions, by_event = _conditions(leaves)
    plan = Plan(
        home=home,
        digest=digest_of(home, versions),
        versions=versions,
        segments=compiled,
        conditions=conditions,
        keeps={condition.id: condition.keep for condition in conditions.values()},
        by_event=by_event,
        by_attribute=_index((n, s) for s, leaf in leaves for path in rule_tree.paths_of(leaf) for n in names_of(path)),
        by_consent=_index((leaf.name, s) for s, leaf in leaves if isinstance(leaf, Consent)),
        by_identity=frozenset(s for s, leaf in leaves if isinstance(leaf, Identified | HasIdentifier)),
        default_members=frozenset(),
        lists=stamps,
        disabled=before.still_disabled(versions) if before else {},
    )
    for segment_id, error in failed:
        plan.disable([segment_id], error)
    nobody = Contact(*home)
    verdicts = {s: plan.judge(segment, nobody, 0) for s, segment in compiled.items()}
    return replace(plan, default_members=frozenset(s for s, verdict in verdicts.items() if verdict and verdict[0]))


def digest_of(home: Tenant, versions: dict[str, str]) -> str:
    """The plan's digest as it stands in a contact's row."""
    return hash_of([*home, versions])


def _trees(defined: list[Segment], lists: rule_tree.Lists) -> tuple[dict[str, Rule], list[tuple[str, Exception]]]:
    """Returns whole rules by segment, and the errors of invalid and circular rules."""
    parsed: dict[str, Rule] = {}
    failed: list[tuple[str, Exception]] = []
    for segment in defined:
        try:
            parsed[segment.id] = parse.parse(segment.rule)
        except ApiError as error:
            failed.append((segment.id, error))
    whole: dict[str, Rule] = {}
    for name, tree in parsed.items():
        try:
            whole[name] = rule_tree.expand(tree, parsed.get, (name,), lists)
        except ApiError as error:
            failed.append((name, error))
    return whole, failed


def _hash_of_whole(segment: Segment, tree: Rule | None, lists: str) -> str:
    others = [] if tree is None else [leaf for _, leaf in rule_tree.leaves(tree) if isinstance(leaf, InSegment)]
    return hash_of([MEANING, segment.rule, *others, *([lists] if lists else [])])


def _conditions(
    leaves: list[tuple[str, Rule]],
) -> tuple[dict[str, Condition], dict[str, tuple[Condition, ...]]]:
    counted: dict[str, CountedEvents] = {}
    users: dict[str, list[tuple[str, Retention]]] = defaultdict(list)
    for segment, leaf in leaves:
        for what, keep in needs(leaf):
            counted[what.id] = what
            users[what.id].append((segment, keep))
    conditions: dict[str, Condition] = {}
    by_event: dict[str, list[Condition]] = defaultdict(list)
    for name, those in users.items():
        made = condition(counted[name], [keep for _, keep in those], frozenset(segment for segment, _ in those))
        conditions[name] = made
        by_event[counted[name].event].append(made)
    return conditions, {event: tuple(some) for event, some in by_event.items()}


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    by_name: dict[str, set[str]] = defaultdict(set)
    for name, segment in pairs:
        by_name[name].add(segment)
    return {name: frozenset(segments) for name, segments in by_name.items()}
