"""A raw event in, the canonical Event and its warnings out: ids, times, identifiers and limits; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ingest.events.event_time import event_time
from ingest.events.raw import RawEvent
from schemas import ids
from schemas.control import static_segments
from schemas.control.definitions import Campaign
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import Event
from schemas.warning import STORED_AS, warning

MAX_NAME: Final = 256
MOST_IDENTIFIERS: Final = 100
"""Most identifiers of one event; a contact may have more."""
_TEXTS: Final = ("campaign_id", "message_id", "variant", "channel")
_TEXT_NAMES: Final = frozenset(_TEXTS)
_NO_TEXTS: Final = dict.fromkeys(_TEXTS, "")
_NESTED: Final = (dict, list)
_FLAT: Final = frozenset((str, int, float, bool, type(None)))


@dataclass(slots=True, kw_only=True)
class Caller:
    """The sender of a request, its time, and the edge that waits for receipts. Not frozen: made for each request."""

    workspace: str
    environment: str
    key_id: str
    source: str
    now_ms: int
    max_depth: int
    task_id: str = ""
    reply_to: str = ""
    lenient: bool = False
    """Whether an odd value costs itself and not its event: clients of such a dialect drop a batch on a refusal."""
    campaigns: Mapping[tuple[str, str], Mapping[str, Campaign]] | None = None
    """Campaigns by workspace and environment, then id; ``None``: an event's campaign is not checked."""
    seed: str = ""
    """Seed of the ids of events without an ``event_id``, where the client marks repeats of its request."""
    trace: str = ""
    """The request's ``traceparent``, where it is traced."""


def canonical(raw: RawEvent, caller: Caller) -> tuple[Event, list[str]]:
    """Raises ``ApiError`` naming the field. The strongest identifier stands first and gives the contact id."""
    environment = raw.environment or caller.environment
    warnings: list[str] = []
    tenant = identity.tenant_prefix(caller.workspace, environment)
    identifiers = _identifiers(raw, warnings, tenant, lenient=caller.lenient)
    if not identifiers and raw.needs_identifier:
        raise _unidentified(raw)
    properties = raw.properties
    texts = _texts(raw, lenient=caller.lenient)
    if texts["campaign_id"] and caller.campaigns is not None:
        _check_campaign(raw, texts, caller.campaigns.get((caller.workspace, environment), {}), warnings)
    if raw.profile and not raw.lists:
        _take_no_lists(raw.profile, warnings)
    timestamp_ms = event_time(raw, caller.now_ms, warnings, lenient=caller.lenient)
    for name, value in (("properties", properties), ("context", raw.context), ("profile", raw.profile)):
        if value:
            check_depth(value, name, caller.max_depth)
    if warnings:
        raw.context = {**(raw.context or {}), STORED_AS: list(warnings)}
    contact = identity.contact_id(caller.workspace, environment, *identifiers[0]) if identifiers else ""
    event: Event = {  # a literal: a call by keywords takes three times as long
        "event_id": _event_id(raw.event_id, caller.now_ms),
        "workspace": caller.workspace,
        "environment": environment,
        "kind": raw.kind,
        "type": _name(raw.type),
        "contact_id": contact,
        "identifiers": [{"type": t, "value": v} for t, v in identifiers],
        "timestamp_ms": timestamp_ms,
        "received_ms": caller.now_ms,
        "properties": orjson.dumps(properties),
        "context": orjson.dumps(raw.context) if raw.context else b"",
        "profile": orjson.dumps(raw.profile) if raw.profile else b"",
        "campaign_id": texts["campaign_id"],
        "message_id": texts["message_id"],
        "variant": texts["variant"],
        "channel": texts["channel"],
        "source": caller.source,
        "key_id": caller.key_id,
        "task_id": caller.task_id,
        "reply_to": caller.reply_to,
    }
    return event, warnings


def _check_campaign(
    raw: RawEvent, texts: dict[str, str], campaigns: Mapping[str, Campaign], warnings: list[str]
) -> None:
    """Checks the property only if the event is about a message: else that name may mean anything."""
    if raw.campaign_id is None and not str(raw.type).startswith("message."):
        return
    name, variant = texts["campaign_id"], texts["variant"]
    campaign = campaigns.get(name)
    if campaign is None:
        text = f"no campaign has the id {name!r}: the event counts once one is defined with it"
        warnings.append(warning("unknown_campaign", text))
    elif variant and campaign.variants and all(variant != defined.id for defined in campaign.variants):
        warnings.append(warning("unknown_variant", f"campaign {name!r} defines no variant {variant!r}"))


def _take_no_lists(profile: dict[str, Any], warnings: list[str]) -> None:
    for place in ("set", "set_once"):
        fields = profile.get(place)
        if not fields or static_segments.PREFIX not in "\0".join(fields):
            continue
        ignored = [name for name in fields if static_segments.is_list(name)]
        if ignored:
            profile[place] = {name: value for name, value in fields.items() if not static_segments.is_list(name)}
            more = f" (and {len(ignored) - 1} more)" if len(ignored) > 1 else ""
            text = f"{ignored[0][:MAX_NAME]}{more} is a segment's list and was ignored"
            warnings.append(warning("ignored_attribute", text))


