"""Parcelvoy's JSON in, raw events and Parcelvoy's answers out: `POST /api/client/{alias,identify,devices,events}`.

Source: the vendor's client API page, and the requests of its SDKs for Android, iOS and the browser.

1. An array of events is taken whole or not at all; the field names the place (`[1].external_id`).
2. `alias` answers 204 only where the two are one contact: the same pair again does nothing, an ``anonymous_id``
   that belongs to another ``external_id`` is a 422, and where neither is known in time a 503, to be sent again.
3. An event that names its ``user`` updates the contact too; its ``distinct_id`` is the event's id.
4. A device registration replaces the one before of the same ``device_id``, its token too.
5. There are no notifications here: the list is empty, so that an app does not report errors.
"""

from collections.abc import Callable
from typing import Any

import orjson

from ingest.dialects.senders import IDENTIFIER, SENDER, SPELLINGS, senders
from ingest.events.canonical import MAX_NAME, profile_of
from ingest.events.operation import (
    ADDRESSES,
    JSON,
    CallOperation,
    DialectContext,
    Handler,
    Identifying,
    IngestOperation,
    addresses_in,
    check_count,
    each,
    is_address,
    object_of,
    optional_object,
)
from ingest.events.raw import IntakeResult, Parsed, RawEvent, Reply
from schemas.errors import ApiError
from schemas.records.records import ALIAS_TYPE, IDENTIFY, IDENTIFY_TYPE, TRACK

DEVICE = "device"
DEVICE_TYPE = f"${DEVICE}"
DEFAULT_NAME = "event"
NO_NOTIFICATIONS = Reply(status=200, body=orjson.dumps({"results": [], "nextCursor": None}), headers=(JSON,))
_TRAITS = ("timezone", "locale")
_COMMON = frozenset({"event_id", "timestamp", IDENTIFIER, *(name for name, _ in SPELLINGS)})
_NAMES = ("name", "event")
_DATA = ("data", "properties", "traits")
_DEVICE_FIELDS = ("token", "os", "model", "app_build", "app_version")
DONE = Reply(status=204, body=b"")


def refuse(refused: ApiError, _request_id: str) -> Reply:
    body = {"error": refused.message, "field": refused.param}
    return Reply(status=refused.status, body=orjson.dumps(body), headers=(JSON,))


def reply(_answer: IntakeResult) -> Reply:
    return DONE


def _required(value: dict[str, Any], name: str) -> Any:
    if value.get(name) is None:
        raise ApiError("missing_field", f"{name} is needed", name)
    return value[name]


