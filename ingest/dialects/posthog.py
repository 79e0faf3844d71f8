"""PostHog's JSON in, raw events and PostHog's answers out: `/batch/`, `/e/`, `/capture/`, `/i/v0/e/`.

Source: PostHog's "Capture and batch API endpoints", and the requests of its own SDKs.

1. A ``distinct_id`` is an ``anonymous_id`` where the client marks it so: ``$is_identified`` or
   ``$process_person_profile`` is false, it is the ``$device_id``, or a browser sends a ``$device_id`` without a
   ``$user_id``. Else it is an ``external_id``.
   A visitor who declined cookies (``$process_person_profile`` is false) has no profile: no call identifies or ties
   that id.
2. In an alias, and as the earlier id of an identify, the type is unknown: events stored under either come along,
   unless it belongs to an identified contact (kind ``identify``). ``$merge_dangerously`` merges both (kind ``alias``).
3. A batch is read item by item. Clients drop or repeat a batch as a whole, so the answer is 200 only if every item is
   accepted. An odd value costs the value, not its event. An event without an id gets one that a repeat gets too.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson

from ingest.dialects.posthog_body import BATCH, read
from ingest.events.canonical import MAX_NAME
from ingest.events.operation import (
    JSON,
    Identifying,
    IngestOperation,
    addresses_in,
    check_count,
    check_taken,
    each,
    earlier_id,
    optional_object,
)
from ingest.events.raw import IntakeResult, Parsed, RawEvent, Reply
from ingest.http.credentials import Credentials
from schemas.errors import ApiError
from schemas.json_bytes import json_bytes
from schemas.records import identity
from schemas.records.records import ALIAS, ALIAS_TYPE, IDENTIFY, IDENTIFY_TYPE, TRACK
from schemas.times import DAY_MS

KEYS = ("api_key", "token")
PATHS = ("batch", "e", "capture", "i/v0/e")
MAX_OFFSET_MS = 30 * DAY_MS
MAX_UNSET = 1000
MAX_TIME_DIGITS = 13
COOKIELESS = "$posthog_cookieless"
"""The ``distinct_id`` of every visitor of a page that stores nothing in browsers."""
DONE = Reply(status=200, body=orjson.dumps({"status": "Ok"}), headers=(JSON,))
_PREVIOUS_FIRST = frozenset(("posthog-python", "posthog-rs"))
"""SDKs whose ``alias(previous_id, distinct_id)`` sends the two ids in the opposite order of all other SDKs."""
_LINKING = frozenset(("$identify", "$create_alias", "$merge_dangerously"))
_USED = frozenset(
    "event distinct_id properties timestamp sent_at offset uuid api_key token $set $set_once $unset type".split()
)
_KEYS = frozenset(KEYS)
_PROFILE = frozenset(("$set", "$set_once", "$unset"))
_CODES = {401: "authentication_error", 403: "permission_denied", 429: "throttled_error", 503: "server_error"}


def refuse(refused: ApiError, _request_id: str) -> Reply:
    """400 for everything that is wrong with an event, as the vendor has it."""
    status = 400 if refused.status == 422 else refused.status
    kind = _CODES.get(status, "server_error" if status >= 500 else "validation_error")
    detail = f"{refused.param}: {refused.message}" if refused.param else refused.message
    error = {"type": kind, "code": refused.code, "detail": detail, "attr": refused.param}
    return Reply(status=status, body=orjson.dumps(error), headers=(JSON,))


def event_of(value: Any, sent_at: Any) -> RawEvent:
    """A client's event; raises ``ApiError`` for an event without a name or a ``distinct_id``."""
    if not isinstance(value, dict):
        raise ApiError("invalid_field", "an event must be a JSON object")
    name = value.get("event")
    if not isinstance(name, str) or not name.strip():
        raise ApiError("invalid_field", "event must be a non-empty string", "event")
    fields = optional_object(value, "properties") or {}
    properties = (
        fields if _KEYS.isdisjoint(fields) else {key: field for key, field in fields.items() if key not in _KEYS}
    )
    field, distinct_id = "distinct_id", _text(value.get("distinct_id"))
    if distinct_id is None:
        field, distinct_id = "properties.distinct_id", _text(fields.get("distinct_id"))
        if distinct_id is None:
            raise ApiError("missing_field", "distinct_id is needed", "distinct_id")
    kind, known_as, identifiers = _sender(name, distinct_id, field, properties)
    profile = None
    if not (_PROFILE.isdisjoint(properties) and _PROFILE.isdisjoint(value)):
        profile = _profile(value, properties)
        for at in ("set", "set_once"):
            if identifiers:
                identifiers += addresses_in(profile.get(at, {}), f"${at}")
    return RawEvent(
        kind=kind,
        type=known_as[:MAX_NAME],
        identifiers=identifiers,
        properties=properties,
        profile=profile or None,
        context=None if value.keys() <= _USED else {key: field for key, field in value.items() if key not in _USED},
        timestamp=value.get("timestamp"),
        age_ms=_age_ms(value),
        sent_at=None if fields.get("$ignore_sent_at") else sent_at,
        event_id=_event_id(value, name, distinct_id, fields),
        needs_identifier=False,
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    """Converts an id as PostHog does: a JSON value other than a string becomes its JSON text, cut to the limit."""
    if isinstance(value, str):
        return value[: identity.MAX_LENGTH]
    return None if value is None else json_bytes(value, "distinct_id").decode()[: identity.MAX_LENGTH]


def _event_id(value: dict[str, Any], name: str, distinct_id: str, properties: dict[str, Any]) -> str | None:
    """Returns the client's id, else a hash of an event with a timestamp: a repeat of the event has the same hash."""
    uuid = value.get("uuid")
    if isinstance(uuid, str) and uuid and len(uuid) <= MAX_NAME and uuid.isprintable():
        return uuid
    if value.get("timestamp") is None:
        return None
    whole = [
        name,
        distinct_id,
        value["timestamp"],
        properties,
        *(value.get(at) for at in ("$set", "$set_once", "$unset")),
    ]
    raw = json_bytes(whole, "properties", orjson.OPT_SORT_KEYS)
    return str(UUID(bytes=blake2b(raw, digest_size=16).digest()))


def _sender(name: str, distinct_id: str, field: str, properties: dict[str, Any]) -> tuple[str, str, list[Identifying]]:
    """Kind, type and identifiers of an event."""
    if distinct_id == COOKIELESS or (name == "$groupidentify" and _is_a_groups(distinct_id, properties)):
        return TRACK, name, []
    if name in _LINKING and properties.get("$process_person_profile") is False:
        return TRACK, name, []
    device = properties.get("$device_id")
    devices = [("device_id", device, "properties.$device_id")] if isinstance(device, str) else []
    if name[0] != "$" or name not in _LINKING:
        kind = "anonymous_id" if _is_stranger(distinct_id, device, properties) else "external_id"
        return TRACK, name, [(kind, distinct_id, field), *devices]
    own = ("external_id", distinct_id, field)
    if name == "$identify":
        return IDENTIFY, IDENTIFY_TYPE, [own, *_earlier("$anon_distinct_id", distinct_id, properties), *devices]
    earlier = _earlier("alias", distinct_id, properties)
    if earlier and properties.get("$lib") in _PREVIOUS_FIRST:
        own, earlier = earlier[0], earlier_id(distinct_id, field)
    return IDENTIFY if name == "$create_alias" else ALIAS, ALIAS_TYPE, [own, *earlier]


def _earlier(name: str, distinct_id: str, properties: dict[str, Any]) -> list[Identifying]:
    """Returns the sender's earlier id, if the property ``name`` holds one that differs from its present id."""
    value = _text(properties.get(name))
    return [] if value in (None, distinct_id, COOKIELESS) else earlier_id(value, f"properties.{name}")


def _is_a_groups(distinct_id: str, properties: dict[str, Any]) -> bool:
    """Whether a server's SDK generated the id, for an event of a group without a person."""
    made_up = f"${properties.get('$group_type')}_{properties.get('$group_key')}"
    return distinct_id == made_up or properties.get("$process_person_profile") is False


def _is_stranger(distinct_id: str, device: Any, properties: dict[str, Any]) -> bool:
    identified = properties.get("$is_identified")
    if identified is False or properties.get("$process_person_profile") is False or distinct_id == device:
        return True
    if identified is True or not isinstance(device, str):
        return False
    return not properties.get("$user_id") and properties.get("$lib", "web") == "web"


def _profile(value: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    profile = {}
    for name in ("set", "set_once"):
        attributes = {**_object(properties.get(f"${name}")), **_object(value.get(f"${name}"))}
        if attributes:
            profile[name] = attributes
    gone = [name for place in (properties, value) for name in _names(place.get("$unset"))]
    if gone:
        profile["set"] = {**profile.get("set", {}), **dict.fromkeys(gone)}
    return profile


def _names(value: Any) -> list[str]:
    """The attributes that ``$unset`` takes away; clients write a list, or an object of which the names count."""
    some = list(value)[:MAX_UNSET] if isinstance(value, list | dict) else ()
    return [name for name in some if isinstance(name, str)]


def _age_ms(value: dict[str, Any]) -> int | None:
    """``offset`` is how many milliseconds before it was sent an event happened."""
    offset = value.get("offset")
    if not isinstance(offset, int | float) or isinstance(offset, bool) or not 0 <= offset <= MAX_OFFSET_MS:
        return None
    return int(offset)


def parse(value: Any, most: int) -> Parsed:
    """A single event, an array of events, or an object with the array ``batch``."""
    items = value
    sent_at = None
    if isinstance(value, dict):
        sent_at = value.get("sent_at")
        items = value.get(BATCH)
        if items is None:
            return Parsed(items=[event_of(value, sent_at)], atomic=True, label=None)
    if not isinstance(items, list):
        raise ApiError("invalid_type", "the body must be an event, an array of events, or have one as batch")
    check_count(items, most, BATCH)
    keyless = isinstance(value, list) or not any(isinstance(value.get(name), str) for name in KEYS)
    key = next((k for item in items if (k := _key(item)) is not None), None) if keyless else None

    def parse_item(item: Any) -> RawEvent:
        if key is not None and _key(item) not in (None, key):
            raise ApiError("invalid_field", "all events of a request must have the same key", "properties.token")
        return event_of(item, sent_at)

    return Parsed(items=each(items, parse_item), atomic=False, label=BATCH)


def with_query(value: Any, query: Mapping[str, str]) -> Any:
    """The body with the time of sending that a browser's SDK puts beside it."""
    sent = query.get("_", "")
    if not (sent.isascii() and sent.isdigit() and len(sent) <= MAX_TIME_DIGITS):
        return value
    if isinstance(value, list):
        return {BATCH: value, "sent_at": int(sent)}
    return {"sent_at": int(sent), **value} if isinstance(value, dict) else value


def _key(item: Any) -> Any:
    places = (item, item.get("properties")) if isinstance(item, dict) else ()
    return next((p[n] for p in places if isinstance(p, dict) for n in KEYS if isinstance(p.get(n), str)), None)


def reply(answer: IntakeResult) -> Reply:
    check_taken(answer)
    return DONE


def both(path: str) -> tuple[str, str]:
    """Clients write every path with a slash at its end or without."""
    return f"/{path}", f"/{path}/"


OPERATIONS = tuple(
    IngestOperation(
        source="posthog",
        path=path,
        parse=parse,
        reply=reply,
        refuse=refuse,
        read=read,
        with_query=with_query,
        credentials=Credentials(in_query=KEYS, in_body=KEYS),
        batch_label=BATCH,
        lenient=True,
    )
    for name in PATHS
    for path in both(name)
)