def _unidentified(raw: RawEvent) -> ApiError:
    for _, value, field in raw.identifiers:
        if value is not None:
            odd = isinstance(value, bool) or not isinstance(value, str | int)
            return _no_identifier(value, field) if odd else _nobody(field)
    return ApiError("missing_field", "at least one identifier is needed", "user_id")


def _nobody(field: str) -> ApiError:
    return ApiError("invalid_field", f"{field} identifies nobody", field)


def _no_identifier(value: Any, field: str) -> ApiError:
    if not isinstance(value, str):
        return ApiError("invalid_field", f"{field} must be a string", field)
    return ApiError("invalid_field", f"{field} is longer than {identity.MAX_LENGTH} characters", field)


def _identifiers(raw: RawEvent, warnings: list[str], tenant: str, *, lenient: bool) -> list[tuple[str, str]]:
    if len(raw.identifiers) > MOST_IDENTIFIERS:
        field = raw.identifiers[MOST_IDENTIFIERS][2]
        raise ApiError("invalid_field", f"an event has at most {MOST_IDENTIFIERS} identifiers", field)
    identifiers: list[tuple[str, str]] = []
    for kind, value, field in raw.identifiers:
        if value is None:
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # noqa: PLW2901 - numeric ids are common and mean their digits
        if not isinstance(value, str) or len(value) > identity.MAX_LENGTH:
            if not lenient:
                raise _no_identifier(value, field)
            text = f"{_no_identifier(value, field).message}; it was ignored"
            warnings.append(warning("ignored_identifier", text))
            continue
        normal = identity.normalise(kind, value)
        if normal is None:
            warnings.append(warning("ignored_identifier", f"{field} identifies nobody and was ignored"))
        elif kind == identity.CONTACT_ID and not normal.startswith(tenant):
            raise ApiError("invalid_field", f"{field} is not a contact id of this environment", field)
        elif (kind, normal) not in identifiers:
            identifiers.append((kind, normal))
    if len(identifiers) > 1:
        identifiers.sort(key=lambda pair: identity.rank(pair[0]))
    return identifiers


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ApiError("invalid_field", "type must be a non-empty string", "type")
    if len(value) > MAX_NAME:
        raise ApiError("invalid_field", f"type is longer than {MAX_NAME} characters", "type")
    return value


def _event_id(value: Any, now_ms: int) -> str:
    if value is None:
        return ids.new_id("evt_", now_ms)
    if not isinstance(value, str) or not value or len(value) > MAX_NAME or not value.isprintable():
        raise ApiError("invalid_field", f"event_id must be 1 to {MAX_NAME} printable characters", "event_id")
    return value


def _texts(raw: RawEvent, *, lenient: bool) -> dict[str, str]:
    """Returns the ids of the message that an event reports on. One check covers the usual event without any."""
    named = raw.campaign_id, raw.message_id, raw.variant, raw.channel
    if named == (None, None, None, None) and _TEXT_NAMES.isdisjoint(raw.properties):
        return _NO_TEXTS
    texts = {
        name: _text(value, name, raw.properties, lenient=lenient) for name, value in zip(_TEXTS, named, strict=True)
    }
    message_id = texts["message_id"]
    if message_id[:1] == "<" and message_id[-1:] == ">":  # as a mail's header has it
        texts["message_id"] = message_id[1:-1]
    return texts


def _text(value: Any, name: str, properties: dict[str, Any], *, lenient: bool) -> str:
    place = name
    if value is None:
        value = properties.get(name)
        place = f"properties.{name}"
        if not isinstance(value, str) or (lenient and len(value) > MAX_NAME):
            return ""  # a property may be called so and be something else
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise ApiError("invalid_field", f"{name} must be a string of at most {MAX_NAME} characters", place)
    return value


def check_depth(root: Any, name: str, limit: int) -> None:
    """``root`` is an object or a list; raises ``ApiError`` (422) where it nests deeper than ``limit``."""
    level = _nested(root)
    depth = 1
    while level:
        depth += 1
        if depth > limit:
            raise ApiError("invalid_field", f"{name} is nested deeper than {limit}", name)
        level = [v for parent in level for v in _nested(parent)]


def _nested(parent: Any) -> Sequence[Any]:
    children = parent.values() if isinstance(parent, dict) else parent
    if _FLAT.issuperset(map(type, children)):  # most objects are flat, which takes no loop to find
        return ()
    return [v for v in children if isinstance(v, _NESTED)]


def profile_of(attributes: dict[str, Any] | None, consents: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The ``profile`` of a call that sets attributes or consents."""
    fields = {name: value for name, value in (("set", attributes), ("consents", consents)) if value}
    return fields or None
