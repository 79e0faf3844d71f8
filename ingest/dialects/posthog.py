"""PostHog's JSON in, raw events and PostHog's answers out: `/batch/`, `/e/`, `/capture/`, `/i/v0/e/`, `/flags`.

Source: PostHog's "Capture and batch API endpoints", and what its own SDKs send.

1. A ``distinct_id`` is a stranger's (``anonymous_id``) where the client says so: ``$is_identified`` or
   ``$process_person_profile`` is false, or it is the ``$device_id``. Else it is somebody's (``external_id``).
2. In an alias nothing says which it is: what looks like a UUID is a stranger's.
3. A batch is taken item by item, and the answer is 200 only where every item was: clients drop or repeat it whole.
4. There are no feature flags here: `/decide` and `/flags` say so in the form that the SDKs understand.
"""

from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs

import orjson

from ingest import body
from ingest.dialects.operation import (
    JSON,
    Desk,
    Operation,
    addresses_in,
    check_count,
    check_taken,
    each,
    object_of,
    optional_object,
)
from ingest.dialects.segment import guessed
from ingest.raw import Answer, Parsed, RawEvent, Reply
from schemas.errors import Refused
from schemas.records import ALIAS, ALIAS_TYPE, IDENTIFY, IDENTIFY_TYPE, TRACK

BATCH = "batch"
KEYS = ("api_key", "token")
PATHS = ("batch", "e", "capture", "i/v0/e")
FLAGS = ("decide", "flags")
FORM = b"application/x-www-form-urlencoded"
MAX_OFFSET_MS = 30 * 86_400_000
DONE = Reply(status=200, body=orjson.dumps({"status": "Ok"}), headers=(JSON,))
NO_FLAGS = {
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
    "supportedCompression": ["gzip", "gzip-js"],
    "sessionRecording": False,
    "config": {"enable_collect_everything": False},
    "toolbarParams": {},
    "isAuthenticated": False,
    "siteApps": [],
}
_USED = frozenset(
    "event distinct_id properties timestamp sent_at offset uuid api_key token $set $set_once type".split()
)
_CODES = {401: "authentication_error", 403: "permission_denied", 429: "throttled_error", 503: "server_error"}


def refuse(refused: Refused, _request_id: str) -> Reply:
    """400 for everything that is wrong with an event, as the vendor has it."""
    status = 400 if refused.status == 422 else refused.status
    kind = _CODES.get(status, "server_error" if status >= 500 else "validation_error")
    detail = f"{refused.param}: {refused.message}" if refused.param else refused.message
    said = {"type": kind, "code": refused.code, "detail": detail, "attr": refused.param}
    return Reply(status=status, body=orjson.dumps(said), headers=(JSON,))


