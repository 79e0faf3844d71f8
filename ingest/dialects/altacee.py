"""Altacee's JSON in, raw events and Altacee's answers out: `POST /v1/events` and `/v1/events/batch`.

Source: the vendor's API reference, "Events".
"""

from typing import Any, Final

import orjson

from ingest.dialects import consents
from ingest.events.canonical import profile_of
from ingest.events.operation import JSON, IngestOperation, check_count, each, object_of, optional_object
from ingest.events.raw import Accepted, IntakeResult, Parsed, RawEvent, Reply
from schemas.api.request_schemas import EVENT
from schemas.errors import ApiError
from schemas.records.records import TRACK
from schemas.times import iso

IDENTIFIERS: Final = (
    ("contact_id", "id"),
    ("user_id", "external_id"),
    ("external_id", "external_id"),
    ("email", "email"),
    ("phone", "phone"),
    ("anonymous_id", "anonymous_id"),
    ("device_id", "device_id"),
)
_FIELDS: Final = frozenset(EVENT)


def refuse(refused: ApiError, request_id: str) -> Reply:
    return Reply(status=refused.status, body=orjson.dumps({"error": refused.body(request_id)}), headers=(JSON,))


def _event(value: Any) -> RawEvent:
    if not isinstance(value, dict):
        raise ApiError("invalid_field", "an event must be a JSON object")
    if not value.keys() <= _FIELDS:
        name = min(value.keys() - _FIELDS)
        raise ApiError("unknown_field", f"unknown field {name}; put it into properties", name)
    if value.get("type") is None:
        raise ApiError("missing_field", "type is needed", "type")
    user, external = value.get("user_id"), value.get("external_id")
    if user is not None and external is not None and user != external:
        raise ApiError("invalid_field", "user_id and external_id are the same identifier but differ", "user_id")
    environment = value.get("environment")
    if environment is not None and not isinstance(environment, str):
        raise ApiError("invalid_field", "environment must be a string", "environment")
    return RawEvent(
        kind=TRACK,
        type=value["type"],
        identifiers=[(kind, value[name], name) for name, kind in IDENTIFIERS if name in value],
        properties=optional_object(value, "properties") or {},
        context=optional_object(value, "context"),
        profile=profile_of(None, consents.given(value)) if "consents" in value else None,
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
        campaign_id=value.get("campaign_id"),
        message_id=value.get("message_id"),
        variant=value.get("variant"),
        channel=value.get("channel"),
        environment=environment,
    )


def parse_one(value: Any, _most: int) -> Parsed:
    return Parsed(items=[_event(object_of(value))], atomic=True, label=None)


def list_of(value: Any, label: str, most: int) -> list[Any]:
    """The items of a batch: an array, or an object whose only field holds one; raises ``ApiError``."""
    if isinstance(value, dict):
        if label not in value:
            raise ApiError("missing_field", f"{label} is needed", label)
        if len(value) > 1:
            name = min(value.keys() - {label})
            raise ApiError("unknown_field", f"unknown field {name}", name)
        value = value[label]
        if not isinstance(value, list):
            raise ApiError("invalid_field", f"{label} must be an array", label)
    if not isinstance(value, list):
        raise ApiError("invalid_type", f"the body must be an object with {label}, or an array")
    check_count(value, most, label)
    return value


def parse_batch(value: Any, most: int) -> Parsed:
    return Parsed(items=each(list_of(value, "events", most), _event), atomic=False)


def _acceptance(item: Accepted) -> dict[str, Any]:
    body: dict[str, Any] = {"event_id": item.event_id, "contact_id": item.contact_id}
    if item.warnings:
        body["warnings"] = item.warnings
    return body


def synced_reply(answer: IntakeResult, body: dict[str, Any]) -> Reply:
    """202 without ``sync`` or after the deadline, 200 with the changed segments if the events were applied.

    A task is named if one was requested, or if the deadline passed.
    """
    if answer.synced:
        taken = [item for item in answer.items if isinstance(item, Accepted)]
        body["segment_changes"] = {
            "entered": [s for item in taken for s in item.entered or ()],
            "left": [s for item in taken for s in item.left or ()],
        }
    elif answer.task_id:
        body["task_id"] = answer.task_id
    return Reply(status=200 if answer.synced else 202, body=orjson.dumps(body), headers=(JSON,))


def reply_one(answer: IntakeResult) -> Reply:
    (item,) = answer.items
    if isinstance(item, ApiError):
        raise item
    body = _acceptance(item)
    body["received_at"] = iso(item.received_ms)
    return synced_reply(answer, body)


def reply_batch(answer: IntakeResult) -> Reply:
    results: list[dict[str, Any]] = []
    for index, item in enumerate(answer.items):
        outcome = {"error": item.body()} if isinstance(item, ApiError) else _acceptance(item)
        results.append({"index": index, **outcome})
    rejected = sum(isinstance(item, ApiError) for item in answer.items)
    body: dict[str, Any] = {"accepted": len(results) - rejected, "rejected": rejected, "results": results}
    if rejected == len(results):
        body["error"] = ApiError("invalid_field", "no event of the batch is valid", "events").body()
        return Reply(status=422, body=orjson.dumps(body), headers=(JSON,))
    return synced_reply(answer, body)


OPERATIONS: Final = (
    IngestOperation(source="altacee", path="/v1/events", parse=parse_one, reply=reply_one, refuse=refuse),
    IngestOperation(
        source="altacee",
        path="/v1/events/batch",
        parse=parse_batch,
        reply=reply_batch,
        refuse=refuse,
        batch_label="events",
    ),
)
