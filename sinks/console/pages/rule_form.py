"""A form's fields in, a segment rule as JSON out, and back; rules that nest deeper than a form are JSON alone; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

ATTRIBUTE_OPS = tuple(
    "eq ne gt gte lt lte in not_in contains starts_with ends_with exists not_exists before after".split()
)
COUNT_OPS = ("gte", "lte", "eq", "gt", "lt", "ne")
KINDS = ("event", "attribute", "segment", "consent")
_VALUELESS = ("exists", "not_exists")
_LISTED = ("in", "not_in")
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
    "contains": "contains",
    "starts_with": "starts with",
    "ends_with": "ends with",
    "exists": "is known",
    "not_exists": "is not known",
    "before": "before",
    "after": "after",
}


@dataclass(slots=True)
class RuleForm:
    """``conditions``: a dictionary of texts each, with its ``kind``; ``match`` is ``all`` or ``any``."""

    match: str = "all"
    conditions: list[dict[str, str]] = field(default_factory=list)


def form_of_fields(fields: Mapping[str, str]) -> RuleForm:
    """Fields are named ``c0.kind``, ``c0.event``, … in any order."""
    fields_by_number: dict[int, dict[str, str]] = {}
    for name, value in fields.items():
        place, dot, part = name.partition(".")
        number = place[1:]
        if dot and place.startswith("c") and number.isascii() and number.isdigit() and len(number) < 3:
            fields_by_number.setdefault(int(number), {})[part] = value.strip()
    conditions = [
        fields_by_number[number] for number in sorted(fields_by_number) if fields_by_number[number].get("kind") in KINDS
    ]
    return RuleForm("any" if fields.get("match") == "any" else "all", conditions[:MOST_CONDITIONS])


def rule_of(form: RuleForm) -> Any:
    """The rule that the form says; what is left empty is left out, so the API names what is missing."""
    rules = [_negated(condition, _condition(condition)) for condition in form.conditions]
    return rules[0] if len(rules) == 1 else {form.match: rules}


def _negated(one: Mapping[str, str], rule: dict[str, Any]) -> dict[str, Any]:
    return {"not": rule} if one.get("not") else rule


def _condition(one: Mapping[str, str]) -> dict[str, Any]:
    kind = one["kind"]
    if kind == "segment":
        return {"segment": one.get("segment", "")}
    if kind == "consent":
        return {"consent": one.get("consent", ""), "value": one.get("given", "true") != "false"}
    if kind == "attribute":
        return {"attribute": one.get("attribute", ""), **_compared(one.get("op", "eq"), one.get("value", ""))}
    rule: dict[str, Any] = {"event": one.get("event", "")}
    if one.get("property"):
        compared = _compared(one.get("pop", "eq"), one.get("pvalue", ""))
        rule["where"] = [{"property": one["property"], **compared}]
    if one.get("count"):
        rule["count"] = {"op": one.get("op", "gte"), "value": _typed(one["count"])}
    if one.get("within"):
        rule["within"] = one["within"]
    return rule


def _compared(op: str, text: str) -> dict[str, Any]:
    if op in _VALUELESS:
        return {"op": op}
    if op in _LISTED:
        return {"op": op, "value": [_typed(part.strip()) for part in text.split(",") if part.strip()]}
    return {"op": op, "value": _typed(text)}


def _typed(text: str) -> Any:
    """Numbers and booleans as such; a text that looks like one can stand in quotes."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if isinstance(value, int | float | bool | str) else text


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, str):
        return value if _typed(value) == value else orjson.dumps(value).decode()
    return orjson.dumps(value).decode()


def form_of_rule(rule: Any) -> RuleForm | None:
    """The form that says the same; ``None`` where no form can."""
    match, parts = "all", [rule]
    if isinstance(rule, dict) and len(rule) == 1:
        for name in ("all", "any"):
            if isinstance(rule.get(name), list):
                match, parts = name, rule[name]
    conditions = [_fields_of(part) for part in parts]
    if len(conditions) > MOST_CONDITIONS or any(condition is None for condition in conditions):
        return None
    form = RuleForm(match, [condition for condition in conditions if condition is not None])
    return form if rule_of(form) == rule else None


def _fields_of(rule: Any) -> dict[str, str] | None:
    if not isinstance(rule, dict):
        return None
    if set(rule) == {"not"}:
        inner = _fields_of(rule["not"])
        return None if inner is None or "not" in inner else {**inner, "not": "1"}
    if "segment" in rule:
        return {"kind": "segment", "segment": str(rule["segment"])}
    if "consent" in rule:
        return {"kind": "consent", "consent": str(rule["consent"]), "given": _text(rule.get("value", True))}
    if "attribute" in rule:
        fields = {"kind": "attribute", "attribute": str(rule["attribute"]), "op": str(rule.get("op", "eq"))}
        return {**fields, "value": _text(rule["value"])} if "value" in rule else fields
    if "event" not in rule:
        return None
    fields = {"kind": "event", "event": str(rule["event"])}
    where = rule.get("where")
    if isinstance(where, list) and len(where) == 1 and isinstance(where[0], dict) and "property" in where[0]:
        fields |= {"property": str(where[0]["property"]), "pop": str(where[0].get("op", "eq"))}
        fields["pvalue"] = _text(where[0].get("value", ""))
    count = rule.get("count")
    if isinstance(count, dict):
        fields |= {"op": str(count.get("op", "gte")), "count": _text(count.get("value", 1))}
    if isinstance(rule.get("within"), str):
        fields["within"] = rule["within"]
    return fields
