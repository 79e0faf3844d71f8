"""A condition's fields in; its part of a rule as JSON out, and back; pure.

Fields are texts by name. A prefix names the step: none for an event's own fields and for a missing event, ``after.``
for the trigger of an absence, ``s0.`` to ``s7.`` for a sequence. The tests of a step are ``property``, ``pop`` and
``pvalue``; the second test appends ``1`` to the names, and so on. Empty fields are left out, so the API names missing
ones.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from schemas.rules.parse import MAX_STEPS
from schemas.rules.parse_parts import AGGREGATES

KINDS = ("event", "attribute", "identifier", "absent", "sequence", "segment", "consent", "identified")
MOST_TESTS = 8
"""The most tests of a step in a form; a rule with more is shown as JSON only."""
ANNIVERSARY = "anniversary"
_VALUELESS = ("exists", "not_exists")
_LISTED = ("in", "not_in")
BY_LIST = {"on_list": "in", "off_list": "not_in"}
"""The form's own names of comparisons with a named list, and the operators that they stand for."""
AFTER = "after."

Fields = dict[str, str]


def condition_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Converts the fields to a part of a rule, without ``not``."""
    kind = fields["kind"]
    if kind == "segment":
        return {"segment": fields.get("segment", "")}
    if kind == "consent":
        return {"consent": fields.get("consent", ""), "value": fields.get("given", "true") != "false"}
    if kind == "identified":
        return {"identified": True}
    if kind in ("attribute", "identifier"):
        compared = _compared(fields.get("op", "eq"), fields.get("value", ""))
        return {kind: fields.get(kind, ""), **compared, **(_zone(fields) if kind == "attribute" else {})}
    if kind == "absent":
        held = {name: fields[name] for name in ("for", "within") if fields.get(name)}
        return {"absent": _step(fields, ""), "after": _step(fields, AFTER, is_bounded=True), **held, **_zone(fields)}
    if kind == "sequence":
        prefixes = [f"s{number}." for number in range(MAX_STEPS)]
        steps = [_step(fields, prefix, is_bounded=True) for prefix in prefixes if fields.get(f"{prefix}event")]
        return {"sequence": steps, **_zone(fields)}
    return {**_step(fields, ""), **_measured(fields), **_window(fields), **_zone(fields)}


def _step(fields: Mapping[str, str], prefix: str, *, is_bounded: bool = False) -> dict[str, Any]:
    """``is_bounded``: the step may have its own count and time."""
    step: dict[str, Any] = {"event": fields.get(f"{prefix}event", "")}
    if by := fields.get(f"{prefix}by"):
        step["by"] = by
    tests = [
        {"property": fields[name], **_compared(fields.get(pop, "eq"), fields.get(pvalue, ""))}
        for name, pop, pvalue in test_names(prefix)
        if fields.get(name)
    ]
    if tests:
        step["where"] = tests
    if is_bounded and (count := fields.get(f"{prefix}count")):
        step["count"] = {"op": "gte", "value": typed(count)}
    if is_bounded and (within := fields.get(f"{prefix}within")):
        step["within"] = within
    return step


def test_names(prefix: str) -> list[tuple[str, str, str]]:
    """Returns the field names of each test of a step."""
    ends = ["", *map(str, range(1, MOST_TESTS))]
    return [(f"{prefix}property{end}", f"{prefix}pop{end}", f"{prefix}pvalue{end}") for end in ends]


def _measured(fields: Mapping[str, str]) -> dict[str, Any]:
    measure, count = fields.get("measure", "count"), fields.get("count", "")
    compared = {"op": fields.get("op", "gte"), "value": typed(count)}
    if measure in AGGREGATES:
        return {measure: {"property": fields.get("mproperty", ""), **compared}}
    return {"count": compared} if count else {}


def _window(fields: Mapping[str, str]) -> dict[str, Any]:
    window: dict[str, Any] = {"within": fields["within"]} if fields.get("within") else {}
    if fields.get("from") or fields.get("to"):
        window["between"] = [fields.get("from", ""), fields.get("to", "")]
    return window


def _zone(fields: Mapping[str, str]) -> dict[str, Any]:
    zone = fields.get("tz", "")
    if attribute := fields.get("tza", ""):
        return {"tz": {"attribute": attribute, **({"default": zone} if zone else {})}}
    return {"tz": zone} if zone else {}


def _compared(op: str, text: str) -> dict[str, Any]:
    if op in _VALUELESS or (op == ANNIVERSARY and not text):
        return {"op": op}
    if op in BY_LIST:
        return {"op": BY_LIST[op], "value": {"list": text}}
    if op in _LISTED:
        return {"op": op, "value": [typed(part.strip()) for part in text.split(",") if part.strip()]}
    return {"op": op, "value": typed(text)}


def typed(text: str) -> Any:
    """Converts numbers and booleans; quotes keep a text that looks like one."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if isinstance(value, int | float | bool | str) else text


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, str):
        is_plain = typed(value) == value and "".join(value.splitlines()).strip() == value
        return value if is_plain else orjson.dumps(value).decode()
    return orjson.dumps(value).decode()


