"""Segment's JSON in, raw events and Segment's answers out: `POST /v1/track` and its like, `/v1/batch`, `/v1/import`.

Source: Segment's "HTTP Tracking API" and "Spec: Common Fields"; RudderStack's HTTP API is the same. Jitsu's SDK sends
the same calls to `/api/s`, with its key in ``X-Write-Key``.

1. A batch is taken item by item. Its clients drop a batch on any 4xx and report it, so the answer is 200 only where
   every item was accepted; accepted items stay, and a repeat is recognised by its ``messageId``.
2. A time is corrected by how far the client's clock is off when it sends: by arrival minus ``sentAt``. A ``timestamp``
   beside an ``originalTimestamp`` was given by the caller, so it stays as it is.
3. ``page``, ``screen`` and ``group`` calls are events of type ``$page``, ``$screen`` and ``$group``.
4. A ``previousId`` may be an anonymous or a known person's id; its form does not tell, so both are merged.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from ingest.dialects import consents
from ingest.events.canonical import profile_of
from ingest.events.operation import (
    JSON,
    IngestOperation,
    addresses_in,
    check_count,
    check_taken,
    each,
    earlier_id,
    object_of,
    optional_object,
)
from ingest.events.raw import IntakeResult, Parsed, RawEvent, Reply
from ingest.http.credentials import Credentials
from schemas.errors import ApiError
from schemas.json_bytes import json_bytes
from schemas.records.records import ALIAS, ALIAS_TYPE, IDENTIFY, IDENTIFY_TYPE, TRACK

BATCH = "batch"
MOST_COMMON = 5 * 1024 * 1024
"""Bytes of a batch's context, counted for each of its calls: a body in which each carried it would be no larger."""
KEYS = ("writeKey",)
DONE = Reply(status=200, body=orjson.dumps({"success": True}), headers=(JSON,))
_USED = frozenset(
    "type userId anonymousId event properties traits messageId timestamp originalTimestamp sentAt writeKey "
    "context previousId groupId name category".split()
)
_SENDER = (("userId", "external_id"), ("anonymousId", "anonymous_id"))
_NAMED = ("name", "category")
Call = Callable[[dict[str, Any], Any], RawEvent]
"""(call, when it was sent) -> event"""


def refuse(refused: ApiError, _request_id: str) -> Reply:
    """400 for everything that is wrong with a call, as the vendor has it."""
    status = 400 if refused.status == 422 else refused.status
    message = f"{refused.param}: {refused.message}" if refused.param else refused.message
    answer = {"success": False, "code": refused.code, "message": message, "param": refused.param}
    return Reply(status=status, body=orjson.dumps(answer), headers=(JSON,))


def reply(answer: IntakeResult) -> Reply:
    check_taken(answer)
    return DONE


def _event(call: dict[str, Any], sent_at: Any, **fields: Any) -> RawEvent:
    context = optional_object(call, "context")
    rest = {name: value for name, value in call.items() if name not in _USED}
    identifiers = [
        ("external_id", call.get("userId"), "userId"),
        ("anonymous_id", call.get("anonymousId"), "anonymousId"),
    ]
    device = context.get("device") if context else None
    if isinstance(device, dict) and isinstance(device.get("id"), str):
        identifiers.append(("device_id", device["id"], "context.device.id"))
    if all(value is None for _, value, _ in identifiers):
        raise ApiError("missing_field", "userId or anonymousId is needed", "userId")
    identifiers += fields.pop("more", ())
    if context and ("consent" in context or "consentManagement" in context) and (state := consents.held(context)):
        fields["profile"] = {**(fields.get("profile") or {}), "consent_state": state}
    timestamp, original = call.get("timestamp"), call.get("originalTimestamp")
    if call.get("sentAt") is not None:
        sent_at = call["sentAt"]
    return RawEvent(
        **{"kind": TRACK, "identifiers": identifiers, **fields},
        context={**rest, **(context or {})} or None,
        timestamp=original if timestamp is None else timestamp,
        # with both fields, RudderStack's SDK set ``originalTimestamp`` and the caller set ``timestamp``
        sent_at=sent_at if timestamp is None or original is None else None,
        event_id=call.get("messageId") or None,
    )


def _track(call: dict[str, Any], sent_at: Any) -> RawEvent:
    event = call.get("event")
    if not isinstance(event, str) or not event.strip():
        raise ApiError("invalid_field", "event must be a non-empty string", "event")
    return _event(call, sent_at, type=event, properties=optional_object(call, "properties") or {})


