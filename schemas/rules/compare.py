"""A rule's comparison in; a predicate on a JSON value out; ``None`` stands for a missing value.

1. A missing value matches only ``not_exists``, ``ne`` and ``not_in``, the exact opposites of ``eq`` and ``in``.
2. A value of another type does not match, and raises no error.
3. A number equals a string that spells it, and true equals the string "true"; the rule may state either. Two strings
   are equal only if their characters are equal: "01" is not "1".
4. A name with dots is the exact name of a field if the field exists, else a path.
"""

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Final

from schemas.records.bot_detection import is_machine
from schemas.rules.nodes import BY_MACHINE, Comparison, Instant, ListValues, Scalar
from schemas.times import value_ms

Predicate = Callable[[Any], bool]

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "before": operator.lt,
    "after": operator.gt,
}
EXACT_DIGITS: Final = 20
"""The most digits of a text that spells a whole number: as many as 64 bits may have."""


def number_of(value: Any) -> int | float | None:
    """Returns the number that a JSON value is or spells."""
    kind = type(value)
    if kind is int or kind is float:
        number: int | float = value
    elif kind is str and _NUMBER.fullmatch(value):
        digits = value[1:] if value[0] in "+-" else value
        number = int(value) if digits.isdigit() and len(digits) <= EXACT_DIGITS else float(value)
    else:
        return None
    return number if math.isfinite(number) else None


def dig(value: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of object fields, or ``None``; at each step the rest of the path as one name comes first."""
    for at, name in enumerate(path):
        if type(value) is not dict:
            return None
        if at + 1 < len(path) and (whole := value.get(".".join(path[at:]))) is not None:
            return whole
        value = value.get(name)
    return value


def names_of(path: tuple[str, ...]) -> set[str]:
    """The attributes that may hold a rule's value."""
    return {path[0], ".".join(path)}


def attribute_at(attributes: Mapping[str, list[Any]], path: tuple[str, ...]) -> tuple[Any, list[Any] | None]:
    """The value of an attribute that a rule names, and the entry (``[value, time, event id]``) that holds it."""
    if len(path) > 1:
        entry = attributes.get(".".join(path))
        if entry is not None and entry[0] is not None:
            return entry[0], entry
    entry = attributes.get(path[0])
    return (None, None) if entry is None else (dig(entry[0], path[1:]), entry)


def predicate(test: Comparison) -> Predicate:
    """Builds the predicate of a test whose value does not move with the present."""
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
            return _is_one_of_these(test.value)
        case "not_in":
            return _not(_is_one_of_these(test.value))
        case "contains":
            return _contains(test.value)
        case "starts_with":
            return lambda value: type(value) is str and value.startswith(test.value)
        case "ends_with":
            return lambda value: type(value) is str and value.endswith(test.value)
        case op if op == BY_MACHINE:
            return lambda properties: is_machine(properties) is test.value
        case op:
            return _ordered(_ORDER[op], test.value)


def _not(positive: Predicate) -> Predicate:
    return lambda value: not positive(value)


NEGATED: Final = {"ne": "eq", "not_in": "in", "not_exists": "exists"}


def any_value(test: Comparison) -> Callable[[Collection[str]], bool]:
    """Builds the same predicate for several texts: one of them passes, or for a negated operator all pass."""
    if test.op in NEGATED:
        positive = any_value(Comparison(op=NEGATED[test.op], value=test.value))
        return lambda values: not positive(values)
    if test.op == "exists":
        return bool
    if test.op in ("eq", "in"):
        operands = frozenset((test.value,) if test.op == "eq" else values_of(test.value))
        return lambda values: not operands.isdisjoint(values)
    passes = predicate(test)
    return lambda values: any(map(passes, values))


_TRUTHS: Final = {True: "true", False: "false"}


def _equals(operand: Scalar) -> Predicate:
    # compare types first: 1 == True
    if type(operand) is bool:
        spelt = _TRUTHS[operand]
        return lambda value: value is operand or (type(value) is str and value == spelt)
    if type(operand) is not str:
        return lambda value: number_of(value) == operand
    number = number_of(operand)
    truth = next((truth for truth, spelt in _TRUTHS.items() if spelt == operand), None)
    if number is not None:
        return lambda value: value == operand if type(value) is str else number_of(value) == number
    return lambda value: value == operand if type(value) is str else truth is not None and value is truth


def values_of(operands: tuple[Scalar, ...] | ListValues) -> tuple[Scalar, ...]:
    """The values of ``in`` or ``not_in``."""
    return operands.values if isinstance(operands, ListValues) else operands


def _is_one_of_these(operands: tuple[Scalar, ...] | ListValues) -> Predicate:
    return _is_on_list(operands) if isinstance(operands, ListValues) else _is_one_of(operands)


@lru_cache(maxsize=64)
def _is_on_list(values: ListValues) -> Predicate:
    """All conditions on a list share one predicate: its sets are built once."""
    return _is_one_of(values.values)


def _is_one_of(operands: tuple[Scalar, ...]) -> Predicate:
    spelt = {
        operand: number for operand in operands if type(operand) is str and (number := number_of(operand)) is not None
    }
    numbers = frozenset(operand for operand in operands if type(operand) in (int, float))
    truths = {_TRUTHS[operand] for operand in operands if type(operand) is bool}
    texts = truths.union(operand for operand in operands if type(operand) is str)
    any_number = numbers.union(spelt.values())

    def test(value: Any) -> bool:
        kind = type(value)
        if kind is bool:
            return _TRUTHS[value] in texts
        if kind is str:
            return value in texts or (bool(numbers) and number_of(value) in numbers)
        return bool(any_number) and number_of(value) in any_number

    return test


def _contains(operand: Scalar) -> Predicate:
    """Matches a part of a string, or an element of an array."""
    equals = _equals(operand)

    def test(value: Any) -> bool:
        if type(value) is list:
            return any(equals(element) for element in value)
        return type(value) is str and type(operand) is str and operand in value

    return test


def _ordered(compare: Callable[[Any, Any], bool], limit: float | Instant) -> Predicate:
    if isinstance(limit, Instant):
        moment = limit.ms
        return lambda value: (time := value_ms(value)) is not None and compare(time, moment)
    return lambda value: (number := number_of(value)) is not None and compare(number, limit)