def read(content_type: bytes, data: bytes, most: int) -> Any:
    """JSON, plain, packed by gzip without a header that says so, or in base64 in the field ``data`` of a form."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind == FORM or data[:5] == b"data=":
        try:
            fields = parse_qs(data.decode("latin-1"), max_num_fields=20)
        except ValueError as error:
            raise Refused("invalid_field", f"no form: {error}", "data") from None
        if not fields.get("data"):
            raise Refused("missing_field", "data is needed", "data")
        data = fields["data"][-1].encode("latin-1")
    elif kind != b"application/octet-stream":
        body.check_content_type(content_type)
    if not data.strip():
        return {}
    data = _unpacked(data, most)
    if data[:1] not in (b"{", b"[") and (decoded := _decoded(data)):
        data = _unpacked(decoded, most)
    return body.parse_batch(data, BATCH)


def _unpacked(data: bytes, most: int) -> bytes:
    return body.decode(data, b"gzip", most) if data[:2] == b"\x1f\x8b" else data


def _decoded(data: bytes) -> bytes | None:
    try:
        # a form turns + into a space
        return b64decode(data.strip().replace(b" ", b"+"), validate=True)
    except ValueError:
        return None


def _event(value: Any, sent_at: Any) -> RawEvent:
    if not isinstance(value, dict):
        raise Refused("invalid_field", "an event must be a JSON object")
    name = value.get("event")
    if not isinstance(name, str) or not name.strip():
        raise Refused("invalid_field", "event must be a non-empty string", "event")
    said = optional_object(value, "properties") or {}
    properties = {key: one for key, one in said.items() if key not in KEYS}
    field = "distinct_id" if value.get("distinct_id") is not None else "properties.distinct_id"
    distinct_id = value.get("distinct_id") if field == "distinct_id" else said.get("distinct_id")
    if distinct_id is None:
        raise Refused("missing_field", "distinct_id is needed", "distinct_id")
    kind, known_as, identifiers = _who(name, distinct_id, field, properties)
    profile = _profile(value, properties)
    for at in ("set", "set_once"):
        identifiers += addresses_in(profile.get(at, {}), f"${at}")
    return RawEvent(
        kind=kind,
        type=known_as,
        identifiers=identifiers,
        properties=properties,
        profile=profile or None,
        context={key: one for key, one in value.items() if key not in _USED} or None,
        timestamp=value.get("timestamp"),
        age_ms=_age_ms(value),
        sent_at=None if said.get("$ignore_sent_at") else sent_at,
        event_id=value.get("uuid"),
    )


def _who(
    name: str, distinct_id: Any, field: str, properties: dict[str, Any]
) -> tuple[str, str, list[tuple[str, Any, str]]]:
    """Kind, type and identifiers of an event."""
    device = properties.get("$device_id")
    devices = [("device_id", device, "properties.$device_id")] if isinstance(device, str) else []
    if name == "$identify":
        anonymous = ("anonymous_id", properties.get("$anon_distinct_id"), "properties.$anon_distinct_id")
        return IDENTIFY, IDENTIFY_TYPE, [("external_id", distinct_id, field), anonymous, *devices]
    if name in ("$create_alias", "$merge_dangerously"):
        alias = properties.get("alias")
        if alias is None:
            raise Refused("missing_field", "alias is needed", "properties.alias")
        both = [(guessed(distinct_id), distinct_id, field), (guessed(alias), alias, "properties.alias")]
        return ALIAS, ALIAS_TYPE, both
    is_stranger = (
        properties.get("$is_identified") is False
        or properties.get("$process_person_profile") is False
        or distinct_id == device
    )
    return TRACK, name, [("anonymous_id" if is_stranger else "external_id", distinct_id, field), *devices]


def _profile(value: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    profile = {}
    for name in ("set", "set_once"):
        said = {**(optional_object(properties, f"${name}") or {}), **(optional_object(value, f"${name}") or {})}
        if said:
            profile[name] = said
    return profile


def _age_ms(value: dict[str, Any]) -> int | None:
    """``offset`` is how many milliseconds before it was sent an event happened."""
    offset = value.get("offset")
    if not isinstance(offset, int | float) or isinstance(offset, bool) or not 0 <= offset <= MAX_OFFSET_MS:
        return None
    return int(offset)


def parse(value: Any, most: int) -> Parsed:
    """One event, an array of them, or an object with the array ``batch``."""
    items = value
    sent_at = None
    if isinstance(value, dict):
        sent_at = value.get("sent_at")
        items = value.get(BATCH)
        if items is None:
            return Parsed(items=[_event(value, sent_at)], atomic=True, label="")
    if not isinstance(items, list):
        raise Refused("invalid_type", "the body must be an event, an array of events, or have one as batch")
    check_count(items, most, BATCH)
    key = _key(items[0]) if isinstance(value, list) else None

    def one(item: Any) -> RawEvent:
        if key is not None and _key(item) not in (None, key):
            raise Refused("invalid_field", "the events of one request have one key", "properties.token")
        return _event(item, sent_at)

    return Parsed(items=each(items, one), atomic=False, label=BATCH)


def _key(item: Any) -> Any:
    places = (item, item.get("properties")) if isinstance(item, dict) else ()
    return next((p[name] for p in places if isinstance(p, dict) for name in KEYS if name in p), None)


def reply(answer: Answer) -> Reply:
    check_taken(answer)
    return DONE


async def no_flags(value: Any, _desk: Desk) -> Reply:
    object_of(value)
    return Reply(status=200, body=orjson.dumps(NO_FLAGS), headers=(JSON,))


def _operation(path: str, **more: Any) -> Operation:
    return Operation(
        source="posthog",
        path=path,
        refuse=refuse,
        read=read,
        query_keys=KEYS,
        body_keys=KEYS,
        batch_label=BATCH,
        lenient=True,
        **more,
    )


def _both(path: str) -> tuple[str, str]:
    return f"/{path}", f"/{path}/"


OPERATIONS = (
    *(_operation(path, parse=parse, reply=reply) for name in PATHS for path in _both(name)),
    *(
        _operation(path, serve=no_flags, methods=("GET", "POST"))
        for name in ("decide", "flags")
        for path in _both(name)
    ),
)
