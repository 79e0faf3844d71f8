"""Lunogram's JSON in, raw events and Lunogram's answers out: `/api/client/users`, `/organizations` and the paths below.

Source: the vendor's client API, `internal/http/controllers/v1/client/oapi` of lunogram/platform, and its SDKs; it is
the successor of Parcelvoy. Its newer SDKs put a project into the path; the key says which one it is.

1. An organization is a group: a call about one is an event ``$group`` of the member it names, else of no contact.
2. A schedule is an event ``$scheduled``. Nothing happens at its time: journeys are not part of this server.
3. A deletion needs a secret key, because a public key stands in every page. A user is erased, in every store. An
   organization, a membership and a schedule are events alone, which stay: their end is one more
   (``$group_deleted``, ``$group_left``, ``$unscheduled``).
"""

from collections.abc import Iterator
from typing import Any

import orjson

from ingest.dialects import parcelvoy
from ingest.dialects.parcelvoy import data_of, identify, name_of, rest_of, used
from ingest.dialects.senders import listed, senders
from ingest.events.operation import JSON, DialectContext, Operation, check_count, each, object_of, optional_object
from ingest.events.raw import Accepted, IntakeResult, Parsed, RawEvent, Reply
from ingest.http.credentials import Credentials
from schemas.errors import ApiError
from schemas.records.records import TRACK

GROUP = "$group"
GROUP_LEFT = "$group_left"
GROUP_DELETED = "$group_deleted"
SCHEDULED = "$scheduled"
UNSCHEDULED = "$unscheduled"
ROOTS = ("/api/client", "/api/client/projects/{project}")
_ORGANIZATION = "organization"
_SAID = ("external_id", "anonymous_id", "email", "phone", "timezone", "locale")


async def user(value: Any, request: DialectContext) -> Reply:
    """Lunogram's identify answers with the user: its ids as they are now, and the fields of this call."""
    parsed = Parsed(items=[identify(value)], atomic=True, label=None)
    (taken,) = (await request.take(parsed)).items
    identifiers = {name: value.get(name) for name in _SAID}
    for kind, identifier, _ in listed(value):
        if identifiers.get(kind) is None:
            identifiers[kind] = identifier
    body = {
        "id": taken.contact_id if isinstance(taken, Accepted) else None,
        **identifiers,
        "data": value.get("data") or {},
    }
    return _json(200, body)


def _group_id(value: dict[str, Any], place: str = "") -> str:
    """The external id of an organization; raises ``ApiError``."""
    sender = senders(value, place)[0]
    if not isinstance(sender[1], str | int) or isinstance(sender[1], bool):
        raise ApiError("invalid_field", f"{sender[2]} must be a string", sender[2])
    return str(sender[1])


