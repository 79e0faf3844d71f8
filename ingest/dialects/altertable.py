"""Altertable's JSON in, raw events and Altertable's answers out: `POST /track`, `/identify`, `/alias`.

Source: the vendor's REST API page, and the specification of its clients. An array is taken whole or not at all.

A client's ``distinct_id`` is anonymous until ``identify``, whose ``anonymous_id`` is that earlier id: events stored
under it, as either type, come along unless it belongs to an identified contact.
"""

from collections.abc import Callable
from typing import Any

import orjson

from ingest.events.canonical import profile_of
from ingest.events.operation import JSON, IngestOperation, addresses_in, check_count, each, earlier_id, optional_object
from ingest.events.raw import IntakeResult, Parsed, RawEvent, Reply
from schemas.errors import ApiError
from schemas.records.records import ALIAS, ALIAS_TYPE, IDENTIFY, IDENTIFY_TYPE, TRACK

BUILT_IN = frozenset(
    "$lib $lib_version $referer $referrer $release $url $viewport $session_id $device_id $ip $user_agent "
    "$title $path $utm_source $utm_medium $utm_campaign $utm_term $utm_content".split()
)
_SENDER = (("distinct_id", "external_id"), ("anonymous_id", "anonymous_id"), ("device_id", "device_id"))
_COMMON = frozenset({"environment", "distinct_id", "anonymous_id", "device_id", "timestamp", "event_id"})
_ERRORS = {
    "unknown_environment": (400, "environment-not-found"),
    "unsupported_media_type": (400, "invalid-headers"),
    "unknown_property": (400, "unknown-built-in-property"),
    "missing_key": (401, "invalid-api-key"),
    "invalid_key": (401, "invalid-api-key"),
    "missing_scope": (403, "invalid-api-key"),
    "rate_limited": (429, "rate-limited"),
    "unavailable": (503, "unavailable"),
    "internal": (500, "internal"),
}


def refuse(refused: ApiError, _request_id: str) -> Reply:
    status, code = _ERRORS.get(refused.code, (refused.status, "invalid-data"))
    message = f"{refused.param}: {refused.message}" if refused.param else refused.message
    body = {"ok": False, "task_id": None, "error_code": code, "message": message}
    return Reply(status=status, body=orjson.dumps(body), headers=(JSON,))


def reply(answer: IntakeResult) -> Reply:
    body = {"ok": True, "task_id": answer.task_id, "error_code": None}
    return Reply(status=200, body=orjson.dumps(body), headers=(JSON,))


def _required(value: dict[str, Any], name: str, kind: type, noun: str) -> Any:
    field = value.get(name)
    if field is None:
        raise ApiError("missing_field", f"{name} is needed", name)
    if not isinstance(field, kind):
        raise ApiError("invalid_field", f"{name} must be {noun}", name)
    return field


def _environment(value: Any) -> str:
    if not isinstance(value, dict):
        raise ApiError("invalid_field", "an item must be a JSON object")
    environment = value.get("environment")
    if not isinstance(environment, str) or not environment:
        raise ApiError("unknown_environment", "environment is needed", "environment")
    return environment


def _rest(value: dict[str, Any], used: frozenset[str]) -> dict[str, Any] | None:
    """Fields that we know no meaning of are kept as context: an SDK may be newer than we are."""
    return {k: v for k, v in value.items() if k not in used} or None


_TRACK_FIELDS = _COMMON | {"event", "properties"}


def _track(value: Any) -> RawEvent:
    environment = _environment(value)
    event = _required(value, "event", str, "a string")
    properties = optional_object(value, "properties")
    if properties is None:
        raise ApiError("missing_field", "properties is needed", "properties")
    for name in properties:
        if name[:1] == "$" and name not in BUILT_IN:
            raise ApiError("unknown_property", f"{name} is not a built-in property", f"properties.{name}")
    return RawEvent(
        kind=TRACK,
        type=event,
        identifiers=[(kind, value[name], name) for name, kind in _SENDER if name in value],
        properties=properties,
        context=_rest(value, _TRACK_FIELDS),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
        environment=environment,
        needs_identifier=False,
    )


_IDENTIFY_FIELDS = _COMMON | {"traits"}


def _identify(value: Any) -> RawEvent:
    environment = _environment(value)
    _required(value, "distinct_id", str, "a string")
    traits = optional_object(value, "traits") or {}
    identifiers = []
    for name, kind in _SENDER:
        text = value.get(name)
        if name == "anonymous_id" and isinstance(text, str) and text != value["distinct_id"]:
            identifiers += earlier_id(text, name)
        elif name in value:
            identifiers.append((kind, text, name))
    identifiers += addresses_in(traits, "traits")
    return RawEvent(
        kind=IDENTIFY,
        type=IDENTIFY_TYPE,
        identifiers=identifiers,
        properties=traits,
        profile=profile_of(traits),
        context=_rest(value, _IDENTIFY_FIELDS),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
        environment=environment,
    )


_ALIAS_FIELDS = _COMMON | {"new_user_id"}


def _alias(value: Any) -> RawEvent:
    environment = _environment(value)
    old = _required(value, "distinct_id", str, "a string")
    new = _required(value, "new_user_id", str, "a string")
    return RawEvent(
        kind=ALIAS,
        type=ALIAS_TYPE,
        identifiers=[("external_id", new, "new_user_id"), *earlier_id(old, "distinct_id")],
        properties={"distinct_id": old, "new_user_id": new},
        context=_rest(value, _ALIAS_FIELDS),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
        environment=environment,
    )


def _parser(parse_item: Callable[[Any], RawEvent]) -> Callable[[Any, int], Parsed]:
    def parse(value: Any, most: int) -> Parsed:
        if not isinstance(value, list):
            if not isinstance(value, dict):
                raise ApiError("invalid_type", "the body must be an object or an array of objects")
            return Parsed(items=[parse_item(value)], atomic=True, label=None)
        check_count(value, most, "[]")
        return Parsed(items=each(value, parse_item), atomic=True, label="")

    return parse


def _operation(path: str, parse_item: Callable[[Any], RawEvent]) -> IngestOperation:
    return IngestOperation(
        source="altertable",
        path=path,
        parse=_parser(parse_item),
        reply=reply,
        refuse=refuse,
        any_environment=True,
        always_task=True,
    )


OPERATIONS = (_operation("/track", _track), _operation("/identify", _identify), _operation("/alias", _alias))
