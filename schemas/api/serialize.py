"""Definitions and records in, the API's answers out: the same in the answer to a write and to a read; pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from schemas import topics
from schemas.api.answers.access import EnvironmentShape, KeyMadeShape, KeyShape, WorkspaceShape
from schemas.api.answers.campaigns import CampaignDefinition, LaunchShape, LaunchStatus, SkippedContacts
from schemas.api.answers.contacts import ContactShape, ErasedStore, ErasureShape
from schemas.api.answers.events import TaskShape, TaskStatus, TypedColumnShape
from schemas.api.answers.quarantine import QuarantineJobShape
from schemas.api.answers.webhooks import ReceiverMadeShape, ReceiverShape, WebhookShape, WebhookWrittenShape
from schemas.control.consent import consent_of
from schemas.control.definitions import (
    ApiKey,
    Campaign,
    Environment,
    Erasure,
    ErasureStep,
    Receiver,
    TypedColumn,
    Webhook,
    Workspace,
)
from schemas.control.erasure import STORES, done_ms
from schemas.control.launch_jobs import LaunchJob
from schemas.control.quarantine_jobs import QuarantineJob
from schemas.limits import DELIVERIES, EVENTS
from schemas.records import identity
from schemas.sql_text import literal
from schemas.times import iso
from schemas.typed.values import COLUMNS

UNSENT = ("draft", "scheduled")
"""Statuses that a campaign cannot have after its first message."""
_TASK_STATUS: dict[LaunchStatus, TaskStatus] = {"running": "pending", "done": "completed", "failed": "failed"}


def status_of(record: Campaign, first_sent_ms: int | None) -> str:
    """The defined status, unless its messages contradict it."""
    return "sent" if first_sent_ms is not None and record.status in UNSENT else record.status


def campaign(record: Campaign, first_sent_ms: int | None = None) -> CampaignDefinition:
    """The definition alone. ``sent_at`` is the record's time of sending, else that of its first message."""
    sent_ms = record.sent_ms or first_sent_ms
    consent, goal, cap = consent_of(record), record.conversion, record.cap
    return {
        "id": record.id,
        "number": record.number,
        "name": record.name,
        "kind": record.kind,
        "channel": record.channel,
        "status": status_of(record, first_sent_ms),
        "variants": [{"id": variant.id, "name": variant.name} for variant in record.variants],
        "conversion": None if goal is None else {"event": goal.event, "window": goal.window, "value": goal.value},
        "consent": {"names": list(consent.names), "required": consent.required},
        "cap": None if cap is None else {"messages": cap.messages, "within": cap.within},
        "launch_on_entry": record.launch_on_entry or None,
        "delivery": record.delivery,
        "trigger_url": f"/trg/{record.trigger}" if record.trigger else None,
        "sent_at": None if sent_ms is None else iso(sent_ms),
        "created_at": iso(record.created_ms),
        "updated_at": iso(record.updated_ms),
    }


def contact(fields: Mapping[str, Any], attributes: Any, segments: list[str]) -> ContactShape:
    """``fields`` of a stored row or of a snapshot: ``id``, times in epoch ms, texts or ``None``."""
    return {
        "id": fields["id"],
        "email": fields["email"] or None,
        "phone": fields["phone"] or None,
        "external_id": fields["external_id"] or None,
        "anonymous_ids": fields["anonymous_ids"],
        "attributes": attributes,
        "consents": fields["consents"],
        "devices": fields["devices"],
        "segments": segments,
        "created_at": iso(fields["created_ms"]),
        "updated_at": iso(fields["updated_ms"]),
    }


def environment(record: Environment) -> EnvironmentShape:
    return {"id": record.id, "number": record.number, "kind": record.kind, "created_at": iso(record.created_ms)}


def erasure(record: Erasure, steps: Iterable[ErasureStep], partitions: int, now_ms: int) -> ErasureShape:
    """Kafka's own copies go by retention, which the stores of the pipeline do not wait for."""
    steps = list(steps)
    stores: list[ErasedStore] = []
    for store in STORES:
        at_ms = done_ms(steps, store, partitions)
        at = None if at_ms is None else iso(at_ms)
        stores.append({"store": store, "status": "pending" if at is None else "done", "at": at})
    is_done = all(store["status"] == "done" for store in stores)
    for topic in topics.DATA:
        if topic.retention_ms is not None:
            at_ms = record.erased_ms + topic.retention_ms
            is_gone = at_ms <= now_ms
            stores.append(
                {"store": f"kafka:{topic.name}", "status": "done" if is_gone else "expiring", "at": iso(at_ms)}
            )
    return {
        "id": record.id,
        "status": "done" if is_done else "pending",
        "created_at": iso(record.erased_ms),
        "stores": stores,
    }


