"""SendGrid's Event Webhook in; its events out. Source: twilio.com/docs/sendgrid, "Event Webhook Reference", "Security".

Signed with ECDSA (P-256, SHA-256) over the timestamp header and the raw body; the public key is the base64 of its DER.
"""

import binascii
from base64 import b64decode
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ingest.events.raw import RawEvent
from ingest.http import body
from ingest.receivers.provider_request import (
    DeliveryReport,
    ProviderRequest,
    check_age,
    event_of,
    objects,
    table,
    unsigned,
)
from schemas.errors import ApiError

PROVIDER = "sendgrid"
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
STATUSES = {
    "processed": "message.sent",
    "deferred": "message.deferred",
    "delivered": "message.delivered",
    "open": "message.opened",
    "click": "message.clicked",
    "bounce": "message.bounced",
    "dropped": "message.failed",
    "spamreport": "message.complained",
    "unsubscribe": "message.unsubscribed",
    "group_unsubscribe": "message.unsubscribed",
}
BOUNCES = {"bounce": "hard", "blocked": "block"}


def public_key(text: str) -> EllipticCurvePublicKey:
    """Of base64 or PEM; raises ``ApiError`` (422)."""
    lines = [line for line in text.split("\n") if not line.startswith("-----")]
    try:
        key = load_der_public_key(b64decode("".join(lines), validate=False))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise ApiError("invalid_field", "public_key is not a public key in base64", "public_key") from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise ApiError("invalid_field", "public_key must be of ECDSA", "public_key")
    return key


def verify(posted: ProviderRequest) -> None:
    signature, timestamp = posted.headers.get(SIGNATURE, ""), posted.headers.get(TIMESTAMP, "")
    try:
        key = public_key(posted.receiver.secret)
        key.verify(b64decode(signature, validate=True), timestamp.encode() + posted.body, ECDSA(SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise unsigned("the signature is not the endpoint's", SIGNATURE) from error
    check_age(timestamp, posted.now_ms, TIMESTAMP)


def events(posted: ProviderRequest) -> list[RawEvent]:
    return [event_of(_fact(event)) for event in objects(body.parse_mended(posted.body), "")]


def _message_id(event: dict[str, Any]) -> Any:
    """Returns the id that the sender received (``X-Message-Id``): SendGrid's own id up to its first dot.

    One request to several recipients has one id, and SendGrid's own id ends with the recipient's number. Each is a
    message of its own, so for all but the first the address is appended.
    """
    whole = event.get("sg_message_id")
    if not isinstance(whole, str) or not whole:
        return event.get("smtp-id")
    message_id, _, rest = whole.partition(".")
    recipient = rest.rpartition(".")[2]
    is_first = not (recipient.isascii() and recipient.isdigit()) or not int(recipient[:9])
    return message_id if is_first or not isinstance(event.get("email"), str) else f"{message_id}:{event['email']}"


def _fact(event: dict[str, Any]) -> DeliveryReport:
    name = str(event.get("event"))
    tags = {**table(event.get("unique_args")), **table(event.get("custom_args")), **event}
    tags.setdefault("campaign_id", event.get("marketing_campaign_id") or event.get("singlesend_id"))
    parts = (name, event.get("sg_event_id") or (event.get("sg_message_id"), event.get("email"), event.get("timestamp")))
    return DeliveryReport(
        provider=PROVIDER,
        status=STATUSES.get(name, name),
        key=repr(parts),
        payload=event,
        email=event.get("email"),
        at=event.get("timestamp"),
        message_id=_message_id(event),
        tags=tags,
        properties={
            "reason": event.get("reason") or event.get("response"),
            "bounce_class": BOUNCES.get(str(event.get("type")), "hard") if name == "bounce" else None,
            "bounce_classification": event.get("bounce_classification"),
            "user_agent": event.get("useragent"),
            "ip": event.get("ip") if name in ("open", "click") else None,
            "machine_open": event.get("sg_machine_open") is True or None,
            "url": event.get("url"),
        },
    )
