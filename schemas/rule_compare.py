"""A rule's comparison in, a function from a JSON value to yes or no out; ``None`` stands for a missing value.

1. A missing value matches only ``not_exists``, ``ne`` and ``not_in``.
2. A type that does not fit is no match, never an error.
3. A string that is a number counts as one where the rule's value is a number.
"""

import math
import operator
import re
from collections.abc import Callable
from typing import Any

from schemas.rule_nodes import Comparison, Instant, Scalar
from schemas.times import parse_time

Predicate = Callable[[Any], bool]

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "before": operator.lt,
    "after": operator.gt,
}
_EXACT_DIGITS = 18


def number_of(value: Any) -> int | float | None:
    """The number that a JSON value is, or spells."""
    kind = type(value)
    if kind is int or kind is float:
        found: int | float = value
    elif kind is str and _NUMBER.fullmatch(value):
        digits = value[1:] if value[0] in "+-" else value
        found = int(value) if digits.isdigit() and len(digits) <= _EXACT_DIGITS else float(value)
    else:
        return None
    return found if math.isfinite(found) else None


def dig(value: Any, path: tuple[str, ...]) -> Any:
    """What lies at a path of object fields, or ``None``."""
    for name in path:
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


def predicate(test: Comparison) -> Predicate:
    """For a test whose value does not move with the present."""
    match test.op:
        case "exists":
            return lambda value: value is not None
        case "not_exists":
            return lambda value: value is None
        case "eq":
            return _equals(test.value)
        case "ne":
            return _not(_equals(test.value))
        case "in":
            return _is_one_of(test.value)
        case "not_in":
            return _not(_is_one_of(test.value))
        case "contains":
            return _contains(test.value)
        case "starts_with":
            return lambda value: type(value) is str and value.startswith(test.value)
        case "ends_with":
            return lambda value: type(value) is str and value.endswith(test.value)
        case op:
            return _ordered(_ORDER[op], test.value)


def _not(positive: Predicate) -> Predicate:
    return lambda value: not positive(value)


def _equals(wanted: Scalar) -> Predicate:
    kind = type(wanted)
    if kind is int or kind is float:
        return lambda value: number_of(value) == wanted
    # the type first: 1 == True
    return lambda value: type(value) is kind and value == wanted


def _is_one_of(wanted: tuple[Scalar, ...]) -> Predicate:
    texts = frozenset(one for one in wanted if type(one) is str)
    numbers = frozenset(one for one in wanted if type(one) in (int, float))
    booleans = frozenset(one for one in wanted if type(one) is bool)

    def test(value: Any) -> bool:
        kind = type(value)
        if kind is bool:
            return value in booleans
        if kind is str and value in texts:
            return True
        return bool(numbers) and (number := number_of(value)) is not None and number in numbers

    return test


def _contains(wanted: Scalar) -> Predicate:
    """A part of a string, or an element of an array."""
    equals = _equals(wanted)

    def test(value: Any) -> bool:
        if type(value) is list:
            return any(equals(element) for element in value)
        return type(value) is str and type(wanted) is str and wanted in value

    return test


def _ordered(compare: Callable[[Any, Any], bool], limit: float | Instant) -> Predicate:
    if isinstance(limit, Instant):
        moment = limit.ms
        return lambda value: (time := parse_time(value)) is not None and compare(time, moment)
    return lambda value: (number := number_of(value)) is not None and compare(number, limit)
