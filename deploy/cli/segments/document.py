"""YAML in, segments by name out, and back; rules name segments by name in place of their ids; pure.

Values that YAML would turn into other than JSON's types stay text: ``no`` and ``2026-11-01`` are strings here. A
repeated key is refused, as one value would be lost, and an alias, as its expansion can grow without bound.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml

MAX_BYTES = 1 << 20
SEGMENT_ID = re.compile(r"seg_[0-9a-z_]+")


class DocumentError(ValueError):
    """A file that says no segments; the text names the place."""


@dataclass(frozen=True, slots=True)
class SegmentDefinition:
    """``rule`` names other segments by name; a static segment has none."""

    name: str
    kind: str
    rule: Any


class _Loader(yaml.SafeLoader):
    """JSON's types, and nothing that refers to another place."""

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


def load(text: str) -> dict[str, SegmentDefinition]:
    """Raises ``DocumentError``."""
    if len(text) > MAX_BYTES:
        raise DocumentError(f"is larger than {MAX_BYTES} bytes")
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a safe loader's child
    except yaml.YAMLError as error:
        raise DocumentError(str(error)) from error
    except RecursionError as error:
        raise DocumentError("is nested too deeply") from error
    if not isinstance(value, dict) or value.keys() != {"segments"} or not isinstance(value["segments"], dict | None):
        raise DocumentError("the file has one key, segments, and below it a segment by its name")
    return {name: _definition(name, definition) for name, definition in (value["segments"] or {}).items()}


def _definition(name: str, value: Any) -> SegmentDefinition:
    if not isinstance(value, dict) or not value.keys() <= {"kind", "rule"}:
        raise DocumentError(f"{name}: a segment has kind and rule, and nothing else")
    kind = value.get("kind", "rule")
    if (kind == "static") == ("rule" in value):
        raise DocumentError(f"{name}: a static segment has no rule, every other one has")
    return SegmentDefinition(name, kind, value.get("rule"))


def dump(definitions: Mapping[str, SegmentDefinition]) -> str:
    """As ``load`` takes it."""
    body = {
        definition.name: {"kind": definition.kind} if definition.kind == "static" else {"rule": definition.rule}
        for definition in definitions.values()
    }
    return yaml.safe_dump({"segments": body}, sort_keys=False, allow_unicode=True, width=120)


def replaced(rule: Any, names: Mapping[str, str]) -> Any:
    """The rule with its references under ``segment`` replaced by ``names``; others stay."""
    if isinstance(rule, dict):
        return {
            key: names.get(value, value) if key == "segment" and isinstance(value, str) else replaced(value, names)
            for key, value in rule.items()
        }
    return [replaced(part, names) for part in rule] if isinstance(rule, list) else rule


def references(rule: Any) -> set[str]:
    """The segments that a rule names."""
    if isinstance(rule, dict):
        own = {rule["segment"]} if isinstance(rule.get("segment"), str) else set()
        return own.union(*(references(value) for value in rule.values()))
    return set().union(*map(references, rule)) if isinstance(rule, list) else set()


def order(definitions: Mapping[str, SegmentDefinition], known: Mapping[str, str]) -> list[SegmentDefinition]:
    """Each segment behind those that it refers to; ``known`` are ids by name. Raises ``DocumentError``."""
    graph = {}
    for definition in definitions.values():
        named = references(definition.rule)
        lost = sorted(n for n in named if n not in definitions and n not in known and not SEGMENT_ID.fullmatch(n))
        if lost:
            raise DocumentError(f"{definition.name}: there is no segment {lost[0]!r}")
        graph[definition.name] = named & definitions.keys()
    try:
        return [definitions[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise DocumentError(f"these name each other: {' -> '.join(error.args[1])}") from error