def _identify(call: dict[str, Any], sent_at: Any) -> RawEvent:
    """RudderStack's SDKs put the traits into the context."""
    traits, place = optional_object(call, "traits"), "traits"
    if traits is None:
        common = (optional_object(call, "context") or {}).get("traits")
        traits, place = common if isinstance(common, dict) else {}, "context.traits"
    return _event(
        call,
        sent_at,
        kind=IDENTIFY,
        type=IDENTIFY_TYPE,
        properties=traits,
        profile=profile_of(traits),
        more=addresses_in(traits, place),
    )


def _viewed(kind: str) -> Call:
    def viewed(call: dict[str, Any], sent_at: Any) -> RawEvent:
        named = {name: call[name] for name in _NAMED if call.get(name) is not None}
        return _event(
            call, sent_at, type=f"${kind}", properties={**(optional_object(call, "properties") or {}), **named}
        )

    return viewed


def _group(call: dict[str, Any], sent_at: Any) -> RawEvent:
    if call.get("groupId") is None:
        raise ApiError("missing_field", "groupId is needed", "groupId")
    traits = optional_object(call, "traits") or {}
    return _event(call, sent_at, type="$group", properties={"groupId": call["groupId"], "traits": traits})


def _alias(call: dict[str, Any], sent_at: Any) -> RawEvent:
    previous = call.get("previousId")
    if previous is None:
        raise ApiError("missing_field", "previousId is needed", "previousId")
    if call.get("userId") is None:
        raise ApiError("missing_field", "userId is needed", "userId")
    return _event(
        call,
        sent_at,
        kind=ALIAS,
        type=ALIAS_TYPE,
        properties={"previousId": previous, "userId": call["userId"]},
        more=earlier_id(previous, "previousId"),
    )


CALLS: dict[str, Call] = {
    "track": _track,
    "identify": _identify,
    "page": _viewed("page"),
    "screen": _viewed("screen"),
    "group": _group,
    "alias": _alias,
}


def _single(call: Call) -> Callable[[Any, int], Parsed]:
    def parse(value: Any, _most: int) -> Parsed:
        return Parsed(items=[call(object_of(value), None)], atomic=True, label=None)

    return parse


def _batch(value: Any, most: int) -> Parsed:
    """Parses a batch; each call inherits the fields of the batch's context that it does not set itself."""
    value = object_of(value)
    calls = value.get(BATCH)
    if not isinstance(calls, list):
        raise ApiError("missing_field", "batch must be an array of calls", BATCH)
    check_count(calls, most, BATCH)
    common, sent_at = optional_object(value, "context"), value.get("sentAt")
    if common and len(json_bytes(common, "context")) * len(calls) > MOST_COMMON:
        raise ApiError("too_large", f"context, for each of the calls, is larger than {MOST_COMMON} bytes", "context")

    def parse_item(item: Any) -> RawEvent:
        if not isinstance(item, dict):
            raise ApiError("invalid_field", "a call must be a JSON object")
        name = item.get("type")
        call = CALLS.get(name) if isinstance(name, str) else None
        if call is None:
            raise ApiError("invalid_field", f"type must be one of {', '.join(CALLS)}", "type")
        if common:
            item = {**item, "context": {**common, **(optional_object(item, "context") or {})}}
        return call(item, sent_at)

    return Parsed(items=each(calls, parse_item), atomic=False, label=BATCH)


def operation(path: str, parse: Callable[[Any, int], Parsed], batch_label: str = "") -> IngestOperation:
    return IngestOperation(
        source="segment",
        path=path,
        parse=parse,
        reply=reply,
        refuse=refuse,
        batch_label=batch_label,
        lenient=True,
        any_type=True,
        credentials=Credentials(in_query=KEYS, in_body=KEYS),
    )


def operations(root: str, names: Mapping[str, str]) -> Iterator[IngestOperation]:
    """``names``: of the paths under a root, the call that each takes."""
    for name, call in names.items():
        if call == BATCH:
            yield operation(f"{root}/{name}", _batch, BATCH)
        else:
            yield operation(f"{root}/{name}", _single(CALLS[call]))


LONG = {**{name: name for name in CALLS}, BATCH: BATCH}
SHORT = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias", "b": BATCH}
"""The browser's and the phones' SDK write so."""
OPERATIONS = (
    *operations("/v1", LONG | SHORT | {"import": BATCH}),
    *operations("/beacon/v1", {BATCH: BATCH}),
    *operations("/api/s", LONG),
    *operations("/api/s/s2s", LONG),
)
