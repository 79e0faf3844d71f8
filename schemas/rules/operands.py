"""A JSON value and its place in, the checked operand of a rule out, or a refusal that names the place."""

import math
import re
from collections.abc import Callable, Collection
from typing import Any

from schemas.errors import ApiError
from schemas.rules.nodes import Instant, Scalar
from schemas.times import DURATION, parse_duration, value_ms

MAX_VALUES = 500
MAX_TEXT = 256

ORDER_OPS = ("gt", "gte", "lt", "lte")
EXISTENCE_OPS = ("exists", "not_exists")
TIME_OPS = ("before", "after")
EXACT = 2**53
"""Up to here every whole number is a float of its own."""


def scalar(value: Any, at: str) -> Scalar:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return number(value, at)
    raise ApiError("invalid_field", "must be a string, a number or a boolean", at)


def number(value: Any, at: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ApiError("invalid_field", "must be a number", at)
    # 100 and 100.0 are one condition
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else value


def orderable(value: Any, at: str) -> int | float | Instant:
    if isinstance(value, str):
        return fixed(value, at, "a number or an ISO 8601 time")
    return number(value, at)


def scalars(value: Any, at: str) -> tuple[Scalar, ...]:
    values = list_of(value, at, most=MAX_VALUES)
    return tuple(scalar(one, f"{at}[{index}]") for index, one in enumerate(values))


def fixed(value: Any, at: str, what: str = "an ISO 8601 time") -> Instant:
    ms = value_ms(value) if isinstance(value, str) else None
    if ms is None:
        raise ApiError("invalid_field", f"must be {what}", at)
    return Instant(ms=ms)


_NOW = re.compile(rf"now(?:([+-])({DURATION}))?")


def moment(value: Any, at: str) -> Instant:
    found = _NOW.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return fixed(value, at, "an ISO 8601 time, or relative to now as now-30d")
    if found[1] is None:
        return Instant(ms=0, moving=True)
    ms = duration(found[2], at)
    return Instant(ms=-ms if found[1] == "-" else ms, moving=True)


def duration(value: Any, at: str) -> int:
    ms = parse_duration(value)
    if ms is None:
        raise ApiError("invalid_field", "must be a duration such as 90s, 10m, 2h, 30d or 2w", at)
    return ms


def text(value: Any, at: str) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
        raise ApiError("invalid_field", f"must be a string of 1 to {MAX_TEXT} characters", at)
    return value


def path_of(value: Any, at: str) -> tuple[str, ...]:
    """One part where it can only be a name: ``a..b``."""
    whole = text(value, at)
    parts = tuple(whole.split("."))
    return parts if all(parts) else (whole,)


def boolean(value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        raise ApiError("invalid_field", "must be true or false", at)
    return value


OPERANDS: dict[str, Callable[[Any, str], Any]] = {
    "eq": scalar,
    "ne": scalar,
    **dict.fromkeys(ORDER_OPS, orderable),
    "in": scalars,
    "not_in": scalars,
    "contains": scalar,
    "starts_with": text,
    "ends_with": text,
    **dict.fromkeys(EXISTENCE_OPS, scalar),
    **dict.fromkeys(TIME_OPS, moment),
}


# --- shapes


def object_of(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiError("invalid_field", "must be an object", at)
    return value


def list_of(value: Any, at: str, *, most: int | None) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ApiError("invalid_field", "must be a non-empty array", at)
    if most is not None and len(value) > most:
        raise ApiError("invalid_field", f"has at most {most} entries", at)
    return value


def only(fields: dict[str, Any], known: Collection[str], at: str, what: str) -> None:
    for name in fields:
        if name not in known:
            raise ApiError("unknown_field", f"{name[:80]!r} does not go with {what}", f"{at}.{name[:80]}")


def needed(fields: dict[str, Any], name: str, at: str) -> Any:
    if name not in fields:
        raise ApiError("missing_field", f"{name} is needed", f"{at}.{name}")
    return fields[name]


def one_of(value: Any, known: tuple[str, ...], at: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise ApiError("invalid_field", f"must be one of {', '.join(known)}", at)
    return value
