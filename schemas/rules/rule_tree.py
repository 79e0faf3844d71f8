"""Rules that refer to each other in, whole trees out: each reference holds the rule it refers to, and none goes round.

A reference is evaluated as if the other rule stood in its place: both change in the same step, in any order of
events. So the sizes of both add up, and are bounded together.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from schemas.errors import ApiError
from schemas.rules import parse
from schemas.rules.nodes import (
    Absent,
    AllOf,
    Anniversary,
    AnyOf,
    Attribute,
    Happened,
    InOrder,
    InSegment,
    Not,
    Rule,
    Within,
)

MAX_WHOLE = 512
"""Most conditions of a rule and of the segments it refers to, each counted once for each reference."""
MAX_CHAIN = 8
"""Segments that refer to each other in a row."""

Find = Callable[[str], Rule | None]
"""The rule of another segment; ``None`` if the segment is static or missing."""


def leaves(tree: Rule, at: str = "rule") -> Iterator[tuple[str, Rule]]:
    """Each condition with its path, without those of referred segments."""
    match tree:
        case AllOf(rules=rules) | AnyOf(rules=rules):
            form = "all" if isinstance(tree, AllOf) else "any"
            for index, part in enumerate(rules):
                yield from leaves(part, f"{at}.{form}[{index}]")
        case Not(rule=inner):
            yield from leaves(inner, f"{at}.not")
        case _:
            yield at, tree


def all_leaves(tree: Rule) -> Iterator[Rule]:
    """Each condition, with those of referred segments."""
    for _, leaf in leaves(tree):
        yield leaf
        if isinstance(leaf, InSegment) and leaf.rule is not None:
            yield from all_leaves(leaf.rule)


def paths_of(leaf: Rule) -> Iterator[tuple[str, ...]]:
    """Of the attributes that a condition reads."""
    if isinstance(leaf, Attribute | Anniversary):
        yield leaf.path
    if isinstance(leaf, Anniversary) and leaf.zone.path:
        yield leaf.zone.path


def references(tree: Rule) -> dict[str, str]:
    """Path -> id of the segment that is referred to there."""
    return {f"{at}.segment": leaf.segment_id for at, leaf in leaves(tree) if isinstance(leaf, InSegment)}


def expand(tree: Rule, find: Find, chain: tuple[str, ...] = ()) -> Rule:
    """The tree with the rules of other segments in it; raises ``ApiError`` (422) with the path that exceeds a bound."""
    return _Expansion(find).rule(tree, "rule", chain)


class _Expansion:
    def __init__(self, find: Find) -> None:
        self._find = find
        self._leaves = 0

    def rule(self, tree: Rule, at: str, chain: tuple[str, ...]) -> Rule:
        match tree:
            case AllOf(rules=rules):
                return AllOf(rules=tuple(self.rule(r, f"{at}.all[{n}]", chain) for n, r in enumerate(rules)))
            case AnyOf(rules=rules):
                return AnyOf(rules=tuple(self.rule(r, f"{at}.any[{n}]", chain) for n, r in enumerate(rules)))
            case Not(rule=inner):
                return Not(rule=self.rule(inner, f"{at}.not", chain))
        self._leaves += 1
        if self._leaves > MAX_WHOLE:
            raise ApiError("invalid_field", f"with the segments it refers to it has over {MAX_WHOLE} conditions", at)
        return self._referred(tree, f"{at}.segment", chain) if isinstance(tree, InSegment) else tree

    def _referred(self, leaf: InSegment, at: str, chain: tuple[str, ...]) -> Rule:
        if leaf.segment_id in chain:
            raise ApiError(
                "invalid_field",
                f"segments refer to each other in a circle: {' -> '.join((*chain, leaf.segment_id))}",
                at,
            )
        if len(chain) > MAX_CHAIN:
            raise ApiError("invalid_field", f"segments refer to each other at most {MAX_CHAIN} deep", at)
        rule = self._find(leaf.segment_id)
        if rule is None:
            return leaf
        try:
            return replace(leaf, rule=self.rule(rule, "rule", (*chain, leaf.segment_id)))
        except ApiError as refused:
            raise ApiError(refused.code, refused.message, at) from refused


def check(segment_id: str, written: Any, others: Mapping[str, Any]) -> None:
    """Whether a rule may be written among the ``others`` of its home (id -> rule as written, ``None``: it has none).

    Raises ``ApiError`` (422) for what is no rule, for a segment that does not exist, a circle, and a size that it, or
    with it a segment that refers to it, would reach.
    """
    tree = parse.parse(written)
    known: dict[str, Rule | None] = {segment_id: tree}

    def find(name: str) -> Rule | None:
        if name not in known:
            other = others.get(name)
            known[name] = None if other is None else parse.parse(other)
        return known[name]

    for at, name in references(tree).items():
        if name not in others and name != segment_id:
            raise ApiError("invalid_field", f"no such segment: {name}; it is named by its id, as seg_...", at)
    expand(tree, find, (segment_id,))
    for name in users_of(segment_id, others, find):
        try:
            expand(known[name] or tree, find, (name,))
        except ApiError as refused:
            raise ApiError("invalid_field", f"{name} refers to this segment: {refused.message}", "rule") from refused


def read(segment_id: str, written: Any, others: Mapping[str, Any]) -> Rule:
    """The whole tree of a rule that has been written; one that cannot be read is as if it had none."""

    def find(name: str) -> Rule | None:
        try:
            return None if others.get(name) is None else parse.parse(others[name])
        except ApiError:
            return None

    return expand(parse.parse(written), find, (segment_id,))


def looks_back_ms(tree: Rule) -> float:
    """How long ago the events may be that decide on a rule: infinite where any of the past may, 0 where none does."""
    match tree:
        case AllOf(rules=rules) | AnyOf(rules=rules):
            return max(map(looks_back_ms, rules), default=0)
        case Not(rule=inner):
            return looks_back_ms(inner)
        case InSegment(rule=inner):
            return 0 if inner is None else looks_back_ms(inner)
        case Happened(window=Within(ms=ms)):
            return ms
        case Absent(within_ms=int(within), for_ms=wait):
            return within + wait
        case Happened() | InOrder() | Absent():
            return math.inf
    return 0


def users_of(segment_id: str, others: Mapping[str, Any], find: Find | None = None) -> list[str]:
    """Segments that refer to this one, directly or by others; those whose rule cannot be read do not."""
    direct: dict[str, set[str]] = {}
    for name, rule in others.items():
        try:
            tree = find(name) if find is not None else None if rule is None else parse.parse(rule)
        except ApiError:
            continue
        if name != segment_id and tree is not None:
            direct[name] = set(references(tree).values())
    users = {segment_id}
    while more := {name for name, refers in direct.items() if refers & users} - users:
        users |= more
    return sorted(users - {segment_id})
