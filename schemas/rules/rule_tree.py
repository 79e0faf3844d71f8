"""Rules with references in; whole trees out: each reference holds the referred rule, and no references form a cycle.

The values of a list replace its name; a missing list has no values. A reference evaluates the other rule in its place:
both change in the same step, in any order of events. So the sizes of both add up, and one bound limits them together.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple

from schemas.errors import ApiError
from schemas.records import identity
from schemas.rules import parse
from schemas.rules.nodes import (
    Absent,
    AllOf,
    Anniversary,
    AnyOf,
    Attribute,
    Comparison,
    Happened,
    HasIdentifier,
    InOrder,
    InSegment,
    ListValues,
    Not,
    Rule,
    Scalar,
    Step,
    Where,
    Within,
)

MAX_WHOLE = 512
"""Most conditions of a rule and of the segments it refers to, each counted once for each reference."""
MAX_CHAIN = 8
"""Segments that refer to each other in a row."""

Find = Callable[[str], Rule | None]
"""The rule of another segment; ``None`` if the segment is static or missing."""


def leaves(tree: Rule, at: str = "rule") -> Iterator[tuple[str, Rule]]:
    """Returns each condition with its path, without the conditions of referred segments."""
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
    """Returns each condition, with the conditions of referred segments."""
    for _, leaf in leaves(tree):
        yield leaf
        if isinstance(leaf, InSegment) and leaf.rule is not None:
            yield from all_leaves(leaf.rule)


def paths_of(leaf: Rule) -> Iterator[tuple[str, ...]]:
    """The paths of the attributes that a condition reads."""
    if isinstance(leaf, Attribute | Anniversary):
        yield leaf.path
    if isinstance(leaf, Anniversary) and leaf.zone.path:
        yield leaf.zone.path


def references(tree: Rule) -> dict[str, str]:
    """Path -> id of the segment that the rule refers to there."""
    return {f"{at}.segment": leaf.segment_id for at, leaf in leaves(tree) if isinstance(leaf, InSegment)}


# --- named lists

Lists = Mapping[str, ListValues]
"""The lists of a home by name."""


class ListUse(NamedTuple):
    """``at`` leads to the comparison's value; ``kind`` is the type of the compared identifiers, empty for others."""

    at: str
    name: str
    kind: str


def list_uses(tree: Rule) -> list[ListUse]:
    """Returns the uses of lists, without those of referred segments."""
    uses: list[ListUse] = []

    def note(test: Comparison, at: str, kind: str) -> Comparison:
        uses.append(ListUse(f"{at}.value", test.value.name, kind))
        return test

    for at, leaf in leaves(tree):
        _with_lists(leaf, at, note)
    return uses


def normalised(kind: str, value: Scalar) -> str | None:
    """Normalises a list value as an identifier of the type, or returns ``None``. Numbers mean their digits."""
    if isinstance(value, bool | float):
        return None
    return _normalised(kind, str(value))


_normalised = lru_cache(maxsize=20_000)(identity.normalise)
"""A list is long, and changes by a few values: a phone number costs a tenth of a millisecond."""


@lru_cache(maxsize=64)
def _identifiers(values: ListValues, kind: str) -> ListValues:
    normal_values = (normalised(kind, value) for value in values.values)
    return replace(values, kind=kind, values=tuple(value for value in normal_values if value is not None))


