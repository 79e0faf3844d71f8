"""Mailgun's webhooks in; their events out. Source: documentation.mailgun.com, "Securing Webhooks", "Webhook Payloads".

The body carries its signature: hex HMAC-SHA256 of timestamp and token with the webhook signing key. The event itself
is not signed, so a token is taken with one body only (`replay.py`).
"""

import hashlib
import hmac
from typing import Any

from ingest.events.raw import RawEvent
from ingest.http import body
from ingest.receivers.provider_request import (
    DeliveryReport,
    ProviderRequest,
    check_age,
    event_of,
    same,
    table,
    unsigned,
)
from ingest.receivers.replay import SignedToken
from schemas.errors import ApiError

PROVIDER = "mailgun"
STATUSES = {
    "accepted": "message.sent",
    "delivered": "message.delivered",
    "opened": "message.opened",
    "clicked": "message.clicked",
    "complained": "message.complained",
    "unsubscribed": "message.unsubscribed",
    "rejected": "message.failed",
}
BOUNCED = ("bounce", "generic", "old")
"""Reasons of a permanent failure that the receiving server gave; the others (``suppress-…``) are Mailgun's own."""


def _value(posted: ProviderRequest) -> dict[str, Any]:
    value = body.parse_mended(posted.body)
    if not isinstance(value, dict):
        raise ApiError("invalid_type", "the body must be a JSON object")
    return value


def _signed(signature: dict[str, Any]) -> tuple[str, str]:
    """The timestamp and the token."""
    return str(signature.get("timestamp", "")), str(signature.get("token", ""))


def verify(posted: ProviderRequest) -> None:
    signature = table(_value(posted).get("signature"))
    timestamp, token = _signed(signature)
    digest = hmac.new(
        posted.receiver.secret.encode(), (timestamp + token).encode("utf-8", "surrogatepass"), hashlib.sha256
    )
    expected = digest.hexdigest()
    # of a subaccount's event the main account's key signs a second one
    signatures = (str(signature.get("signature", "")), str(signature.get("parent-signature", "")))
    if not token or not any(same(text, expected) for text in signatures):
        raise unsigned("the signature is not the endpoint's", "signature.signature")
    check_age(timestamp.partition(".")[0], posted.now_ms, "signature.timestamp")


def token(posted: ProviderRequest) -> SignedToken:
    """The signed token of a request that ``verify`` has accepted."""
    timestamp, token = _signed(table(_value(posted).get("signature")))
    # as one text: where the one ends and the other begins is not signed
    return SignedToken((timestamp + token).encode("utf-8", "surrogatepass"), int(timestamp.partition(".")[0]) * 1000)


def events(posted: ProviderRequest) -> list[RawEvent]:
    event = _value(posted).get("event-data")
    if not isinstance(event, dict):
        raise ApiError("invalid_field", "event-data must be an object", "event-data")
    event_name = str(event.get("event"))
    client, status = table(event.get("client-info")), table(event.get("delivery-status"))
    tags = table(event.get("user-variables"))
    message_id = table(table(event.get("message")).get("headers")).get("message-id")
    outcome, bounce = _failed(event) if event_name == "failed" else (STATUSES.get(event_name, event_name), None)
    return [
        event_of(
            DeliveryReport(
                provider=PROVIDER,
                status=outcome,
                key=repr((event_name, event.get("id") or (message_id, event.get("recipient"), event.get("timestamp")))),
                payload=event,
                email=event.get("recipient"),
                at=event.get("timestamp"),
                message_id=message_id,
                tags=tags,
                properties={
                    "reason": status.get("description") or status.get("message") or event.get("reason"),
                    "bounce_class": bounce,
                    "user_agent": client.get("user-agent"),
                    "ip": event.get("ip"),
                    "machine_open": bool(client.get("bot")) or None,
                    "url": event.get("url"),
                },
            )
        )
    ]


def _failed(event: dict[str, Any]) -> tuple[str, str | None]:
    """Mailgun retries after a temporary failure; a permanent failure is a bounce unless Mailgun did not try."""
    if event.get("severity") == "temporary":
        return "message.deferred", None
    if str(event.get("reason")) not in BOUNCED:
        return "message.failed", None
    kind = table(event.get("delivery-status")).get("bounce-type")
    return "message.bounced", kind if kind in ("hard", "soft") else "hard"