# --- back


def _test_fields(test: Mapping[str, Any], op: str, value: str) -> Fields:
    """Returns an operator and its value under their field names."""
    operator, operand = str(test.get("op", "eq")), test.get("value")
    by_list = next((name for name, meant in BY_LIST.items() if meant == operator), "")
    if by_list and isinstance(operand, dict) and operand.keys() == {"list"}:
        return {op: by_list, value: str(operand["list"])}
    return {op: operator, value: _text(operand)} if "value" in test else {op: operator}


def fields_of(rule: Mapping[str, Any]) -> Fields | None:
    """Returns fields that may express the condition, for the caller to compare; ``None`` without such fields."""
    kind = next((name for name in KINDS if name in rule), "")
    fields = {"kind": kind, **_zone_fields(rule.get("tz"))}
    if kind == "segment":
        return {**fields, "segment": str(rule["segment"])}
    if kind == "consent":
        return {**fields, "consent": str(rule["consent"]), "given": _text(rule.get("value", True))}
    if kind == "identified":
        return fields
    if kind in ("attribute", "identifier"):
        return {**fields, kind: str(rule[kind]), **_test_fields(rule, "op", "value")}
    if kind == "absent":
        held = {name: str(rule[name]) for name in ("for", "within") if name in rule}
        return {**fields, **_step_fields(rule["absent"], ""), **_step_fields(rule.get("after"), AFTER), **held}
    if kind == "sequence":
        for number, step in enumerate(rule["sequence"] if isinstance(rule["sequence"], list) else ()):
            fields |= _step_fields(step, f"s{number}.")
        return fields
    if kind == "event":
        return {**fields, **_step_fields({**rule, "count": None}, ""), **_measure_fields(rule), **_between(rule)}
    return None


def _step_fields(step: Any, prefix: str) -> Fields:
    if not isinstance(step, dict):
        return {}
    fields = {f"{prefix}{name}": str(step[name]) for name in ("event", "by", "within") if name in step}
    where = step.get("where")
    for test, (name, pop, pvalue) in zip(where if isinstance(where, list) else (), test_names(prefix), strict=False):
        if isinstance(test, dict):
            fields |= {name: str(test.get("property", "")), **_test_fields(test, pop, pvalue)}
    count = step.get("count")
    if isinstance(count, dict):
        fields[f"{prefix}count"] = _text(count.get("value", 1))
    return fields


def _measure_fields(rule: Mapping[str, Any]) -> Fields:
    for measure in ("count", *AGGREGATES):
        measured = rule.get(measure)
        if isinstance(measured, dict):
            fields = {
                "measure": measure,
                "op": str(measured.get("op", "gte")),
                "count": _text(measured.get("value", "")),
            }
            return {**fields, "mproperty": str(measured["property"])} if "property" in measured else fields
    return {}


def _between(rule: Mapping[str, Any]) -> Fields:
    ends = rule.get("between")
    return dict(zip(("from", "to"), map(str, ends), strict=False)) if isinstance(ends, list) else {}


def _zone_fields(zone: Any) -> Fields:
    if isinstance(zone, dict):
        named = (("attribute", "tza"), ("default", "tz"))
        return {field: str(zone[name]) for name, field in named if name in zone}
    return {"tz": zone} if isinstance(zone, str) else {}
