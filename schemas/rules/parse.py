"""A segment rule as JSON in; a tree of frozen nodes out; a refusal names its place, as ``rule.all[1].count.op``.

1. Each parsed rule can be evaluated: each operand has the type that its operator needs, numbers are finite, times and
   durations are milliseconds.
2. ``schemas.rules.rule_tree`` checks that referred segments exist, and that references form no cycle.
"""

from collections.abc import Callable
from typing import Any

import orjson

from schemas.errors import ApiError
from schemas.rules.nodes import (
    Absent,
    AllOf,
    Anniversary,
    AnyOf,
    Attribute,
    Comparison,
    Consent,
    Happened,
    HasIdentifier,
    Identified,
    InOrder,
    InSegment,
    Not,
    Rule,
    Zone,
)
from schemas.rules.operands import (
    EXISTENCE_OPS,
    OPERANDS,
    TEXT_OPS,
    boolean,
    days,
    duration,
    identifier_type,
    identifier_value,
    list_of,
    needed,
    object_of,
    one_of,
    only,
    path_of,
    text,
    zone,
)
from schemas.rules.parse_parts import AGGREGATES, comparison, measure, step, tests, window

MAX_DEPTH = 8
MAX_LEAVES = 64
MAX_STEPS = 8
MAX_BYTES = 65_536
ANNIVERSARY = "anniversary"


def parse(value: Any, at: str = "rule") -> Rule:
    """Returns the tree of a rule; raises ``ApiError`` (422) with the path of the wrong field below ``at``."""
    try:
        size = len(orjson.dumps(value))
    except TypeError as error:
        raise ApiError("invalid_field", f"a rule must be JSON: {error}", at) from error
    if size > MAX_BYTES:
        raise ApiError("invalid_field", f"a rule has at most {MAX_BYTES} bytes", at)
    return _Parser().rule(value, at, 0, Zone())


class _Parser:
    def __init__(self) -> None:
        self._leaves = 0

    def rule(self, value: Any, at: str, depth: int, where: Zone) -> Rule:
        """``where`` is the zone of times without one."""
        form, fields = _form(value, at)
        where = zone(fields["tz"], f"{at}.tz") if "tz" in fields else where
        if form in ("all", "any", "not"):
            if depth == MAX_DEPTH:
                raise ApiError("invalid_field", f"rules nest at most {MAX_DEPTH} deep", at)
            return self._nested(form, fields[form], f"{at}.{form}", depth + 1, where)
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            raise ApiError("invalid_field", f"a rule has at most {MAX_LEAVES} conditions", at)
        return _LEAVES[form](fields, at, where)

    def _nested(self, form: str, value: Any, at: str, depth: int, where: Zone) -> Rule:
        if form == "not":
            return Not(rule=self.rule(value, at, depth, where))
        rules = list_of(value, at, most=None)
        parsed = tuple(self.rule(rule, f"{at}[{index}]", depth, where) for index, rule in enumerate(rules))
        return AllOf(rules=parsed) if form == "all" else AnyOf(rules=parsed)


def _form(value: Any, at: str) -> tuple[str, dict[str, Any]]:
    fields = object_of(value, at)
    form = next((name for name in FIELDS if name in fields), None)
    if form is not None:
        beside = next((name for name in fields if name != form and name in FIELDS), None)
        if beside is not None:
            message = f'{beside} and {form} are two conditions: use {{"all": [{{"{form}": ...}}, {{"{beside}": ...}}]}}'
            raise ApiError("unknown_field", message, f"{at}.{beside}")
        only(fields, (form, "tz", *FIELDS[form]), at, form)
        return form, fields
    for name in fields:
        if name in MEANT:
            raise ApiError("unknown_field", f"use {MEANT[name]!r} in place of {name!r}", f"{at}.{name}")
    only(fields, {name for names in FIELDS.values() for name in names} | {"tz"}, at, "a rule")
    raise ApiError("missing_field", f"a rule needs one of {', '.join(FIELDS)}", at)


# --- leaves


