"""Postmark's webhooks in; their events out. Source: postmarkapp.com/developer, "Webhooks", "Bounce types"; pure.

Postmark does not sign: it sends the user and password that its webhook's URL or its HttpAuth names. The endpoint's
secret is both as ``user:password``, or the password alone.
"""

import binascii
from base64 import b64decode
from typing import Any

from ingest.events.raw import RawEvent
from ingest.http import body
from ingest.receivers.provider_request import DeliveryReport, ProviderRequest, event_of, objects, same, table, unsigned

PROVIDER = "postmark"
STATUSES = {
    "Delivery": "message.delivered",
    "Open": "message.opened",
    "Click": "message.clicked",
    "SpamComplaint": "message.complained",
}
BOUNCES = {
    "HardBounce": "hard",
    "BadEmailAddress": "hard",
    "ManuallyDeactivated": "hard",
    "SoftBounce": "soft",
    "Transient": "soft",
    "DnsError": "soft",
    "Unknown": "unknown",
    "Blocked": "block",
    "SpamNotification": "block",
    "DMARCPolicy": "block",
    "TemplateRenderingFailed": "unknown",
}
OTHERS = {"SpamComplaint": "message.complained", "Unsubscribe": "message.unsubscribed"}
"""Bounce types that are not bounces."""


def basic_auth(posted: ProviderRequest) -> None:
    """Raises ``ApiError`` (401) without the endpoint's user and password."""
    scheme, _, encoded = posted.headers.get("authorization", "").partition(" ")
    try:
        credentials = b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        credentials = ""
    secret = posted.receiver.secret
    password = credentials.partition(":")[2]
    if not any([same(credentials, secret), bool(password) and same(password, secret)]):
        raise unsigned("HTTP Basic user and password are not the endpoint's", "Authorization")


verify = basic_auth


def events(posted: ProviderRequest) -> list[RawEvent]:
    return [event_of(_fact(report)) for report in objects(body.parse_mended(posted.body), "")]


def _status(report: dict[str, Any]) -> str:
    record_type, kind = str(report.get("RecordType")), str(report.get("Type"))
    if record_type == "Bounce":
        if kind in BOUNCES:
            return "message.bounced"
        return OTHERS.get(kind, f"bounce_{kind.lower()}")
    if record_type == "SubscriptionChange":
        # a bounce or a complaint that stops sending has its own webhook
        by_hand = report.get("SuppressSending") is True and report.get("SuppressionReason") == "ManualSuppression"
        return "message.unsubscribed" if by_hand else "subscription_change"
    return STATUSES.get(record_type, record_type.lower())


def _fact(report: dict[str, Any]) -> DeliveryReport:
    status = _status(report)
    email = report.get("Recipient") or report.get("Email")
    at = next(
        (report[n] for n in ("DeliveredAt", "ReceivedAt", "BouncedAt", "ChangedAt") if isinstance(report.get(n), str)),
        None,
    )
    key = (report.get("RecordType"), report.get("ID"), report.get("MessageID"), email, at, report.get("OriginalLink"))
    return DeliveryReport(
        provider=PROVIDER,
        status=status,
        key=repr(key),
        payload=report,
        email=email,
        at=at,
        message_id=report.get("MessageID"),
        tags=table(report.get("Metadata")),
        properties={
            "reason": report.get("Description") or report.get("Details"),
            "bounce_class": BOUNCES.get(str(report.get("Type"))) if status == "message.bounced" else None,
            "user_agent": report.get("UserAgent"),
            "ip": table(report.get("Geo")).get("IP"),
            "url": report.get("OriginalLink"),
            "tag": report.get("Tag"),
        },
    )
