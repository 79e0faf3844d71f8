"""Values of a named list as JSON in; checked distinct values, in one order, out; pure."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from schemas.errors import ApiError
from schemas.limits import MAX_LIST_BYTES, MAX_LIST_VALUE, MOST_LIST_VALUES
from schemas.rules.nodes import Scalar
from schemas.rules.operands import number

Place = tuple[int, Scalar]


def place_of(value: Scalar) -> Place:
    """Returns a value's sort key: booleans, then numbers, then texts."""
    return (0 if isinstance(value, bool) else 2 if isinstance(value, str) else 1), value


def ordered(values: Iterable[Scalar]) -> tuple[Scalar, ...]:
    """Returns distinct values: ``1`` and ``1.0`` are one value; ``1``, ``"1"`` and ``true`` are three."""
    return tuple(value for _, value in sorted({place_of(value) for value in values}))


def digest_of(values: Sequence[Scalar]) -> str:
    """Returns a digest of ordered values: equal for lists with equal values."""
    return hashlib.sha256(orjson.dumps(values)).hexdigest()[:16]


def checked_values(values: Sequence[Any], at: str) -> list[Scalar]:
    """Returns checked values; raises ``ApiError`` (422) with the path of the first wrong value."""
    return [_checked(value, f"{at}[{index}]") for index, value in enumerate(values)]


def check_size(values: Sequence[Scalar], at: str) -> None:
    """Raises ``ApiError`` (422) if a list has too many values, or exceeds a record's size."""
    if len(values) > MOST_LIST_VALUES:
        message = f"a list has at most {MOST_LIST_VALUES} values: with these it would have {len(values)}"
        raise ApiError("invalid_field", message, at)
    if len(orjson.dumps(values)) > MAX_LIST_BYTES:
        raise ApiError("invalid_field", f"the values of a list have at most {MAX_LIST_BYTES} bytes as JSON", at)


def _checked(value: Any, at: str) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return number(value, at)
    if not isinstance(value, str) or not value:
        raise ApiError("invalid_field", "must be a text that is not empty, a number or a boolean", at)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ApiError("invalid_field", "half a character cannot be stored", at) from None
    if size > MAX_LIST_VALUE:
        raise ApiError("invalid_field", f"a value has at most {MAX_LIST_VALUE} bytes", at)
    return value