def _attribute(fields: dict[str, Any], at: str, where: Zone) -> Attribute | Anniversary:
    path = path_of(fields["attribute"], f"{at}.attribute")
    if fields.get("op") == ANNIVERSARY:
        return Anniversary(path=path, days=days(fields.get("value", 0), f"{at}.value"), zone=where)
    one_of(needed(fields, "op", at), (*OPERANDS, ANNIVERSARY), f"{at}.op")
    return Attribute(path=path, test=comparison(fields, at, where, may_move=True))


def _identifier(fields: dict[str, Any], at: str, _where: Zone) -> HasIdentifier:
    kind = identifier_type(fields["identifier"], f"{at}.identifier")
    op = one_of(needed(fields, "op", at), TEXT_OPS, f"{at}.op")
    if op in EXISTENCE_OPS:
        return HasIdentifier(kind=kind, test=comparison(fields, at, Zone(), may_move=False))
    value = identifier_value(kind, op, needed(fields, "value", at), f"{at}.value")
    return HasIdentifier(kind=kind, test=Comparison(op=op, value=value))


def _happened(fields: dict[str, Any], at: str, where: Zone) -> Happened:
    return Happened(
        event=text(fields["event"], f"{at}.event"),
        where=tests(fields, at, where),
        measure=measure(fields, at),
        window=window(fields, at, where),
    )


def _in_order(fields: dict[str, Any], at: str, where: Zone) -> InOrder:
    at = f"{at}.sequence"
    written = list_of(fields["sequence"], at, most=MAX_STEPS)
    if len(written) == 1:
        raise ApiError("invalid_field", "a sequence has at least two steps", at)
    parsed = [step(part, f"{at}[{index}]", where, is_first=index == 0) for index, part in enumerate(written)]
    return InOrder(steps=tuple(parsed))


def _absent(fields: dict[str, Any], at: str, where: Zone) -> Absent:
    missing = object_of(fields["absent"], f"{at}.absent")
    only(missing, ("event", "by", "where"), f"{at}.absent", "absent")
    for_ms = duration(needed(fields, "for", at), f"{at}.for")
    within_ms = duration(fields["within"], f"{at}.within") if "within" in fields else None
    if within_ms is not None and within_ms <= for_ms:
        message = 'must be longer than "for": it is how long after the event of "after" the contact stays a member'
        raise ApiError("invalid_field", message, f"{at}.within")
    return Absent(
        missing=step(missing, f"{at}.absent", where, is_first=True),
        after=step(needed(fields, "after", at), f"{at}.after", where, is_first=True),
        for_ms=for_ms,
        within_ms=within_ms,
    )


def _in_segment(fields: dict[str, Any], at: str, _where: Zone) -> InSegment:
    return InSegment(segment_id=text(fields["segment"], f"{at}.segment"))


def _consent(fields: dict[str, Any], at: str, _where: Zone) -> Consent:
    name = text(fields["consent"], f"{at}.consent")
    return Consent(name=name, value=boolean(fields.get("value", True), f"{at}.value"))


def _identified(fields: dict[str, Any], at: str, _where: Zone) -> Identified:
    return Identified(value=boolean(fields["identified"], f"{at}.identified"))


FIELDS: dict[str, tuple[str, ...]] = {
    "all": (),
    "any": (),
    "not": (),
    "attribute": ("op", "value"),
    "identifier": ("op", "value"),
    "event": ("by", "where", "count", *AGGREGATES, "within", "between"),
    "sequence": (),
    "absent": ("after", "for", "within"),
    "segment": (),
    "consent": ("value",),
    "identified": (),
}
"""The fields allowed beside the field that gives a rule its form; ``tz`` beside each."""
MEANT = {
    "and": "all",
    "or": "any",
    "none": "not",
    "property": "attribute",
    "email": "identifier",
    "phone": "identifier",
}
_LEAVES: dict[str, Callable[[dict[str, Any], str, Zone], Rule]] = {
    "attribute": _attribute,
    "identifier": _identifier,
    "event": _happened,
    "sequence": _in_order,
    "absent": _absent,
    "segment": _in_segment,
    "consent": _consent,
    "identified": _identified,
}
