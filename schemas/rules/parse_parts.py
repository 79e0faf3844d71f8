"""The parts of a rule's conditions as JSON in; nodes out; a refusal names its place and the right form."""

from typing import Any

from schemas.errors import ApiError
from schemas.rules.nodes import (
    BY_MACHINE,
    Between,
    Comparison,
    Instant,
    Measure,
    Step,
    Where,
    Within,
    Zone,
)
from schemas.rules.operands import (
    EXISTENCE_OPS,
    OPERANDS,
    ORDER_OPS,
    duration,
    fixed,
    list_of,
    local,
    needed,
    number,
    object_of,
    one_of,
    only,
    path_of,
    text,
)

MAX_COUNT = 1000
"""A contact keeps as many events per condition as its largest threshold needs."""
MAX_WHERE = 16

COUNT_OPS = ("eq", "ne", *ORDER_OPS)
AGGREGATES = ("sum", "max", "min")
OF_MACHINES = ("message.opened", "message.clicked")
LARGEST = 10**12
"""The largest number in a sum, or compared with a sum: in millionths it has to fit into 64 bits."""


def step(value: Any, at: str, where: Zone, *, is_first: bool) -> Step:
    fields = object_of(value, at)
    only(fields, ("event", "by", "where", "within", "count"), at, "this step")
    count = _step_count(fields["count"], f"{at}.count") if "count" in fields else 1
    if is_first and count == 1 and "within" in fields:
        message = "goes with a later step, or with a count: how long the first event may be before the last"
        raise ApiError("invalid_field", message, f"{at}.within")
    return Step(
        event=text(needed(fields, "event", at), f"{at}.event"),
        where=tests(fields, at, where),
        within_ms=duration(fields["within"], f"{at}.within") if "within" in fields else None,
        count=count,
    )


def _step_count(value: Any, at: str) -> int:
    form = 'must be {"op": "gte", "value": 3}'
    if not isinstance(value, dict) or value.get("op") != "gte":
        raise ApiError("invalid_field", form, at)
    only(value, ("op", "value"), at, "count")
    count = number(needed(value, "value", at), f"{at}.value")
    if not (isinstance(count, int) and 1 <= count <= MAX_COUNT):
        raise ApiError("invalid_field", f"a step's count is a whole number from 1 to {MAX_COUNT}", f"{at}.value")
    return count


def _by(fields: dict[str, Any], at: str) -> tuple[Where, ...]:
    if "by" not in fields:
        return ()
    who = one_of(fields["by"], ("person", "machine"), f"{at}.by")
    if fields.get("event") not in OF_MACHINES:
        raise ApiError("invalid_field", f"by goes with {' and '.join(OF_MACHINES)} only", f"{at}.by")
    return (Where(path=(), test=Comparison(op=BY_MACHINE, value=who == "machine")),)


def tests(fields: dict[str, Any], at: str, where: Zone) -> tuple[Where, ...]:
    if fields.get("where", []) == []:
        return _by(fields, at)
    by = _by(fields, at)
    at = f"{at}.where"
    parsed = []
    for index, value in enumerate(list_of(fields["where"], at, most=MAX_WHERE)):
        here = f"{at}[{index}]"
        test = object_of(value, here)
        only(test, ("property", "op", "value"), here, "where")
        path = path_of(needed(test, "property", here), f"{here}.property")
        parsed.append(Where(path=path, test=comparison(test, here, where, may_move=False)))
    return (*by, *parsed)


def measure(fields: dict[str, Any], at: str) -> Measure:
    kinds = [kind for kind in ("count", *AGGREGATES) if kind in fields]
    if not kinds:
        return Measure()
    kind, *others = kinds
    if others:
        raise ApiError("invalid_field", f"{others[0]} and {kind} exclude each other", f"{at}.{others[0]}")
    at = f"{at}.{kind}"
    comparison = fields[kind]
    if not isinstance(comparison, dict):
        among = "" if kind == "count" else '"property": "total", '
        raise ApiError("invalid_field", f'must be {{{among}"op": "gte", "value": 3}}', at)
    only(comparison, ("op", "value") if kind == "count" else ("property", "op", "value"), at, kind)
    path = () if kind == "count" else path_of(needed(comparison, "property", at), f"{at}.property")
    op = one_of(needed(comparison, "op", at), COUNT_OPS, f"{at}.op")
    value = number(needed(comparison, "value", at), f"{at}.value")
    if kind == "count" and not (isinstance(value, int) and 0 <= value <= MAX_COUNT):
        raise ApiError("invalid_field", f"a count is a whole number from 0 to {MAX_COUNT}", f"{at}.value")
    if kind != "count" and abs(value) > LARGEST:
        raise ApiError("invalid_field", f"must be between -{LARGEST} and {LARGEST}", f"{at}.value")
    return Measure(kind=kind, path=path, op=op, value=value)


def window(fields: dict[str, Any], at: str, where: Zone) -> Within | Between | None:
    if "within" in fields:
        if "between" in fields:
            raise ApiError("invalid_field", "within and between exclude each other", f"{at}.between")
        return Within(ms=duration(fields["within"], f"{at}.within"))
    if "between" not in fields:
        return None
    at = f"{at}.between"
    written = list_of(fields["between"], at, most=2)
    ends = [local(fixed(end, f"{at}[{n}]"), end, where, f"{at}[{n}]") for n, end in enumerate(written)]
    if len(ends) != 2 or ends[0].ms >= ends[1].ms:
        raise ApiError("invalid_field", "between needs two times, the earlier one first", at)
    return Between(from_ms=ends[0].ms, to_ms=ends[1].ms)


def comparison(fields: dict[str, Any], at: str, where: Zone, *, may_move: bool) -> Comparison:
    op = one_of(needed(fields, "op", at), tuple(OPERANDS), f"{at}.op")
    if op in EXISTENCE_OPS:
        if "value" in fields:
            raise ApiError("unknown_field", f"{op} takes no value", f"{at}.value")
        return Comparison(op=op)
    written = needed(fields, "value", at)
    value = OPERANDS[op](written, f"{at}.value")
    if isinstance(value, Instant):
        if value.moving and not may_move:
            # the set of counted events would change without a recount
            raise ApiError("invalid_field", "a time relative to now is for attributes only", f"{at}.value")
        value = local(value, written, where, f"{at}.value")
    return Comparison(op=op, value=value)
