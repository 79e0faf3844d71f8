"""A JSON value and its place in; the checked operand of a rule out, or a refusal that names the place."""

import math
import re
from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any

from schemas.calendar_days import local_ms, zones
from schemas.errors import ApiError
from schemas.records import identity
from schemas.rules.nodes import Instant, ListValues, Scalar, Zone
from schemas.times import DURATION, parse_duration, value_ms

MAX_VALUES = 500
MAX_TEXT = 256

ORDER_OPS = ("gt", "gte", "lt", "lte")
EXISTENCE_OPS = ("exists", "not_exists")
TIME_OPS = ("before", "after")
EXACT = 2**53
"""Up to this number, a float represents every whole number exactly."""


def scalar(value: Any, at: str) -> Scalar:
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return number(value, at)
    raise ApiError("invalid_field", "must be a string, a number or a boolean", at)


def number(value: Any, at: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ApiError("invalid_field", "must be a number", at)
    # 100 and 100.0 are equal, so they share a condition
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else value


def orderable(value: Any, at: str) -> int | float | Instant:
    if isinstance(value, str):
        return fixed(value, at, "a number or an ISO 8601 time")
    return number(value, at)


LIST_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
_LIST_NAME = re.compile(LIST_NAME)
_VALUES = 'must be a list of values, as ["a", "b"], or the name of a list, as {"list": "vip_skus"}'


def scalars(value: Any, at: str) -> tuple[Scalar, ...] | ListValues:
    """Returns the values, or the name of a list that holds them."""
    if isinstance(value, dict):
        return _named_list(value, at)
    if not isinstance(value, list) or not value:
        raise ApiError("invalid_field", _VALUES, at)
    if len(value) > MAX_VALUES:
        message = f"has at most {MAX_VALUES} values; put more into a named list: POST /v1/lists"
        raise ApiError("invalid_field", message, at)
    return tuple(scalar(item, f"{at}[{index}]") for index, item in enumerate(value))


def _named_list(value: dict[str, Any], at: str) -> ListValues:
    only(value, ("list",), at, "a named list")
    if "list" not in value:
        raise ApiError("invalid_field", _VALUES, at)
    name = value["list"]
    if not isinstance(name, str) or not _LIST_NAME.fullmatch(name):
        message = "must be the name of a list: up to 63 of a-z, 0-9, _ and -, as vip_skus"
        raise ApiError("invalid_field", message, f"{at}.list")
    return ListValues(name=name)


def fixed(value: Any, at: str, what: str = "an ISO 8601 time") -> Instant:
    ms = value_ms(value) if isinstance(value, str) else None
    if ms is None:
        raise ApiError("invalid_field", f"must be {what}", at)
    return Instant(ms=ms)


_NOW = re.compile(rf"now(?:([+-])({DURATION}))?")


def moment(value: Any, at: str) -> Instant:
    match = _NOW.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return fixed(value, at, "an ISO 8601 time, or relative to now as now-30d")
    if match[1] is None:
        return Instant(ms=0, moving=True)
    ms = duration(match[2], at)
    return Instant(ms=-ms if match[1] == "-" else ms, moving=True)


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
    """Splits a path at its dots; a text such as ``a..b`` is one name."""
    whole = text(value, at)
    parts = tuple(whole.split("."))
    return parts if all(parts) else (whole,)


def zone(value: Any, at: str) -> Zone:
    """Returns a time zone; raises ``ApiError`` (422) for an unknown name."""
    if isinstance(value, dict):
        only(value, ("attribute", "default"), at, "tz")
        path = path_of(needed(value, "attribute", at), f"{at}.attribute")
        return Zone(name=_zone_name(value.get("default", "UTC"), f"{at}.default"), path=path)
    return Zone(name=_zone_name(value, at))


def _zone_name(value: Any, at: str) -> str:
    if isinstance(value, str) and value in zones():
        return value
    alike = get_close_matches(value, zones(), n=1) if isinstance(value, str) and len(value) <= MAX_TEXT else []
    hint = f"; did you mean {alike[0]}?" if alike else ""
    form = 'a time zone such as "Europe/Berlin", or {"attribute": "timezone", "default": "UTC"}'
    raise ApiError("invalid_field", f"must be {form}{hint}", at)


_HAS_ZONE = re.compile(r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$")


def local(instant: Instant, written: Any, where: Zone, at: str) -> Instant:
    """Returns the moment of a ``written`` time; a time without a zone is in the rule's zone."""
    if instant.moving or where == Zone() or not isinstance(written, str) or _HAS_ZONE.search(written[10:]):
        return instant
    if where.path:
        raise ApiError("invalid_field", "needs a zone, as 2026-05-01T09:00:00Z: the rule's is an attribute's", at)
    try:
        return Instant(ms=local_ms(where.name, instant.ms))
    except OverflowError:
        raise ApiError("invalid_field", "must be a time from the year 1 to 9999", at) from None


MOST_DAYS = 366


def days(value: Any, at: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -MOST_DAYS <= value <= MOST_DAYS:
        message = f"must be a whole number of days from -{MOST_DAYS} to {MOST_DAYS}: 0 is today, 3 is in three days"
        raise ApiError("invalid_field", message, at)
    return value


def identifier_type(value: Any, at: str) -> str:
    name = text(value, at)
    kind = identity.ALIASES.get(name, name)
    if kind in (identity.CONTACT_ID, "contact_id") or not identity.is_type(kind):
        message = "must be a type of identifier: email, phone, external_id, anonymous_id, device_id, or one of your own"
        raise ApiError("invalid_field", message, at)
    return kind


_NO_SUCH = {
    identity.EMAIL: "is no e-mail address, as ann@example.com",
    identity.PHONE: "is no phone number; its country code may be missing, as in +49 151 23456789",
}


def identifier_value(kind: str, op: str, value: Any, at: str) -> Any:
    """Returns the operand in the normalised form of stored identifiers."""
    if op in ("in", "not_in"):
        values = scalars(value, at)
        if isinstance(values, ListValues):
            return values
        return tuple(identifier_value(kind, "eq", item, f"{at}[{n}]") for n, item in enumerate(values))
    written = text(value, at)
    if op not in ("eq", "ne"):
        return written.lower() if kind == identity.EMAIL else written
    normal = identity.normalise(kind, written)
    if normal is None:
        raise ApiError("invalid_field", _NO_SUCH.get(kind, "identifies no person"), at)
    return normal


def boolean(value: Any, at: str) -> bool:
    if not isinstance(value, bool):
        raise ApiError("invalid_field", "must be true or false", at)
    return value


TEXT_OPS = ("eq", "ne", "in", "not_in", "contains", "starts_with", "ends_with", *EXISTENCE_OPS)
"""Operators for identifiers, which are texts."""
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


def only(fields: dict[str, Any], allowed: Collection[str], at: str, what: str) -> None:
    for name in fields:
        if name not in allowed:
            raise ApiError("unknown_field", f"{name[:80]!r} does not go with {what}", f"{at}.{name[:80]}")


def needed(fields: dict[str, Any], name: str, at: str) -> Any:
    if name not in fields:
        raise ApiError("missing_field", f"{name} is needed", f"{at}.{name}")
    return fields[name]


def one_of(value: Any, allowed: tuple[str, ...], at: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ApiError("invalid_field", f"must be one of {', '.join(allowed)}", at)
    return value
