"""A form's fields in; a segment rule as JSON out, and back; rules that nest deeper than a form are JSON alone; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.rules.operands import OPERANDS, TEXT_OPS
from schemas.rules.parse import MAX_STEPS
from schemas.rules.parse_parts import AGGREGATES, COUNT_OPS
from sinks.console.pages.rule_fields import ANNIVERSARY, BY_LIST, KINDS, Fields, condition_of, fields_of, test_names

MOST_CONDITIONS = 20
OP_NAMES = {
    "eq": "is",
    "ne": "is not",
    "gt": "more than",
    "gte": "at least",
    "lt": "less than",
    "lte": "at most",
    "in": "is one of",
    "not_in": "is not one of",
    "on_list": "is on the list",
    "off_list": "is not on the list",
    "contains": "contains",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "exists": "is known",
    "not_exists": "is not known",
    "before": "before",
    "after": "after",
    ANNIVERSARY: "anniversary in days",
}
CHOICES: dict[str, Any] = {
    "attribute_ops": (*OPERANDS, *BY_LIST, ANNIVERSARY),
    "test_ops": (*OPERANDS, *BY_LIST),
    "identifier_ops": (*TEXT_OPS, *BY_LIST),
    "by_list": tuple(BY_LIST),
    "count_ops": ("gte", *(op for op in COUNT_OPS if op != "gte")),
    "measures": ("count", *AGGREGATES),
    "op_names": OP_NAMES,
}
"""The choices of the form's selects: every value that a rule allows there."""


@dataclass(slots=True)
class RuleForm:
    """``conditions``: a dictionary of texts each, with its ``kind``; ``match`` is ``all`` or ``any``."""

    match: str = "all"
    conditions: list[Fields] = field(default_factory=list)

    def tests(self, number: int, prefix: str) -> list[tuple[str, str, str]]:
        """Returns the field names of the tests that a step shows: at least one."""
        names = test_names(prefix)
        last = max((n for n, test in enumerate(names) if test[0] in self.conditions[number]), default=0)
        return names[: last + 1]

    def steps(self, number: int) -> list[str]:
        """Returns the prefixes of the steps that a sequence shows: at least two."""
        prefixes = {name.partition(".")[0] for name in self.conditions[number]}
        last = max((n for n in range(MAX_STEPS) if f"s{n}" in prefixes), default=0)
        return [f"s{n}." for n in range(max(2, last + 1))]

    def grow(self, place: str) -> None:
        """Adds a step to a sequence (``0.step``) or a test to a step (``0.test.s1.``), if there is room."""
        number, _, part = place.partition(".")
        if not (number.isascii() and number.isdigit() and int(number) < len(self.conditions)):
            return
        condition = self.conditions[int(number)]
        if part == "step":
            steps = self.steps(int(number))
            if len(steps) < MAX_STEPS:
                condition[f"s{len(steps)}.event"] = ""
        elif part.startswith("test."):
            shown = self.tests(int(number), part.removeprefix("test."))
            rest = test_names(part.removeprefix("test."))[len(shown) :]
            if rest:
                condition[rest[0][0]] = ""


def form_of_fields(fields: Mapping[str, str]) -> RuleForm:
    """Reads fields named ``c0.kind``, ``c0.event``, … in any order."""
    by_number: dict[int, Fields] = {}
    for name, value in fields.items():
        place, dot, part = name.partition(".")
        number = place[1:]
        if dot and place.startswith("c") and number.isascii() and number.isdigit() and len(number) < 3:
            by_number.setdefault(int(number), {})[part] = value.strip()
    conditions = [by_number[number] for number in sorted(by_number) if by_number[number].get("kind") in KINDS]
    return RuleForm("any" if fields.get("match") == "any" else "all", conditions[:MOST_CONDITIONS])


def rule_of(form: RuleForm) -> Any:
    """Returns the form's rule."""
    rules = [_negated(condition, condition_of(condition)) for condition in form.conditions]
    return rules[0] if len(rules) == 1 else {form.match: rules}


def _negated(fields: Mapping[str, str], rule: dict[str, Any]) -> dict[str, Any]:
    return {"not": rule} if fields.get("not") else rule


def form_of_rule(rule: Any) -> RuleForm | None:
    """Returns the form that expresses the whole rule, as a browser sends it; ``None`` without such a form."""
    match, parts = "all", [rule]
    if isinstance(rule, dict) and len(rule) == 1:
        for name in ("all", "any"):
            if isinstance(rule.get(name), list):
                match, parts = name, rule[name]
    if len(parts) > MOST_CONDITIONS:
        return None
    conditions = []
    for part in parts:
        fields = _fields_of(part)
        if fields is None:
            return None
        conditions.append({name: "".join(value.splitlines()).strip() for name, value in fields.items()})
    form = RuleForm(match, conditions)
    return form if _same(rule_of(form), rule) else None


def _fields_of(rule: Any) -> Fields | None:
    if not isinstance(rule, dict):
        return None
    if set(rule) == {"not"}:
        inner = _fields_of(rule["not"])
        return None if inner is None or "not" in inner else {**inner, "not": "1"}
    return fields_of(rule)


def _same(other: Any, rule: Any) -> bool:
    """Whether both are equal. ``true`` differs from 1; a consent without a value means a given consent."""
    if isinstance(other, dict) and isinstance(rule, dict):
        rule = {"value": True, **rule} if "consent" in rule else rule
        return other.keys() == rule.keys() and all(_same(other[name], rule[name]) for name in other)
    if isinstance(other, list) and isinstance(rule, list):
        return len(other) == len(rule) and all(map(_same, other, rule))
    return type(other) is type(rule) and bool(other == rule)
