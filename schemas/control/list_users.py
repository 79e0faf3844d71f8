"""Segments and named lists of one environment in; each segment's lists, and their contents' versions, out; pure."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from schemas.control.definitions import Segment, ValueList
from schemas.errors import ApiError
from schemas.rules import parse, rule_tree
from schemas.rules.conditions import hash_of
from schemas.rules.nodes import ListValues

Segments = Mapping[str, Segment]


class RuleNames(NamedTuple):
    """A rule's own references; ``lists`` pairs each list with the type of the compared identifiers, or with ""."""

    segments: frozenset[str]
    lists: frozenset[tuple[str, str]]


def names_in(rule: Any) -> RuleNames:
    """Returns the names in a stored rule; nothing for an unreadable rule."""
    try:
        return _names_in(orjson.dumps(rule))
    except (ApiError, TypeError):
        return RuleNames(frozenset(), frozenset())


@lru_cache(maxsize=4096)
def _names_in(rule: bytes) -> RuleNames:
    tree = parse.parse(orjson.loads(rule))
    lists = frozenset((use.name, use.kind) for use in rule_tree.list_uses(tree))
    return RuleNames(frozenset(rule_tree.references(tree).values()), lists)


def lists_of(segment: Segment, segments: Segments) -> dict[str, set[str]]:
    """Returns the lists of its rule and of referred segments, each with the types of its identifiers."""
    lists: dict[str, set[str]] = {}
    for referred in _whole(segment, segments):
        for name, kind in names_in(referred.rule).lists:
            lists.setdefault(name, set()).add(kind)
    return lists


def _whole(segment: Segment, segments: Segments) -> Iterator[Segment]:
    """Returns the segment and all segments it refers to, directly or through others; each once."""
    seen, waiting = {segment.id}, [segment]
    while waiting:
        current = waiting.pop()
        yield current
        fresh = names_in(current.rule).segments - seen
        seen |= fresh
        waiting += [segments[name] for name in fresh if name in segments]


def stamp_of(segment: Segment, segments: Segments, lists: Mapping[str, ValueList]) -> str:
    """Returns a text that changes with the content of any list that the segment uses; empty without lists."""
    names = sorted(lists_of(segment, segments))
    return hash_of([[name, lists[name].content.digest if name in lists else ""] for name in names]) if names else ""


def edited_ms(segment: Segment, segments: Segments, lists: Mapping[str, ValueList]) -> int:
    """Returns the last edit time of the segment or of a list that it uses."""
    times = [lists[name].updated_ms for name in lists_of(segment, segments) if name in lists]
    return max([segment.updated_ms, *times])


def users_of(name: str, segments: Segments) -> list[Segment]:
    """Returns the segments that use the list, oldest first."""
    return users_by_list(segments).get(name, [])


def users_by_list(segments: Segments) -> dict[str, list[Segment]]:
    """Returns the segments that depend on each list, by the list's name; reads each rule once."""
    users: dict[str, list[Segment]] = {}
    for segment in sorted(segments.values(), key=lambda segment: (segment.created_ms, segment.id)):
        for name in lists_of(segment, segments):
            users.setdefault(name, []).append(segment)
    return users


def contents_of(lists: Mapping[str, ValueList]) -> dict[str, ListValues]:
    """Returns contents by name, in the form of rules."""
    return {name: value_list.content for name, value_list in lists.items()}
