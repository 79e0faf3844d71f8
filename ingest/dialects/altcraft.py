"""Altcraft's JSON or XML in, raw events and Altcraft's answers in either format out: `POST /api/v1.1/<method>`.

Source: the vendor's pages "API interaction" and "Trigger launch (API call)".

1. The HTTP status is always 200; ``error`` has a code of the vendor's table.
2. The answer has the request's format unless ``?format=`` or ``Accept`` names the other one.
3. A modifying request that repeats within 60 s, or has the same ``X-Request-Id``, gets its first answer again.
4. An import is durable when it is answered; with ``?sync=true`` it can be read back as well.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from ingest.dialects import consents
from ingest.events.canonical import profile_of
from ingest.events.operation import (
    JSON,
    CallOperation,
    DialectContext,
    Handler,
    addresses_in,
    is_address,
    object_of,
    optional_object,
)
from ingest.events.raw import Accepted, Parsed, RawEvent, Reply
from ingest.http import body, xml_codec
from ingest.http.credentials import Credentials
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import CONTACT_TYPE

ROOT = "/api/v1.1"
CONTACT = "contact"
ONCE_S = 60
XML_TYPES = frozenset({b"application/xml", b"text/xml"})
XML = (b"content-type", b"application/xml; charset=utf-8")
TOKEN_IN_URL = ("token", "api_key")
WARNING = (b"warning", b'299 - "a token in the URL is insecure; send it in the body or as Authorization: Bearer"')
SUCCESS = "Successful operation"
TEXTS = {
    400: "Incorrect request",
    401: "API token required",
    402: "Tariff limit reached",
    403: "No rights for this action",
    404: "The object is not found in the token vision zone",
    409: "Another record with the same unique attributes already exists",
    413: "The database is not available in the selected resource",
    415: "Requested Content-Type is not supported",
    429: "The number of requests set in the configuration file has been exceeded",
    435: "Ambiguous search, there are several objects with given attributes",
    441: "The object belongs to another group",
    450: "Request validation error",
    500: "Internal service error",
    501: "The method does not exist",
}
"""The vendor's codes. 402 and 441 are never given: there are neither tariffs nor groups."""
_CODES = {"ambiguous": 435, "unknown_environment": 404, "unavailable": 500, "method_not_allowed": 501}
_MATCHED = {"email": "email", "email_profile": "email", "phone": "phone", "profile_id": "id"}
_FIELDS = {"profile_id": "profile_id", "phone": "phone"}
_IDENTIFYING = {"email": "email", "phone": "phone", "_id": "id", "external_id": "external_id", "user_id": "external_id"}
_NAMES = ", ".join(_IDENTIFYING)
_NO_TYPE = re.compile(r"[^a-z0-9_]+")


def code_of(refused: ApiError) -> int:
    """The vendor's code for a refusal."""
    code = _CODES.get(refused.code, refused.status)
    return 450 if code in (413, 422) else code


def refuse(refused: ApiError, _request_id: str) -> Reply:
    code = code_of(refused)
    where = f"{refused.param}: " if refused.param else ""
    answer = {"error": code, "error_text": f"{TEXTS[code]}: {where}{refused.message}"}
    headers = (JSON, (b"retry-after", b"1")) if refused.code in ("unavailable", "rate_limited") else (JSON,)
    return Reply(status=200, body=orjson.dumps(answer), headers=headers)


def done(**more: Any) -> Reply:
    return Reply(status=200, body=orjson.dumps({"error": 0, "error_text": SUCCESS, **more}), headers=(JSON,))


def _kind(content_type: bytes) -> bytes:
    return content_type.split(b";", 1)[0].strip().lower()


def read(content_type: bytes, data: bytes, _most: int) -> Any:
    if not data.strip():
        return {}
    if _kind(content_type) in XML_TYPES:
        return xml_codec.loads(data)
    body.check_content_type(content_type)
    return body.parse_batch(data, "")