def key(record: ApiKey, used_ms: int | None = None) -> KeyShape:
    return {
        "id": record.id,
        "name": record.name,
        "kind": record.kind,
        "scopes": list(record.scopes),
        "environment": record.environment,
        "rate_limit": record.rate_limit,
        "created_at": iso(record.created_ms),
        "expires_at": None if record.expires_ms is None else iso(record.expires_ms),
        "last_used_at": None if used_ms is None else iso(used_ms),
    }


def made_key(record: ApiKey, secret: str) -> KeyMadeShape:
    """``secret`` is the key itself, shown once: in the answer that creates it."""
    return {**key(record), "key": secret}


def launch(job: LaunchJob) -> LaunchShape:
    return {
        "id": job.id,
        "task_id": job.id,
        "campaign_id": job.campaign,
        "status": job.status,
        "audience": {name: value for name, value in job.audience.model_dump().items() if value},
        "override_consent": job.override_consent,
        "on_entry": job.on_entry,
        "total": job.total,
        "launched": job.launched,
        "skipped": skipped(job.skipped),
        "created_at": iso(job.created_ms),
        "done_at": iso(job.done_ms) if job.done_ms else None,
        "reason": job.reason or None,
    }


def skipped(counts: Mapping[str, int]) -> SkippedContacts:
    """``counts`` are by ``SKIPS``."""
    return {
        "no_address": counts.get("no_address", 0),
        "no_consent": counts.get("no_consent", 0),
        "capped": counts.get("capped", 0),
        "gone": counts.get("gone", 0),
    }


def launch_task(job: LaunchJob) -> TaskShape:
    """The launch as a task, with its progress."""
    return {
        "task_id": job.id,
        "status": _TASK_STATUS[job.status],
        "progress": {"total": max(job.total, job.done), "done": job.done},
        "events": [],
    }


def quarantine_job(job: QuarantineJob) -> QuarantineJobShape:
    return {
        "id": job.id,
        "action": job.action,
        "status": "done" if job.done_ms else "pending",
        "created_at": iso(job.created_ms),
        "done_at": iso(job.done_ms) if job.done_ms else None,
        "replayed": job.counts.get("replayed", 0),
        "discarded": job.counts.get("discarded", 0),
        "refused": [{"code": code, "records": count} for code, count in sorted(job.refused.items())],
    }


def receiver(record: Receiver) -> ReceiverShape:
    """Never the secret that it verifies with."""
    return {
        "id": record.id,
        "provider": record.provider,
        "path": f"/v1/receivers/{record.provider}/{record.id}",
        "consent": record.ended_consent,
        "created_at": iso(record.created_ms),
    }


def made_receiver(record: Receiver, base_url: str) -> ReceiverMadeShape:
    """The answer that creates it: with the URL that the provider reports to."""
    shown = receiver(record)
    return {
        "id": shown["id"],
        "provider": shown["provider"],
        "consent": shown["consent"],
        "created_at": shown["created_at"],
        "url": base_url + shown["path"],
        "environment": record.environment,
    }


def typed_column(record: TypedColumn, filled_ms: int | None) -> TypedColumnShape:
    """``filled_ms``: since when all stored events have it; ``column`` is how SQL names it."""
    return {
        "property": record.property,
        "type": record.type,
        "column": f"{COLUMNS[record.type]}[{literal(record.property)}]",
        "status": "filling" if filled_ms is None else "ready",
        "created_at": iso(record.created_ms),
        "filled_at": None if filled_ms is None else iso(filled_ms),
    }


def webhook(record: Webhook) -> WebhookShape:
    """``reason`` says why a disabled webhook is disabled."""
    return {
        "id": record.id,
        "url": record.url,
        "types": list(record.types),
        "segments": list(record.segments),
        "status": record.status,
        "reason": record.reason or None,
        "created_at": iso(record.created_ms),
        "updated_at": iso(record.updated_ms),
    }


def webhook_with_secret(record: Webhook) -> WebhookWrittenShape:
    """For the answers that show the secret: it is new."""
    return {**webhook(record), "secret": record.secret}


def workspace(record: Workspace) -> WorkspaceShape:
    """All limits are named, the defaults too."""
    return {
        "id": record.id,
        "name": record.name,
        "allowed_origins": list(record.allowed_origins),
        "limits": identity.LIMITS | record.limits,
        "link_devices": record.link_devices,
        "link_emails": record.link_emails,
        "link_phones": record.link_phones,
        "retention": {
            "events_days": record.retention.get(EVENTS),
            "deliveries_days": record.retention.get(DELIVERIES),
        },
        "created_at": iso(record.created_ms),
    }
