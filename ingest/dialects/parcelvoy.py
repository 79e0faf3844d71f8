"""Parcelvoy's JSON in, raw events and Parcelvoy's answers out: `POST /api/client/{alias,identify,devices,events}`.

Source: the vendor's client API page; `/api/client/users` and `/users/events` are Lunogram's, its successor's.

1. An array of events is taken whole or not at all; the field names the place (`[1].external_id`).
2. `alias` answers 204 only where the two are one contact: the same pair again does nothing, an ``anonymous_id``
   that belongs to another ``external_id`` is a 422, and where neither is known in time a 503, to be sent again.
3. An event that names its ``user`` updates the contact too; its ``distinct_id`` is the event's id.
4. A device registration replaces the one before of the same ``device_id``, its token too.
"""

from collections.abc import Callable
from typing import Any

import orjson

from ingest.canonical import MAX_NAME, profile_of
from ingest.dialects.operation import (
    ADDRESSES,
    JSON,
    Desk,
    Identifying,
    Operation,
    addresses_in,
    check_count,
    each,
    is_address,
    object_of,
    optional_object,
)
from ingest.raw import Accepted, Answer, Parsed, RawEvent, Reply
from schemas.errors import Refused
from schemas.records import ALIAS_TYPE, IDENTIFY, IDENTIFY_TYPE, TRACK

DEVICE = "device"
DEVICE_TYPE = f"${DEVICE}"
DEFAULT_NAME = "event"
_SENDER = (("external_id", "external_id"), ("anonymous_id", "anonymous_id"))
_TRAITS = ("timezone", "locale")
_COMMON = frozenset({"external_id", "anonymous_id", "event_id", "timestamp"})
_DEVICE_FIELDS = ("token", "os", "model", "app_build", "app_version")
DONE = Reply(status=204, body=b"")


def refuse(refused: Refused, _request_id: str) -> Reply:
    body = {"error": refused.message, "field": refused.param}
    return Reply(status=refused.status, body=orjson.dumps(body), headers=(JSON,))


def reply(_answer: Answer) -> Reply:
    return DONE


def _senders(value: dict[str, Any]) -> list[tuple[str, Any, str]]:
    found = [(kind, value[name], name) for name, kind in _SENDER if value.get(name) is not None]
    if not found:
        raise Refused("missing_field", "external_id or anonymous_id is needed", "external_id")
    return found


def _required(value: dict[str, Any], name: str) -> Any:
    if value.get(name) is None:
        raise Refused("missing_field", f"{name} is needed", name)
    return value[name]


def _text(value: dict[str, Any], name: str) -> str | None:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise Refused("invalid_field", f"{name} must be a string", name)
    return found


def _rest(value: dict[str, Any], *used: str) -> dict[str, Any] | None:
    """Fields that we know no meaning of are kept as context: an SDK may be newer than we are."""
    return {k: v for k, v in value.items() if k not in _COMMON and k not in used} or None


def _identify(value: Any) -> RawEvent:
    value = object_of(value)
    _required(value, "external_id")
    data, addresses, attributes = _user(value)
    return RawEvent(
        kind=IDENTIFY,
        type=IDENTIFY_TYPE,
        identifiers=_senders(value) + addresses,
        properties=data,
        profile=profile_of(attributes),
        context=_rest(value, "data", *ADDRESSES, *_TRAITS),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
    )


def _user(value: dict[str, Any], place: str = "") -> tuple[dict[str, Any], list[Identifying], dict[str, Any]]:
    """The data, the addresses and the attributes of a user."""
    data = optional_object(value, "data") or {}
    addresses = [
        *((name, _said(value, name), f"{place}{name}") for name in ADDRESSES if value.get(name) is not None),
        *addresses_in(data, f"{place}data"),
    ]
    traits = {name: _text(value, name) for name in _TRAITS if value.get(name) is not None}
    return data, addresses, {**data, **traits}


def _said(value: dict[str, Any], name: str) -> str | int:
    found = value[name]
    if not is_address(name, found):
        raise Refused("invalid_field", f"{name} must be a string", name)
    return found if isinstance(found, int) else str(found)


