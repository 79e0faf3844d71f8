"""Bodies that ask to replay or discard records in quarantine in, the selection of records out; pure."""

from collections.abc import Mapping
from typing import Any

from schemas.api.request_schemas import QUARANTINE_FILTER, QUARANTINE_JOB
from schemas.control.quarantine_jobs import QuarantineFilter, place_of
from schemas.errors import ApiError
from schemas.limits import MAX_NAME, MAX_QUARANTINE_IDS
from schemas.times import parse_time


def request_of(value: Any, now_ms: int) -> tuple[QuarantineFilter, bool]:
    """The filter of a body, and whether it is a dry run; raises ``ApiError`` with the name of the wrong field."""
    body = _object(value, QUARANTINE_JOB, "")
    if "filter" not in body:
        raise ApiError("missing_field", "filter is needed; {} takes every record", "filter")
    dry_run = body.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise ApiError("invalid_field", "dry_run must be true or false", "dry_run")
    given = _object(body["filter"], QUARANTINE_FILTER, "filter")
    chosen = QuarantineFilter(
        ids=_ids(given.get("ids", [])),
        reason=_word(given, "reason"),
        topic=_word(given, "topic"),
        since_ms=_time(given, "since", 0),
        # records that come into quarantine later are not part of the job
        until_ms=min(_time(given, "until", now_ms), now_ms),
    )
    return chosen, dry_run


def _object(value: Any, fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiError("invalid_type", f"{name or 'the body'} must be a JSON object", name or None)
    if not value.keys() <= fields.keys():
        wrong = min(value.keys() - fields.keys())[:80]
        param = f"{name}.{wrong}" if name else wrong
        raise ApiError("unknown_field", f"unknown field {param}; there are {', '.join(fields)}", param)
    return value


def _ids(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_QUARANTINE_IDS:
        raise ApiError("invalid_field", f"ids must be a list of at most {MAX_QUARANTINE_IDS} ids", "filter.ids")
    for at, one in enumerate(value):
        if not isinstance(one, str) or place_of(one) is None:
            raise ApiError("invalid_field", "an id is topic:partition:offset:index", f"filter.ids[{at}]")
    return tuple(dict.fromkeys(value))


def _word(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise ApiError("invalid_field", f"{name} must be a text of at most {MAX_NAME} characters", f"filter.{name}")
    return value


def _time(given: Mapping[str, Any], name: str, default: int) -> int:
    if name not in given:
        return default
    ms = parse_time(given[name])
    if ms is None:
        raise ApiError("invalid_field", f"{name} must be ISO 8601, or unix seconds or milliseconds", f"filter.{name}")
    return ms