def finish(reply: Reply, headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> Reply:
    """Returns the answer in the requested format; adds a warning if the URL contained the token."""
    warning = (WARNING,) if any(name in query for name in TOKEN_IN_URL) else ()
    if not _wants_xml(headers, query):
        return Reply(status=reply.status, body=reply.body, headers=(*reply.headers, *warning)) if warning else reply
    kept = tuple(header for header in reply.headers if header != JSON)
    answer = xml_codec.dumps(orjson.loads(reply.body))
    return Reply(status=reply.status, body=answer, headers=(XML, *kept, *warning))


def _wants_xml(headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> bool:
    form = query.get("format", "").lower()
    if form in ("json", "xml"):
        return form == "xml"
    accepted = {_kind(part) for part in headers.get(b"accept", b"").split(b",")}
    xml, json = bool(accepted & XML_TYPES), b"application/json" in accepted
    return xml if xml != json else _kind(headers.get(b"content-type", b"")) in XML_TYPES


async def import_profile(value: Any, request: DialectContext) -> Reply:
    """Create or update; an e-mail address or phone identifies the profile without a look-up."""
    value = object_of(value)
    environment = environment_of(value, request)
    data = optional_object(value, "data") or {}
    kind, match_value, field = matching(value, data)
    if kind in ("email", "phone"):
        return await _write(value, data, [(kind, match_value, field)], environment, request)
    contact_id = await find(value, environment, request)
    if contact_id is not None:
        return await _write(value, data, [("id", contact_id, field)], environment, request)
    if kind == "id":
        raise ApiError("not_found", "no such profile", field)
    own = _NO_TYPE.sub("_", field.lower()).strip("_")
    if kind == "custom" and not identity.is_type(own):
        raise ApiError("invalid_field", "the name of the field must begin with a letter", "field_name")
    if kind == "custom" and (own in identity.RANKS or own in identity.ALIASES):
        raise ApiError("invalid_field", f"{own} is a reserved name; match by one of {_NAMES}", "field_name")
    own = own if kind == "custom" else kind
    return await _write(value, {field: match_value, **data}, [(own, match_value, "field_value")], environment, request)


async def update_profile(value: Any, request: DialectContext) -> Reply:
    value = object_of(value)
    environment = environment_of(value, request)
    contact_id = await find(value, environment, request)
    if contact_id is None:
        raise ApiError("not_found", "no such profile")
    return await _write(value, optional_object(value, "data") or {}, [("id", contact_id, "")], environment, request)


async def get_profile(value: Any, request: DialectContext) -> Reply:
    value = object_of(value)
    environment = environment_of(value, request)
    contact_id = await find(value, environment, request)
    contact = None if contact_id is None else await _contact(contact_id, environment, request)
    if contact is None:
        raise ApiError("not_found", "no such profile")
    attributes = contact["attributes"]
    addresses = {"email": contact["email"], "phones": [contact["phone"]] if contact["phone"] else []}
    return done(data={"_status": 0, **addresses, **attributes, "_id": contact["id"]})


async def delete_profile(value: Any, request: DialectContext) -> Reply:
    """Erases, as ``DELETE /v1/contacts/{id}`` does."""
    value = object_of(value)
    environment = environment_of(value, request)
    contact_id = await find(value, environment, request)
    if contact_id is None:
        raise ApiError("not_found", "no such profile")
    await request.erase(contact_id, environment)
    return done()


async def nothing(_value: Any, _request: DialectContext) -> Reply:
    raise ApiError("not_implemented", "this method is not supported")


def environment_of(value: dict[str, Any], request: DialectContext) -> str:
    """The slug of the environment that ``db_id`` names; without it the key's own."""
    named = value.get("db_id")
    return request.principal.environment if named is None else request.environment(named)


def matching(value: dict[str, Any], data: Mapping[str, Any]) -> tuple[str, Any, str]:
    """Identifier type (``custom``: an attribute), its value, and the field that has it; e-mail by default."""
    mode = value.get("matching", "email")
    if mode == "custom":
        name, match_value = value.get("field_name"), value.get("field_value")
        if not isinstance(name, str) or not name or len(name) > 256:
            raise ApiError("missing_field", "field_name is needed", "field_name")
        if isinstance(match_value, bool) or not isinstance(match_value, str | int | float):
            raise ApiError("missing_field", "field_value is needed, a string or a number", "field_value")
        return _IDENTIFYING.get(name, "custom"), match_value, name
    kind = _MATCHED.get(mode) if isinstance(mode, str) else None
    if kind is None:
        raise ApiError(
            "invalid_field", "matching must be email, email_profile, phone, profile_id or custom", "matching"
        )
    field = _FIELDS.get(mode, "email")
    match_value = value.get(field, data.get(field))
    if match_value is None:
        raise ApiError("missing_field", f"{field} is needed", field)
    if not is_address(kind, match_value):
        raise ApiError("invalid_field", f"{field} must be a string", field)
    return kind, str(match_value), field


async def find(value: dict[str, Any], environment: str, request: DialectContext) -> str | None:
    """The id of the one contact that the request matches; raises ``ApiError`` where there are several."""
    kind, match_value, field = matching(value, optional_object(value, "data") or {})
    if kind == "custom":
        question = {"query": {field: match_value}, "limit": 2}
        status, answer = await request.ask("/internal/audience", environment, question)
        if status != 200:
            raise refused_by(status, answer)
        if len(answer["contacts"]) > 1:
            raise ApiError("ambiguous", f"several profiles have this {field}", "field_value")
        return str(answer["contacts"][0]["id"]) if answer["contacts"] else None
    normal = identity.normalise(kind, str(match_value))
    if normal is None:
        if kind == "id":
            return None  # an id that was never given out
        raise ApiError("invalid_field", f"{field} identifies nobody", field)
    contact = await _contact(normal if kind == "id" else f"{kind}:{normal}", environment, request)
    return None if contact is None else str(contact["id"])


async def _contact(name: str, environment: str, request: DialectContext) -> dict[str, Any] | None:
    status, answer = await request.ask(f"/v1/contacts/{quote(name, safe='')}", environment)
    if status == 404:
        return None
    if status != 200:
        raise refused_by(status, answer)
    return dict(answer)


def refused_by(status: int, answer: Any) -> ApiError:
    """The read API's refusal as one of ours."""
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    code = "missing_scope" if status == 403 else "invalid_field"
    return ApiError(code, str(error.get("message", "the read API refused it")), error.get("param"))


async def _write(
    value: dict[str, Any],
    data: dict[str, Any],
    identifiers: list[tuple[str, Any, str]],
    environment: str,
    request: DialectContext,
) -> Reply:
    identifiers += addresses_in(data, "data")
    phones = data.get("phones")
    for index, phone in enumerate(phones if isinstance(phones, list) else [phones]):
        if is_address("phone", phone):
            identifiers.append(("phone", phone, f"data.phones[{index}]"))
    context = {"resource_id": value["resource_id"]} if value.get("resource_id") is not None else None
    raw = RawEvent(
        kind=CONTACT,
        type=CONTACT_TYPE,
        identifiers=identifiers,
        properties=data,
        profile=profile_of(data, consents.subscribed(data.get("subscriptions"))),
        context=context,
        event_id=f"evt_{request.repeat_id}",
        environment=environment,
    )
    (taken,) = (await request.take(Parsed(items=[raw], atomic=True, label=None))).items
    if not isinstance(taken, Accepted):
        raise taken
    return done(profile_id=taken.contact_id)


def operation(method: str, handler: Handler, scope: str, dedup_window_s: int = ONCE_S) -> CallOperation:
    """The operation of one method; all methods share the wire format and the places of the token."""
    return CallOperation(
        source="altcraft",
        path=f"{ROOT}/{method}",
        handler=handler,
        refuse=refuse,
        read=read,
        finish=finish,
        credentials=Credentials(scope=scope, in_query=TOKEN_IN_URL, in_body=("token",)),
        lenient=True,
        dedup_window_s=dedup_window_s,
    )


OPERATIONS = (
    operation("profiles/import", import_profile, "contacts:write"),
    operation("profiles/update", update_profile, "contacts:write"),
    operation("profiles/get", get_profile, "contacts:read", 0),
    operation("profiles/delete", delete_profile, "contacts:write"),
    operation("{method:path}", nothing, "events:ingest", 0),
)