def _device(value: Any) -> RawEvent:
    value = object_of(value)
    device_id = _text(value, "device_id")
    if not device_id:
        raise Refused("missing_field", "device_id is needed", "device_id")
    device = {"device_id": device_id, **{name: _text(value, name) for name in _DEVICE_FIELDS}}
    return RawEvent(
        kind=DEVICE,
        type=DEVICE_TYPE,
        identifiers=_senders(value),
        properties={name: part for name, part in device.items() if name != "token"},
        profile={"device": device},
        context=_rest(value, "device_id", *_DEVICE_FIELDS),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
    )


def _event(value: Any) -> RawEvent:
    if not isinstance(value, dict):
        raise Refused("invalid_field", "an event must be a JSON object")
    name = DEFAULT_NAME if value.get("name") is None else value["name"]
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        raise Refused("invalid_field", f"name must be a string of 1 to {MAX_NAME} characters", "name")
    user = optional_object(value, "user")
    try:
        _, addresses, attributes = _user(user or {}, "user.")
    except Refused as refused:
        raise refused.at("user") from None
    return RawEvent(
        kind=TRACK,
        type=name,
        identifiers=_senders(value) + addresses,
        properties=optional_object(value, "data") or {},
        profile=profile_of(attributes),
        context=_rest(value, "name", "data", "user", "distinct_id"),
        timestamp=value.get("timestamp"),
        event_id=value.get("distinct_id") if value.get("event_id") is None else value["event_id"],
    )


def _one(one: Callable[[Any], RawEvent]) -> Callable[[Any, int], Parsed]:
    def parse(value: Any, _most: int) -> Parsed:
        return Parsed(items=[one(value)], atomic=True, label="")

    return parse


def _events(value: Any, most: int) -> Parsed:
    if not isinstance(value, list):
        raise Refused("invalid_type", "the body must be an array of events")
    check_count(value, most, "[]")
    return Parsed(items=each(value, _event), atomic=True, label="")


async def alias(value: Any, desk: Desk) -> Reply:
    """The link is no explicit one: unlike another vendor's alias it must not overrule who belongs to whom."""
    value = object_of(value)
    anonymous = desk.contact_of("anonymous_id", _required(value, "anonymous_id"), "anonymous_id")
    external = desk.contact_of("external_id", _required(value, "external_id"), "external_id")
    if desk.winner(anonymous) == desk.winner(external):
        return DONE
    if desk.winner(anonymous) != anonymous and await desk.is_refused(anonymous, external):
        raise _taken()
    raw = RawEvent(
        kind=IDENTIFY,
        type=ALIAS_TYPE,
        identifiers=_senders(value),
        properties={name: value[name] for name, _ in _SENDER},
        context=_rest(value),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
    )
    await desk.take(Parsed(items=[raw], atomic=True, label=""))
    joined = await desk.joined(anonymous, external)
    if joined is None:
        raise Refused("unavailable", "it is stored, but not known yet whose the anonymous_id is; send it again")
    if not joined:
        raise _taken()
    return DONE


def _taken() -> Refused:
    return Refused("invalid_field", "anonymous_id belongs to another external_id already", "anonymous_id")


async def user(value: Any, desk: Desk) -> Reply:
    """Lunogram's identify answers with the user: who it is now, and what this call said."""
    parsed = Parsed(items=[_identify(value)], atomic=True, label="")
    (taken,) = (await desk.take(parsed)).items
    said = {name: value.get(name) for name in ("external_id", "anonymous_id", "email", "phone", *_TRAITS)}
    body = {"id": taken.contact_id if isinstance(taken, Accepted) else None, **said, "data": value.get("data") or {}}
    return Reply(status=200, body=orjson.dumps(body), headers=(JSON,))


def _accepted(_answer: Answer) -> Reply:
    return Reply(status=202, body=b"")


def _operation(path: str, parse: Callable[[Any, int], Parsed], reply: Callable[[Answer], Reply] = reply) -> Operation:
    return Operation(source="parcelvoy", path=path, parse=parse, reply=reply, refuse=refuse, lenient=True)


OPERATIONS = (
    _operation("/api/client/identify", _one(_identify)),
    _operation("/api/client/devices", _one(_device)),
    _operation("/api/client/events", _events),
    _operation("/devices", _one(_device)),
    _operation("/events", _events),
    _operation("/api/client/users/events", _events, _accepted),
    Operation(source="parcelvoy", path="/api/client/alias", serve=alias, refuse=refuse, lenient=True),
    Operation(source="parcelvoy", path="/api/client/users", serve=user, refuse=refuse, lenient=True),
)
