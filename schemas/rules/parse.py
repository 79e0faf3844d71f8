"""A segment rule as JSON in, a tree of frozen nodes out; a refusal names its place, as ``rule.all[1].count.op``.

1. What parses can be evaluated: each operand has the type that its operator needs, numbers are finite,
   times and durations are milliseconds.
2. Whether the segments it refers to exist, and refer back to it, is ``schemas.rules.rule_tree``'s to say.
"""

from collections.abc import Callable
from typing import Any

import orjson

from schemas.errors import ApiError
from schemas.rules.nodes import (
    Absent,
    AllOf,
    AnyOf,
    Attribute,
    Between,
    Comparison,
    Consent,
    Happened,
    Identified,
    InOrder,
    InSegment,
    Instant,
    Measure,
    Not,
    Rule,
    Step,
    Where,
    Within,
)
from schemas.rules.operands import (
    EXISTENCE_OPS,
    OPERANDS,
    ORDER_OPS,
    boolean,
    duration,
    fixed,
    list_of,
    needed,
    number,
    object_of,
    one_of,
    only,
    path_of,
    text,
)

MAX_DEPTH = 8
MAX_LEAVES = 64
MAX_COUNT = 1000
"""A contact keeps as many events per condition as its largest threshold needs."""
MAX_WHERE = 16
MAX_STEPS = 8
MAX_BYTES = 65_536

COUNT_OPS = ("eq", "ne", *ORDER_OPS)
AGGREGATES = ("sum", "max", "min")
LARGEST = 10**12
"""Of a number that is added up or compared with such: in millionths it has to fit into 64 bits."""


def parse(value: Any, at: str = "rule") -> Rule:
    """The tree of a rule; raises ``ApiError`` (422) with the path of what is wrong below ``at``."""
    try:
        size = len(orjson.dumps(value))
    except TypeError as error:
        raise ApiError("invalid_field", f"a rule must be JSON: {error}", at) from error
    if size > MAX_BYTES:
        raise ApiError("invalid_field", f"a rule has at most {MAX_BYTES} bytes", at)
    return _Parser().rule(value, at, 0)


class _Parser:
    def __init__(self) -> None:
        self._leaves = 0

    def rule(self, value: Any, at: str, depth: int) -> Rule:
        form, fields = _form(value, at)
        if form in ("all", "any", "not"):
            if depth == MAX_DEPTH:
                raise ApiError("invalid_field", f"rules nest at most {MAX_DEPTH} deep", at)
            return self._nested(form, fields[form], f"{at}.{form}", depth + 1)
        self._leaves += 1
        if self._leaves > MAX_LEAVES:
            raise ApiError("invalid_field", f"a rule has at most {MAX_LEAVES} conditions", at)
        return _LEAVES[form](fields, at)

    def _nested(self, form: str, value: Any, at: str, depth: int) -> Rule:
        if form == "not":
            return Not(rule=self.rule(value, at, depth))
        rules = list_of(value, at, most=None)
        parsed = tuple(self.rule(rule, f"{at}[{index}]", depth) for index, rule in enumerate(rules))
        return AllOf(rules=parsed) if form == "all" else AnyOf(rules=parsed)


def _form(value: Any, at: str) -> tuple[str, dict[str, Any]]:
    fields = object_of(value, at)
    form = next((name for name in FIELDS if name in fields), None)
    if form is not None:
        only(fields, (form, *FIELDS[form]), at, form)
        return form, fields
    only(fields, {name for names in FIELDS.values() for name in names}, at, "a rule")
    raise ApiError("missing_field", f"a rule needs one of {', '.join(FIELDS)}", at)


# --- leaves


def _attribute(fields: dict[str, Any], at: str) -> Attribute:
    return Attribute(path=path_of(fields["attribute"], f"{at}.attribute"), test=_comparison(fields, at, may_move=True))


def _happened(fields: dict[str, Any], at: str) -> Happened:
    return Happened(
        event=text(fields["event"], f"{at}.event"),
        where=_where(fields, at),
        measure=_measure(fields, at),
        window=_window(fields, at),
    )


def _in_order(fields: dict[str, Any], at: str) -> InOrder:
    at = f"{at}.sequence"
    steps = list_of(fields["sequence"], at, most=MAX_STEPS)
    if len(steps) == 1:
        raise ApiError("invalid_field", "a sequence has at least two steps", at)
    parsed = [_step(step, f"{at}[{index}]", timed=index > 0) for index, step in enumerate(steps)]
    return InOrder(steps=tuple(parsed))


def _absent(fields: dict[str, Any], at: str) -> Absent:
    return Absent(
        missing=_step(fields["absent"], f"{at}.absent", timed=False),
        after=_step(needed(fields, "after", at), f"{at}.after", timed=False),
        for_ms=duration(needed(fields, "for", at), f"{at}.for"),
    )


