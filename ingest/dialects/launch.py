"""A trigger launch's fields and its recipients in; the messages to be sent, as raw events, out; pure.

1. A message's id follows from the launch, the campaign and the contact: a launch that is repeated with its own
   id makes the same messages, and the pipeline counts each once.
2. Attachments are no part of the messages: they stand once on `launches`, which ``launch_id`` points to.
3. A launch that has expired makes ``message.failed`` in place of ``message.requested``.
"""

import re
from base64 import b64decode
from binascii import Error
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from ingest.events.raw import RawEvent
from ingest.http import body
from schemas.control.control_state import Campaign
from schemas.control.launch_jobs import ids_of
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.channels import address_kind
from schemas.records.records import MESSAGE_FAILED, REQUESTED, TRACK
from schemas.times import parse_iso

MAX_ATTACHED = 1024 * 1024
MAX_FILES = 20
MAX_FIELDS = 200
_DATA_URI = re.compile(r"^data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,(.*)$", re.DOTALL)
_RFC3339 = re.compile(r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The part of a request that is the same for all recipients."""

    id: str
    content: dict[str, Any] | None = None
    custom_data: dict[str, Any] | None = None
    attach: list[dict[str, Any]] = field(default_factory=list)
    expires_ms: int | None = None
    expiration: str | None = None
    subscription_filter: dict[str, Any] | None = None
    fields: list[dict[str, Any]] = field(default_factory=list)
    override_consent: bool = False


def launch_of(value: dict[str, Any], launch_id: str) -> Launch:
    """Raises ``ApiError`` naming the field."""
    expiration = value.get("expiration")
    expires_ms = None
    if expiration is not None:
        valid = isinstance(expiration, str) and _RFC3339.match(expiration)
        expires_ms = parse_iso(expiration.replace(" ", "T").upper()) if valid else None
        if expires_ms is None:
            raise ApiError("invalid_field", "expiration must be a date and time of RFC 3339", "expiration")
    return Launch(
        id=launch_id,
        content=object_in(value, "content"),
        custom_data=object_in(value, "custom_data"),
        attach=_attached(value.get("attach")),
        expires_ms=expires_ms,
        expiration=expiration,
        subscription_filter=object_in(value, "subscription_filter"),
        fields=_fields(value.get("fields")),
        override_consent=value.get("override_consent") is True,
    )


def object_in(value: dict[str, Any], name: str) -> dict[str, Any] | None:
    """An optional object, or its JSON text as XML carries one; raises ``ApiError`` for anything else."""
    field_value = value.get(name)
    if isinstance(field_value, str) and field_value.lstrip()[:1] == "{":
        try:
            field_value = body.parse_mended(field_value.encode())
        except ApiError:
            raise ApiError("invalid_field", f"{name} is not JSON", name) from None
    if field_value == [] and name != "custom_request":  # an empty list would mean every contact
        return {}
    if field_value is not None and not isinstance(field_value, dict):
        raise ApiError("invalid_field", f"{name} must be an object", name)
    return field_value


def _listed(value: Any, name: str, most: int) -> list[Any]:
    """Returns an array of objects; a single object counts as an array of one, as XML cannot tell them apart."""
    items = value if isinstance(value, list) else [value] if isinstance(value, dict) else None
    if value is None:
        return []
    if items is None or len(items) > most:
        raise ApiError("invalid_field", f"{name} must be an array of at most {most} objects", name)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise ApiError("invalid_field", "an object is needed", f"{name}[{index}]")
    return items


def _attached(value: Any) -> list[dict[str, Any]]:
    files, total = [], 0
    for index, item in enumerate(_listed(value, "attach", MAX_FILES)):
        name, data = item.get("name"), item.get("data")
        if not isinstance(name, str) or not 1 <= len(name) <= 255:
            raise ApiError("invalid_field", "name must be 1 to 255 characters", f"attach[{index}].name")
        uri = _DATA_URI.match(data) if isinstance(data, str) else None
        if uri is None:
            raise ApiError("invalid_field", "data must be a data URI", f"attach[{index}].data")
        try:
            raw = b64decode(uri[4], validate=True) if uri[3] else unquote_to_bytes(uri[4])
        except (Error, ValueError):
            raise ApiError("invalid_field", "data is not base64", f"attach[{index}].data") from None
        total += len(raw)
        if total > MAX_ATTACHED:
            raise ApiError("invalid_field", f"attachments are larger than {MAX_ATTACHED} bytes in all", "attach")
        files.append({"name": name, "type": uri[1] or "text/plain", "bytes": len(raw), "data": data})
    return files


def _fields(value: Any) -> list[dict[str, Any]]:
    fields = _listed(value, "fields", MAX_FIELDS)
    for index, item in enumerate(fields):
        if not isinstance(item.get("name"), str) or not 1 <= len(item["name"]) <= 256:
            raise ApiError("invalid_field", "name must be 1 to 256 characters", f"fields[{index}].name")
        if item.get("option") not in (0, 1, 2) or isinstance(item["option"], bool):
            raise ApiError("invalid_field", "option must be 0, 1 or 2", f"fields[{index}].option")
        if "value" not in item:
            raise ApiError("missing_field", "value is needed", f"fields[{index}].value")
    return fields


def used_fields(launch: Launch, attributes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The message's data, and the attributes that the contact keeps."""
    used = {
        entry["name"]: entry["value"]
        for entry in launch.fields
        if entry["option"] or attributes.get(entry["name"]) in (None, "", [], {})
    }
    return used, {entry["name"]: entry["value"] for entry in launch.fields if entry["option"] == 2}


def message(launch: Launch, campaign: Campaign, recipient: dict[str, Any], now_ms: int, **more: Any) -> RawEvent | None:
    """The message to one contact; ``None`` where ``subscription_filter`` leaves no address of it."""
    to = address_of(launch, campaign.channel, recipient)
    if to is None:
        return None
    expired = launch.expires_ms is not None and launch.expires_ms <= now_ms
    kind = MESSAGE_FAILED if expired else REQUESTED
    ids = ids_of(launch.id, campaign.workspace, campaign.id, recipient["id"], kind)
    properties = {
        "launch_id": launch.id,
        "to": to,
        "content": launch.content,
        "custom_data": launch.custom_data,
        "expiration": launch.expiration,
        "attach": [{name: file[name] for name in ("name", "type", "bytes")} for file in launch.attach] or None,
        "reason": "expired" if expired else None,
        **more,
    }
    return RawEvent(
        kind=TRACK,
        type=kind,
        identifiers=[("id", recipient["id"], "profile_id")],
        properties={name: part for name, part in properties.items() if part},
        event_id=ids.event_id,
        campaign_id=campaign.id,
        message_id=str(ids.message_id),
        channel=campaign.channel,
        environment=campaign.environment,
    )


def address_of(launch: Launch, channel: str, recipient: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the address that the filter selects; without a match, or without a filter, the channel's usual one.

    ``None`` if a strict filter matches nothing.
    """
    criteria = {k: v for k, v in (launch.subscription_filter or {}).items() if k != "not_strict"}
    own = address_kind(channel)
    usual = {own: recipient[own]} if own and recipient.get(own) else {}
    if not criteria:
        return usual
    for kind in ("email", "phone"):
        values = [i["value"] for i in recipient.get("identifiers", ()) if i["type"] == kind]
        text = criteria.get(kind)
        normal = identity.normalise(kind, text) if isinstance(text, str) else None
        if normal in values:
            return {kind: normal}
    named = criteria.get("subscription_id")
    for device in recipient.get("devices", ()):
        if named is not None and named in (device.get("token"), device.get("device_id")):
            return {"device": device}
    return usual if (launch.subscription_filter or {}).get("not_strict") is True else None
