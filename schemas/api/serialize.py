"""Definitions in, their shapes in the API out: the same in the answer to a write and to a read; pure."""

from typing import Any

from schemas.control.consent import consent_of
from schemas.control.definitions import ApiKey, Campaign, Environment, Receiver, TypedColumn, Webhook, Workspace
from schemas.limits import KEPT_DAYS
from schemas.records import identity
from schemas.times import iso
from schemas.typed.values import COLUMNS

UNSENT = ("draft", "scheduled")
"""Statuses that a campaign cannot have after its first message."""


def status_of(record: Campaign, first_sent_ms: int | None) -> str:
    """The defined status, unless its messages contradict it."""
    return "sent" if first_sent_ms is not None and record.status in UNSENT else record.status


def campaign(record: Campaign, first_sent_ms: int | None = None) -> dict[str, Any]:
    """The definition alone. ``sent_at`` is the record's time of sending, else that of its first message."""
    sent_ms = record.sent_ms or first_sent_ms
    consent = consent_of(record)
    return {
        "id": record.id,
        "number": record.number,
        "name": record.name,
        "kind": record.kind,
        "channel": record.channel,
        "status": status_of(record, first_sent_ms),
        "variants": [variant.model_dump() for variant in record.variants],
        "conversion": record.conversion and record.conversion.model_dump(),
        "consent": {"names": list(consent.names), "required": consent.required},
        "cap": record.cap and record.cap.model_dump(),
        "launch_on_entry": record.launch_on_entry or None,
        "delivery": record.delivery,
        "trigger_url": f"/trg/{record.trigger}" if record.trigger else None,
        "sent_at": None if sent_ms is None else iso(sent_ms),
        "created_at": iso(record.created_ms),
        "updated_at": iso(record.updated_ms),
    }


def environment(record: Environment) -> dict[str, Any]:
    shown = {"id": record.id, "number": record.number, "kind": record.kind}
    return {**shown, "created_at": iso(record.created_ms)}


def key(record: ApiKey, used_ms: int | None = None, secret: str = "") -> dict[str, Any]:
    """``secret`` is the key itself, shown once: in the answer that creates it."""
    return {
        "id": record.id,
        **({"key": secret} if secret else {}),
        "name": record.name,
        "kind": record.kind,
        "scopes": list(record.scopes),
        "environment": record.environment,
        "rate_limit": record.rate_limit,
        "created_at": iso(record.created_ms),
        "expires_at": None if record.expires_ms is None else iso(record.expires_ms),
        "last_used_at": None if used_ms is None else iso(used_ms),
    }


def receiver(record: Receiver) -> dict[str, Any]:
    """Never the secret that it verifies with."""
    return {
        "id": record.id,
        "provider": record.provider,
        "path": f"/v1/receivers/{record.provider}/{record.id}",
        "consent": record.ended_consent,
        "created_at": iso(record.created_ms),
    }


def typed_column(record: TypedColumn, filled_ms: int | None) -> dict[str, Any]:
    """``filled_ms``: since when all stored events have it; ``column`` is how SQL names it."""
    quoted = record.property.replace("\\", "\\\\").replace("'", "\\'")
    return {
        "property": record.property,
        "type": record.type,
        "column": f"{COLUMNS[record.type]}['{quoted}']",
        "status": "filling" if filled_ms is None else "ready",
        "created_at": iso(record.created_ms),
        "filled_at": None if filled_ms is None else iso(filled_ms),
    }


def webhook(record: Webhook, *, secret: bool = False) -> dict[str, Any]:
    """``reason`` says why a disabled webhook is disabled; the secret is shown only where it is new."""
    return {
        "id": record.id,
        "url": record.url,
        "types": list(record.types),
        "segments": list(record.segments),
        **({"secret": record.secret} if secret else {}),
        "status": record.status,
        "reason": record.reason or None,
        "created_at": iso(record.created_ms),
        "updated_at": iso(record.updated_ms),
    }


def workspace(record: Workspace) -> dict[str, Any]:
    """All limits are named, the defaults too."""
    return {
        "id": record.id,
        "name": record.name,
        "allowed_origins": list(record.allowed_origins),
        "limits": identity.LIMITS | record.limits,
        "link_devices": record.link_devices,
        "link_emails": record.link_emails,
        "link_phones": record.link_phones,
        "retention": {f"{name}_days": record.retention.get(name) for name in KEPT_DAYS},
        "created_at": iso(record.created_ms),
    }