def _in_segment(fields: dict[str, Any], at: str) -> InSegment:
    return InSegment(segment_id=text(fields["segment"], f"{at}.segment"))


def _consent(fields: dict[str, Any], at: str) -> Consent:
    name = text(fields["consent"], f"{at}.consent")
    return Consent(name=name, value=boolean(fields.get("value", True), f"{at}.value"))


def _identified(fields: dict[str, Any], at: str) -> Identified:
    return Identified(value=boolean(fields["identified"], f"{at}.identified"))


FIELDS: dict[str, tuple[str, ...]] = {
    "all": (),
    "any": (),
    "not": (),
    "attribute": ("op", "value"),
    "event": ("where", "count", *AGGREGATES, "within", "between"),
    "sequence": (),
    "absent": ("after", "for"),
    "segment": (),
    "consent": ("value",),
    "identified": (),
}
"""What may stand beside the field that gives a rule its form."""
_LEAVES: dict[str, Callable[[dict[str, Any], str], Rule]] = {
    "attribute": _attribute,
    "event": _happened,
    "sequence": _in_order,
    "absent": _absent,
    "segment": _in_segment,
    "consent": _consent,
    "identified": _identified,
}


# --- parts of leaves


def _step(value: Any, at: str, *, timed: bool) -> Step:
    fields = object_of(value, at)
    only(fields, ("event", "where", "within") if timed else ("event", "where"), at, "this step")
    return Step(
        event=text(needed(fields, "event", at), f"{at}.event"),
        where=_where(fields, at),
        within_ms=duration(fields["within"], f"{at}.within") if "within" in fields else None,
    )


def _where(fields: dict[str, Any], at: str) -> tuple[Where, ...]:
    if fields.get("where", []) == []:
        return ()
    at = f"{at}.where"
    tests = []
    for index, value in enumerate(list_of(fields["where"], at, most=MAX_WHERE)):
        here = f"{at}[{index}]"
        test = object_of(value, here)
        only(test, ("property", "op", "value"), here, "where")
        path = path_of(needed(test, "property", here), f"{here}.property")
        tests.append(Where(path=path, test=_comparison(test, here, may_move=False)))
    return tuple(tests)


def _measure(fields: dict[str, Any], at: str) -> Measure:
    kinds = [kind for kind in ("count", *AGGREGATES) if kind in fields]
    if not kinds:
        return Measure()
    kind, *others = kinds
    if others:
        raise ApiError("invalid_field", f"{others[0]} and {kind} exclude each other", f"{at}.{others[0]}")
    at = f"{at}.{kind}"
    said = object_of(fields[kind], at)
    only(said, ("op", "value") if kind == "count" else ("property", "op", "value"), at, kind)
    path = () if kind == "count" else path_of(needed(said, "property", at), f"{at}.property")
    op = one_of(needed(said, "op", at), COUNT_OPS, f"{at}.op")
    value = number(needed(said, "value", at), f"{at}.value")
    if kind == "count" and not (isinstance(value, int) and 0 <= value <= MAX_COUNT):
        raise ApiError("invalid_field", f"a count is a whole number from 0 to {MAX_COUNT}", f"{at}.value")
    if kind != "count" and abs(value) > LARGEST:
        raise ApiError("invalid_field", f"must be between -{LARGEST} and {LARGEST}", f"{at}.value")
    return Measure(kind=kind, path=path, op=op, value=value)


def _window(fields: dict[str, Any], at: str) -> Within | Between | None:
    if "within" in fields:
        if "between" in fields:
            raise ApiError("invalid_field", "within and between exclude each other", f"{at}.between")
        return Within(ms=duration(fields["within"], f"{at}.within"))
    if "between" not in fields:
        return None
    at = f"{at}.between"
    ends = [fixed(end, f"{at}[{index}]") for index, end in enumerate(list_of(fields["between"], at, most=2))]
    if len(ends) != 2 or ends[0].ms >= ends[1].ms:
        raise ApiError("invalid_field", "between needs two times, the earlier one first", at)
    return Between(from_ms=ends[0].ms, to_ms=ends[1].ms)


def _comparison(fields: dict[str, Any], at: str, *, may_move: bool) -> Comparison:
    op = one_of(needed(fields, "op", at), tuple(OPERANDS), f"{at}.op")
    if op in EXISTENCE_OPS:
        if "value" in fields:
            raise ApiError("unknown_field", f"{op} takes no value", f"{at}.value")
        return Comparison(op=op)
    value = OPERANDS[op](needed(fields, "value", at), f"{at}.value")
    if isinstance(value, Instant) and value.moving and not may_move:
        # which events count would change behind the counters' back
        raise ApiError("invalid_field", "a time relative to now is for attributes only", f"{at}.value")
    return Comparison(op=op, value=value)
