"""YAML in; segments and their named lists out, and back; rules name segments in place of their ids; pure.

Values that YAML would convert to types outside of JSON stay text: ``no`` and ``2026-11-01`` are strings here. The
reader refuses a repeated key, which would lose a value, and an alias, whose expansion can grow without bound.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 4 << 20
SEGMENT_ID = re.compile(r"seg_[0-9a-z_]+")


class DocumentError(ValueError):
    """An invalid file of segments; the text names the place."""


@dataclass(frozen=True, slots=True)
class SegmentDefinition:
    """``rule`` names other segments by name; a static segment has none."""

    name: str
    kind: str
    rule: Any


@dataclass(frozen=True, slots=True)
class ListDefinition:
    """A named list; ``description`` is ``None`` if the file omits it."""

    name: str
    description: str | None
    values: tuple[str | int | float | bool, ...]

    def is_met_by(self, other: "ListDefinition") -> bool:
        """Whether the other has the same values in any order, and this description if it has one."""
        same = {(isinstance(value, bool), value) for value in self.values} == {
            (isinstance(value, bool), value) for value in other.values
        }
        return same and self.description in (None, other.description)


class SegmentsFile(NamedTuple):
    """Segments and lists by name."""

    segments: dict[str, SegmentDefinition]
    lists: dict[str, ListDefinition]


class _Loader(yaml.SafeLoader):
    """Loads only JSON's types, without references to other places."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as its parent has it

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise DocumentError("aliases (*name) are not taken: write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key, (at, _) in zip(keys, node.value, strict=True):
            if not isinstance(key, str):
                raise DocumentError(f"line {at.start_mark.line + 1}: {key!r} is no name: put it in quotation marks")
            if keys.count(key) > 1:
                raise DocumentError(f"line {at.start_mark.line + 1}: {key!r} stands there more than once")
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def load(text: str) -> SegmentsFile:
    """Parses a file; raises ``DocumentError``."""
    if len(text) > MAX_BYTES:
        raise DocumentError(f"is larger than {MAX_BYTES} bytes")
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a safe loader's child
    except yaml.YAMLError as error:
        raise DocumentError(str(error)) from error
    except RecursionError as error:
        raise DocumentError("is nested too deeply") from error
    if not isinstance(value, dict) or not {"segments"} <= value.keys() <= {"segments", "lists"}:
        raise DocumentError("the file has the key segments, and may have lists")
    for key in value:
        if not isinstance(value[key], dict | None):
            raise DocumentError(f"below {key} stands each by its name")
    return SegmentsFile(
        {name: _definition(name, definition) for name, definition in (value["segments"] or {}).items()},
        {name: _list(name, definition) for name, definition in (value.get("lists") or {}).items()},
    )


def _definition(name: str, value: Any) -> SegmentDefinition:
    if not isinstance(value, dict) or not value.keys() <= {"kind", "rule"}:
        raise DocumentError(f"{name}: a segment has kind and rule, and nothing else")
    kind = value.get("kind", "rule")
    if (kind == "static") == ("rule" in value):
        raise DocumentError(f"{name}: a static segment has no rule, every other one has")
    return SegmentDefinition(name, kind, value.get("rule"))


def _list(name: str, value: Any) -> ListDefinition:
    if not isinstance(value, dict) or "values" not in value or not value.keys() <= {"description", "values"}:
        raise DocumentError(f"lists.{name}: a list has values, may have a description, and nothing else")
    values, description = value["values"], value.get("description")
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        raise DocumentError(f"lists.{name}: values are texts, numbers or booleans, one in a line after a -")
    if not isinstance(description, str | None):
        raise DocumentError(f"lists.{name}: description is a text")
    return ListDefinition(name, description, tuple(values))


def dump(definitions: Mapping[str, SegmentDefinition], lists: Mapping[str, ListDefinition] | None = None) -> str:
    """Writes the form that ``load`` reads."""
    body = {
        definition.name: {"kind": definition.kind} if definition.kind == "static" else {"rule": definition.rule}
        for definition in definitions.values()
    }
    named = {
        list_.name: {**({"description": list_.description} if list_.description else {}), "values": list(list_.values)}
        for list_ in (lists or {}).values()
    }
    whole = {**({"lists": named} if named else {}), "segments": body}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=120)


def replaced(rule: Any, names: Mapping[str, str]) -> Any:
    """Returns the rule with its references under ``segment`` replaced by ``names``; keeps unknown references."""
    if isinstance(rule, dict):
        return {
            key: names.get(value, value) if key == "segment" and isinstance(value, str) else replaced(value, names)
            for key, value in rule.items()
        }
    return [replaced(part, names) for part in rule] if isinstance(rule, list) else rule


def references(rule: Any) -> set[str]:
    """Returns the segments that a rule names."""
    if isinstance(rule, dict):
        own = {rule["segment"]} if isinstance(rule.get("segment"), str) else set()
        return own.union(*(references(value) for value in rule.values()))
    return set().union(*map(references, rule)) if isinstance(rule, list) else set()


def lists_named(rule: Any) -> set[str]:
    """Returns the named lists that a rule uses."""
    if isinstance(rule, dict):
        value = rule.get("value")
        own = {value["list"]} if isinstance(value, dict) and isinstance(value.get("list"), str) else set()
        return own.union(*(lists_named(part) for part in rule.values()))
    return set().union(*map(lists_named, rule)) if isinstance(rule, list) else set()


def order(definitions: Mapping[str, SegmentDefinition], ids: Mapping[str, str]) -> list[SegmentDefinition]:
    """Sorts each segment after its references; ``known`` are ids by name. Raises ``DocumentError``."""
    graph = {}
    for definition in definitions.values():
        named = references(definition.rule)
        lost = sorted(n for n in named if n not in definitions and n not in ids and not SEGMENT_ID.fullmatch(n))
        if lost:
            raise DocumentError(f"{definition.name}: there is no segment {lost[0]!r}")
        graph[definition.name] = named & definitions.keys()
    try:
        return [definitions[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise DocumentError(f"these name each other: {' -> '.join(error.args[1])}") from error
