"""An event's properties and the typed columns in; the values of the four columns out; pure.

Values are read as in a rule: a text may spell a number, a time is ISO 8601 or unix time, `a.b` is the property of that
name or a path. A value that does not fit its type is left out, like a missing value.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from schemas.rules.compare import dig, number_of
from schemas.times import value_ms

COLUMNS = {"string": "strings", "number": "numbers", "boolean": "booleans", "time": "times"}
"""Columns of `events` by the type of a property: maps from its name to its value."""
TIMES_FROM_MS, TIMES_TO_MS = -2_208_988_800_000, 10_413_792_000_000
"""1900-01-01 to 2300-01-01: what a DateTime64 holds."""


def path_of(name: str) -> tuple[str, ...]:
    """Splits a path like a rule: a text such as ``a..b`` is one name."""
    parts = tuple(name.split("."))
    return parts if all(parts) else (name,)


def _string(value: Any) -> str | None:
    if type(value) is bool:
        return "true" if value else "false"
    return value if type(value) is str else str(value) if type(value) is int else None


def _number(value: Any) -> float | None:
    number = number_of(value)
    return None if number is None else float(number)


def _boolean(value: Any) -> bool | None:
    return value if type(value) is bool else {"true": True, "false": False}.get(value) if type(value) is str else None


def _time(value: Any) -> int | None:
    ms = value_ms(value)
    return ms if ms is not None and TIMES_FROM_MS <= ms < TIMES_TO_MS else None


READ: dict[str, Callable[[Any], Any]] = {"string": _string, "number": _number, "boolean": _boolean, "time": _time}


def values_of(properties: bytes, typed: Sequence[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Returns values by column and property, times as epoch ms; ``typed`` are names and types in order of the names."""
    values: dict[str, dict[str, Any]] = {column: {} for column in COLUMNS.values()}
    if not typed:
        return values
    try:
        document = orjson.loads(properties)
    except ValueError:
        return values
    for name, kind in typed:
        value = READ[kind](dig(document, path_of(name)))
        if value is not None:
            values[COLUMNS[kind]][name] = value
    return values