def _text(value: dict[str, Any], name: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise ApiError("invalid_field", f"{name} must be a string", name)
    return text


def rest_of(value: dict[str, Any], *used: str) -> dict[str, Any] | None:
    """Fields that we know no meaning of are kept as context: an SDK may be newer than we are."""
    rest = {k: v for k, v in value.items() if k not in used and k not in _COMMON}
    identifiers = value.get(IDENTIFIER)
    if isinstance(identifiers, list) and any(isinstance(item, dict) and item.get("metadata") for item in identifiers):
        rest[IDENTIFIER] = identifiers
    return rest or None


def used(value: dict[str, Any]) -> tuple[str, str]:
    """The fields that hold an event's name and data: other SDKs say ``event``, and ``properties`` or ``traits``."""
    return _first_of(value, _NAMES), _first_of(value, _DATA)


def _first_of(value: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        if value.get(name) is not None:
            return name
    return names[0]


def data_of(value: dict[str, Any]) -> dict[str, Any]:
    return optional_object(value, _first_of(value, _DATA)) or {}


def identify(value: Any) -> RawEvent:
    value = object_of(value)
    data, addresses, attributes = _user(value)
    return RawEvent(
        kind=IDENTIFY,
        type=IDENTIFY_TYPE,
        identifiers=senders(value) + addresses,
        properties=data,
        profile=profile_of(attributes),
        context=rest_of(value, used(value)[1], *ADDRESSES, *_TRAITS),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
    )


def _user(value: dict[str, Any], place: str = "") -> tuple[dict[str, Any], list[Identifying], dict[str, Any]]:
    """The data, the addresses and the attributes of a user."""
    data = data_of(value)
    addresses = [
        *((name, _address(value, name), f"{place}{name}") for name in ADDRESSES if value.get(name) is not None),
        *addresses_in(data, f"{place}data"),
    ]
    traits = {name: _text(value, name) for name in _TRAITS if value.get(name) is not None}
    return data, addresses, {**data, **traits}


def _address(value: dict[str, Any], name: str) -> str | int:
    text = value[name]
    if not is_address(name, text):
        raise ApiError("invalid_field", f"{name} must be a string", name)
    return text if isinstance(text, int) else str(text)


def _device(value: Any) -> RawEvent:
    value = object_of(value)
    device_id = _text(value, "device_id")
    if not device_id:
        raise ApiError("missing_field", "device_id is needed", "device_id")
    config = optional_object(value, "config") or {}
    device = {"device_id": device_id, **{name: _text(value, name) for name in _DEVICE_FIELDS}}
    device["token"] = device["token"] or _text(config, "token")
    return RawEvent(
        kind=DEVICE,
        type=DEVICE_TYPE,
        identifiers=senders(value),
        properties={name: part for name, part in device.items() if name != "token"},
        profile={"device": device},
        context=rest_of(value, "device_id", "config", *_DEVICE_FIELDS),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
    )


def name_of(value: dict[str, Any]) -> str:
    text = value.get(_first_of(value, _NAMES))
    name = DEFAULT_NAME if text is None else text
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        raise ApiError("invalid_field", f"name must be a string of 1 to {MAX_NAME} characters", "name")
    return name


def _event(value: Any) -> RawEvent:
    if not isinstance(value, dict):
        raise ApiError("invalid_field", "an event must be a JSON object")
    identifiers, attributes = senders(value), None
    if value.get("user") is not None:
        try:
            _, addresses, attributes = _user(optional_object(value, "user") or {}, "user.")
        except ApiError as refused:
            raise refused.at("user") from None
        identifiers += addresses
    return RawEvent(
        kind=TRACK,
        type=name_of(value),
        identifiers=identifiers,
        properties=data_of(value),
        profile=profile_of(attributes),
        context=rest_of(value, *used(value), "user", "distinct_id"),
        timestamp=value.get("timestamp"),
        event_id=value.get("distinct_id") if value.get("event_id") is None else value["event_id"],
    )


def one_of(parse_item: Callable[[Any], RawEvent]) -> Callable[[Any, int], Parsed]:
    def parse(value: Any, _most: int) -> Parsed:
        return Parsed(items=[parse_item(value)], atomic=True, label=None)

    return parse


def events(value: Any, most: int) -> Parsed:
    if not isinstance(value, list):
        raise ApiError("invalid_type", "the body must be an array of events")
    check_count(value, most, "[]")
    return Parsed(items=each(value, _event), atomic=True, label="")


def _track(value: Any, most: int) -> Parsed:
    """A single event, or an array of events."""
    return events(value if isinstance(value, list) else [value], most)


async def alias(value: Any, request: DialectContext) -> Reply:
    """An implicit link: it is subject to the merge guard, unlike PostHog's alias."""
    value = object_of(value)
    anonymous = request.contact_of("anonymous_id", _required(value, "anonymous_id"), "anonymous_id")
    external = request.contact_of("external_id", _required(value, "external_id"), "external_id")
    if request.winner(anonymous) == request.winner(external):
        return DONE
    if request.winner(anonymous) != anonymous and await request.is_refused(anonymous, external):
        raise _taken()
    raw = RawEvent(
        kind=IDENTIFY,
        type=ALIAS_TYPE,
        identifiers=senders(value),
        properties={name: value[name] for name, _ in SENDER},
        context=rest_of(value),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
    )
    await request.take(Parsed(items=[raw], atomic=True, label=None))
    joined = await request.joined(anonymous, external)
    if joined is None:
        raise ApiError("unavailable", "the link is stored, but not applied yet; send it again")
    if not joined:
        raise _taken()
    return DONE


def _taken() -> ApiError:
    return ApiError("invalid_field", "anonymous_id belongs to another external_id already", "anonymous_id")


def nothing(_content_type: bytes, _data: bytes, _most: int) -> Any:
    """The request has no body, or an ignored one."""
    return None


async def notifications(_value: Any, _request: DialectContext) -> Reply:
    return NO_NOTIFICATIONS


async def seen(_value: Any, _request: DialectContext) -> Reply:
    return DONE


def operation(
    path: str, parse: Callable[[Any, int], Parsed], reply: Callable[[IntakeResult], Reply] = reply, **more: Any
) -> IngestOperation:
    common: Any = {"source": "parcelvoy", "refuse": refuse, "lenient": True, **more}
    return IngestOperation(path=path, parse=parse, reply=reply, **common)


def call(path: str, handler: Handler, method: str = "POST", **more: Any) -> CallOperation:
    common: Any = {"source": "parcelvoy", "refuse": refuse, "lenient": True, **more}
    return CallOperation(path=path, handler=handler, methods=(method,), **common)


OPERATIONS = (
    operation("/api/client/identify", one_of(identify)),
    operation("/api/client/devices", one_of(_device)),
    operation("/api/client/events", events),
    operation("/api/client/track", _track),
    operation("/devices", one_of(_device)),
    operation("/events", events),
    call("/api/client/alias", alias),
    call("/api/client/notifications", notifications, "GET", read=nothing),
    call("/api/client/notifications/{id}", seen, "PUT", read=nothing),
)