def _with_lists(leaf: Rule, at: str, resolve: Callable[[Comparison, str, str], Comparison]) -> Rule:
    """Replaces each test on a list by ``resolve(test, path, type of identifiers)``."""

    def tests(where: tuple[Where, ...], at: str) -> tuple[Where, ...]:
        if not any(isinstance(property_test.test.value, ListValues) for property_test in where):
            return where
        first = len(where) - sum(1 for property_test in where if property_test.path)  # tests of ``by`` come first
        return tuple(
            replace(property_test, test=resolve(property_test.test, f"{at}.where[{n - first}]", ""))
            if isinstance(property_test.test.value, ListValues)
            else property_test
            for n, property_test in enumerate(where)
        )

    def step(before: Step, at: str) -> Step:
        where = tests(before.where, at)
        return before if where is before.where else replace(before, where=where)

    match leaf:
        case Attribute(test=Comparison(value=ListValues()) as test):
            return replace(leaf, test=resolve(test, at, ""))
        case HasIdentifier(kind=kind, test=Comparison(value=ListValues()) as test):
            return replace(leaf, test=resolve(test, at, kind))
        case Happened(where=where):
            return replace(leaf, where=tests(where, at))
        case InOrder(steps=steps):
            return replace(leaf, steps=tuple(step(part, f"{at}.sequence[{n}]") for n, part in enumerate(steps)))
        case Absent(missing=missing, after=after):
            return replace(leaf, missing=step(missing, f"{at}.absent"), after=step(after, f"{at}.after"))
    return leaf


# --- whole trees


def expand(tree: Rule, find: Find, chain: tuple[str, ...] = (), lists: Lists | None = None) -> Rule:
    """Inserts the rules of other segments; raises ``ApiError`` (422) with the path that exceeds a bound."""
    return _Expansion(find, lists or {}).rule(tree, "rule", chain)


class _Expansion:
    def __init__(self, find: Find, lists: Lists) -> None:
        self._find = find
        self._lists = lists
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
        if isinstance(tree, InSegment):
            return self._referred(tree, f"{at}.segment", chain)
        return _with_lists(tree, at, self._resolved)

    def _resolved(self, test: Comparison, _at: str, kind: str) -> Comparison:
        values = self._lists.get(test.value.name)
        if values is None:
            return test
        return replace(test, value=_identifiers(values, kind) if kind else values)

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


def check(segment_id: str, written: Any, others: Mapping[str, Any], lists: Lists | None = None) -> None:
    """Checks a rule against the ``others`` of its home (id -> written rule, or ``None`` for a segment without one).

    Raises ``ApiError`` (422) for an invalid rule, a missing segment or list, a list of unfit values, a cycle, or an
    excessive size of the rule or of a segment that refers to it.
    """
    tree = parse.parse(written)
    for use in list_uses(tree):
        _check_list(use, lists or {})
    trees: dict[str, Rule | None] = {segment_id: tree}

    def find(name: str) -> Rule | None:
        if name not in trees:
            other = others.get(name)
            trees[name] = None if other is None else parse.parse(other)
        return trees[name]

    for at, name in references(tree).items():
        if name not in others and name != segment_id:
            raise ApiError("invalid_field", f"no such segment: {name}; it is named by its id, as seg_...", at)
    expand(tree, find, (segment_id,))
    for name in users_of(segment_id, others, find):
        try:
            expand(trees[name] or tree, find, (name,))
        except ApiError as refused:
            raise ApiError("invalid_field", f"{name} refers to this segment: {refused.message}", "rule") from refused


def _check_list(use: ListUse, lists: Lists) -> None:
    if use.name not in lists:
        near = get_close_matches(use.name, lists, n=1)
        hint = f"; did you mean {near[0]}?" if near else ": POST /v1/lists makes one"
        raise ApiError("invalid_field", f"there is no list {use.name} here{hint}", f"{use.at}.list")
    if use.kind:
        wrong = next((value for value in lists[use.name].values if normalised(use.kind, value) is None), None)
        if wrong is not None:
            message = f"the list {use.name} has {wrong!r}, which identifies no person as {use.kind}"
            raise ApiError("invalid_field", message, f"{use.at}.list")


def read(segment_id: str, written: Any, others: Mapping[str, Any], lists: Lists | None = None) -> Rule:
    """Returns the whole tree of a stored rule; an unreadable rule counts as none."""

    def find(name: str) -> Rule | None:
        try:
            return None if others.get(name) is None else parse.parse(others[name])
        except ApiError:
            return None

    return expand(parse.parse(written), find, (segment_id,), lists)


def looks_back_ms(tree: Rule) -> float:
    """The maximum age of deciding events: infinite for events of all time, 0 for a rule without events."""
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
    """Segments that refer to this one, directly or through others; excludes segments with unreadable rules."""
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
