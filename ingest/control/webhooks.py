"""JSON bodies that define, edit, rotate, test or retry webhooks in; records of webhooks and answers out; pure."""

from base64 import b64encode
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from schemas import ids
from schemas.api.answers.webhooks import SentRequest, WebhookTestedShape
from schemas.api.requests.body import checked
from schemas.api.requests.webhooks import NewWebhook, RetryRequest, SecretRotation, WebhookEdit, WebhookTest
from schemas.control import url_policy
from schemas.control.control_state import Webhook
from schemas.errors import ApiError
from schemas.limits import NOTIFICATIONS, SECRET_PREFIX
from schemas.records.deliveries import FAILED, SUCCEEDED, WebhookTestResult
from schemas.times import DAY_MS

EXAMPLE = "example"
"""Type of the message that a webhook for all types, or for a group of a client's own, is tried with."""
OVERLAP_MS = DAY_MS
"""How long the secret of before a rotation stays valid."""


def new_webhook(
    value: Any, workspace: str, environment: str, now_ms: int, entropy: bytes, *, segments: Collection[str] = ()
) -> Webhook:
    """A definition from a POST body; ``segments`` are the existing ones. Raises ``ApiError`` naming the wrong field."""
    body = checked(NewWebhook, value)
    return Webhook(
        id=ids.new_id("whk_", now_ms),
        workspace=workspace,
        environment=environment,
        url=url_policy.checked_url(body.url),
        types=tuple(dict.fromkeys(body.types)),
        segments=_existing(body.segments, segments),
        secret=body.secret or _new_secret(entropy),
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def edited_webhook(webhook: Webhook, value: Any, now_ms: int, *, segments: Collection[str] = ()) -> Webhook:
    """The definition after a PATCH; ``segments`` are the existing ones."""
    body = checked(WebhookEdit, value)
    changes: dict[str, Any] = {"updated_ms": now_ms}
    if "url" in body.model_fields_set:
        changes["url"] = url_policy.checked_url(body.url)
    if "types" in body.model_fields_set:
        changes["types"] = tuple(dict.fromkeys(body.types))
    if "segments" in body.model_fields_set:
        changes["segments"] = _existing(body.segments, segments)
    if "status" in body.model_fields_set:
        changes |= {"status": body.status, "reason": ""}
    return webhook.model_copy(update=changes)


def rotated_webhook(webhook: Webhook, value: Any, now_ms: int, entropy: bytes) -> Webhook:
    """The definition with another secret; the previous secret stays valid for ``OVERLAP_MS``."""
    secret = checked(SecretRotation, value).secret or _new_secret(entropy)
    if secret == webhook.secret:
        raise ApiError("invalid_field", "secret must differ from the current one", "secret")
    return webhook.model_copy(
        update={
            "secret": secret,
            "previous_secret": webhook.secret,
            "previous_until_ms": now_ms + OVERLAP_MS,
            "updated_ms": now_ms,
        }
    )


def tested(webhook: Webhook, kind: str, result: WebhookTestResult) -> WebhookTestedShape:
    """The answer to a test of a webhook."""
    request: SentRequest = {
        "url": result["url"],
        "headers": orjson.loads(result["request_headers"]),
        "body": result["request_body"].decode(),
    }
    return {
        "webhook_id": webhook.id,
        "event_id": result["event_id"],
        "type": kind,
        "status": FAILED if result["reason"] else SUCCEEDED,
        "response_code": result["response_code"] or None,
        "duration_ms": result["duration_ms"],
        "reason": result["reason"] or None,
        "error": result["error"] or None,
        "request": request,
        "response": {"body": result["response_body"].decode("utf-8", "replace")},
    }


def retry_filter(value: Any, now_ms: int) -> dict[str, Any]:
    """Which deliveries a POST body retries: ``type``, ``status``, ``since_ms`` and ``until_ms``.

    Raises ``ApiError`` with the path of the wrong field.
    """
    chosen = checked(RetryRequest, value).filter
    until_ms = chosen.until if "until" in chosen.model_fields_set else now_ms
    return {"type": chosen.type, "status": chosen.status, "since_ms": chosen.since or 0, "until_ms": until_ms}


def test_type(webhook: Webhook, value: Any) -> str:
    """The type of the message that a POST body tests the webhook with; by default the webhook's own first one."""
    body = checked(WebhookTest, value)
    if body.type is not None:
        return body.type
    first = webhook.types[0]
    group = first.removesuffix("*")
    if group == first:
        return first
    return next((name for name in NOTIFICATIONS if group and name.startswith(group)), f"{group}{EXAMPLE}")


def _existing(segments: Sequence[str], existing: Collection[str]) -> tuple[str, ...]:
    for index, segment in enumerate(segments):
        if segment not in existing:
            message = "no such segment; it is named by its id, as seg_..."
            raise ApiError("invalid_field", message, f"segments[{index}]")
    return tuple(dict.fromkeys(segments))


def _new_secret(entropy: bytes) -> str:
    return SECRET_PREFIX + b64encode(entropy).decode()