def _part(value: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """The organization or the user that a call names; older SDKs wrote ``organization_external_id``."""
    flat = value.get(f"{name}_external_id")
    if flat is not None:
        return {"external_id": flat}, f"{name}_"
    return optional_object(value, name) or {}, f"{name}."


def _grouped(value: dict[str, Any], group: str, traits: dict[str, Any], **fields: Any) -> RawEvent:
    named = (_ORGANIZATION, "user", f"{_ORGANIZATION}_external_id", "user_external_id", *used(value))
    common: dict[str, Any] = {"kind": TRACK, "type": GROUP, "properties": {"groupId": group, "traits": traits}}
    return RawEvent(
        **{**common, **fields},
        context=rest_of(value, *named),
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
    )


async def organization(value: Any, request: DialectContext) -> Reply:
    value = object_of(value)
    group, data = _group_id(value), data_of(value)
    named = {} if value.get("name") is None else {"name": value["name"]}
    raw = _grouped(value, group, {**data, **named}, identifiers=[], needs_identifier=False)
    await request.take(Parsed(items=[raw], atomic=True, label=None))
    return _json(200, {"id": group, "external_id": group, **named, "data": data})


def _member(value: Any) -> RawEvent:
    value = object_of(value)
    group = _group_id(*_part(value, _ORGANIZATION))
    return _grouped(value, group, data_of(value), identifiers=senders(*_part(value, "user")))


def _organization_event(value: Any) -> RawEvent:
    if not isinstance(value, dict):
        raise ApiError("invalid_field", "an event must be a JSON object")
    flat, place = _part(value, _ORGANIZATION)
    properties = {**data_of(value), "groupId": _group_id(flat, place) if flat else _group_id(value)}
    return _grouped(value, "", {}, type=name_of(value), properties=properties, identifiers=[], needs_identifier=False)


def _organization_events(value: Any, most: int) -> Parsed:
    if not isinstance(value, list):
        return Parsed(items=[_organization_event(object_of(value))], atomic=True, label=None)
    check_count(value, most, "[]")
    return Parsed(items=each(value, _organization_event), atomic=True, label="")


async def scheduled(value: Any, request: DialectContext) -> Reply:
    """Accepts a user's schedule."""
    value = object_of(value)
    return await _schedule(value, _scheduled(value, identifiers=senders(value)), request)


async def organization_scheduled(value: Any, request: DialectContext) -> Reply:
    value = object_of(value)
    raw = _scheduled(value, identifiers=[], needs_identifier=False)
    raw.properties["groupId"] = _group_id(value)
    return await _schedule(value, raw, request)


def _scheduled(value: dict[str, Any], **fields: Any) -> RawEvent:
    if not isinstance(value.get("name"), str):
        raise ApiError("missing_field", "name is needed", "name")
    schedule = {name: value[name] for name in ("name", "scheduled_at", "start_at", "interval") if value.get(name)}
    return RawEvent(
        **{"kind": TRACK, "type": SCHEDULED, **fields},
        properties={**schedule, "data": data_of(value)},
        timestamp=value.get("timestamp"),
        event_id=value.get("event_id"),
    )


async def _schedule(value: dict[str, Any], raw: RawEvent, request: DialectContext) -> Reply:
    (taken,) = (await request.take(Parsed(items=[raw], atomic=True, label=None))).items
    made = taken.event_id if isinstance(taken, Accepted) else None
    return _json(202, {"id": made, "name": value["name"], "scheduled_at": value.get("scheduled_at")})


async def remove_user(value: Any, request: DialectContext) -> Reply:
    """Erases, as ``DELETE /v1/contacts/{id}`` does; raises ``ApiError`` (404, or 409 where it names two people)."""
    named = senders(object_of(value))
    contact_ids = set()
    for kind, identifier, field in named:
        own = request.contact_of(kind, identifier, field)
        status, contact = await request.ask(f"/v1/contacts/{own}", request.principal.environment)
        if status not in (200, 404):
            raise ApiError("unavailable", "the user cannot be looked up now; send it again")
        if status == 200:
            contact_ids.add(str(contact["id"]))
    if len(contact_ids) > 1:
        raise ApiError("conflict", "the identifiers belong to several users", named[0][2])
    await request.erase(
        contact_ids.pop() if contact_ids else request.contact_of(*named[0]), request.principal.environment
    )
    return Reply(status=204, body=b"")


def _gone(value: Any) -> RawEvent:
    """An organization is deleted."""
    value = object_of(value)
    return _grouped(value, _group_id(value), {}, type=GROUP_DELETED, identifiers=[], needs_identifier=False)


def _left(value: Any) -> RawEvent:
    """A member leaves an organization."""
    value = object_of(value)
    group = _group_id(*_part(value, _ORGANIZATION))
    return _grouped(value, group, {}, type=GROUP_LEFT, identifiers=senders(*_part(value, "user")))


def _unscheduled(value: Any) -> RawEvent:
    value = object_of(value)
    return _scheduled(value, type=UNSCHEDULED, identifiers=senders(value))


def _organization_unscheduled(value: Any) -> RawEvent:
    value = object_of(value)
    raw = _scheduled(value, type=UNSCHEDULED, identifiers=[], needs_identifier=False)
    raw.properties["groupId"] = _group_id(value)
    return raw


def refuse(refused: ApiError, request_id: str) -> Reply:
    """Tells a client with a public key that a deletion needs a secret key."""
    if refused.code == "missing_scope" and refused.param is None:
        message = "deleting takes a secret key with the scope contacts:write"
        refused = ApiError(refused.code, message)
    return parcelvoy.refuse(refused, request_id)


def _json(status: int, value: Any) -> Reply:
    return Reply(status=status, body=orjson.dumps(value), headers=(JSON,))


def _accepted(_answer: IntakeResult) -> Reply:
    return Reply(status=202, body=b"")


def _done(_answer: IntakeResult) -> Reply:
    return Reply(status=200, body=b"")


def _removed(_answer: IntakeResult) -> Reply:
    return Reply(status=204, body=b"")


_ENDED = {
    "users/scheduled": _unscheduled,
    "organizations": _gone,
    "organizations/users": _left,
    "organizations/scheduled": _organization_unscheduled,
}


def _operations(root: str) -> Iterator[Operation]:
    yield parcelvoy.call(f"{root}/users", user)
    yield parcelvoy.operation(f"{root}/users/events", parcelvoy.events, _accepted)
    yield parcelvoy.call(f"{root}/users/scheduled", scheduled)
    yield parcelvoy.call(f"{root}/organizations", organization)
    yield parcelvoy.operation(f"{root}/organizations/users", parcelvoy.one_of(_member), _done)
    yield parcelvoy.operation(f"{root}/organizations/events", _organization_events, _accepted)
    yield parcelvoy.call(f"{root}/organizations/scheduled", organization_scheduled)
    secret: Any = {"credentials": Credentials(scope="contacts:write"), "refuse": refuse}
    yield parcelvoy.call(f"{root}/users", remove_user, "DELETE", **secret)
    for part, ended in _ENDED.items():
        yield parcelvoy.operation(f"{root}/{part}", parcelvoy.one_of(ended), _removed, methods=("DELETE",), **secret)


OPERATIONS = tuple(operation for root in ROOTS for operation in _operations(root))
