"""Amazon SES's events over SNS in; our events out; pure.

Source: docs.aws.amazon.com, "Verifying the signatures of Amazon SNS messages", "Contents of event data that Amazon SES
publishes to Amazon SNS".

An SNS message is signed with RSA (version 1: SHA-1, 2: SHA-256) by the certificate that its `SigningCertURL` names.
Anybody may own a topic, so the certificate proves Amazon and not the sender: `topic_arn` of the endpoint does, and
where it has a secret, HTTP Basic in the URL that the topic was subscribed with. An endpoint with neither takes nothing.
"""

import binascii
import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from ingest.events.raw import RawEvent
from ingest.http import body
from ingest.receivers.postmark import basic_auth
from ingest.receivers.provider_request import DeliveryReport, ProviderRequest, event_of, table, unsigned
from schemas.errors import ApiError

PROVIDER = "ses"
NOTIFICATION = "Notification"
CONFIRMATION = "SubscriptionConfirmation"
TOPIC_ARN = re.compile(r"arn:aws(-[a-z]+)*:sns:[a-z0-9-]{3,40}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
_HOST = re.compile(r"^sns\.[a-z0-9-]{3,40}\.amazonaws\.com(\.cn)?$")
_NOTIFIED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMED = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
MOST_RECIPIENTS = 100
"""The most recipients of a notification (SES sends to 50 at a time): each one's event holds all of it."""
STATUSES = {
    "Send": "message.sent",
    "Delivery": "message.delivered",
    "DeliveryDelay": "message.deferred",
    "Open": "message.opened",
    "Click": "message.clicked",
    "Bounce": "message.bounced",
    "Complaint": "message.complained",
    "Reject": "message.failed",
    "Rendering Failure": "message.failed",
    "RenderingFailure": "message.failed",
}
OF_ALL = ("Send", "Reject", "Rendering Failure", "RenderingFailure")
"""Events that happen to every recipient of a mail at once."""
BOUNCES = {"Permanent": "hard", "Transient": "soft"}
_PARTS = {"DeliveryDelay": "deliveryDelay", "Rendering Failure": "failure", "RenderingFailure": "failure"}
_RECIPIENTS = ("bouncedRecipients", "complainedRecipients", "delayedRecipients", "recipients")


def message_of(posted: ProviderRequest) -> dict[str, Any]:
    """SNS's envelope; raises ``ApiError``."""
    value = body.parse_mended(posted.body)
    if not isinstance(value, dict):
        raise ApiError("invalid_type", "the body must be a JSON object")
    for name in ("Type", "MessageId", "Message", "Signature", "SigningCertURL"):
        if not isinstance(value.get(name), str):
            raise unsigned(f"{name} is missing: the request is not from Amazon SNS", name)
    return value


def amazon(url: Any, param: str) -> str:
    """The URL, if it is one of SNS's own; raises ``ApiError`` (401), so that no request makes us call elsewhere."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        odd = bool(parts.username or parts.password or parts.port)
    except ValueError:
        odd = True
    if odd or parts.scheme != "https" or not _HOST.match(parts.netloc):
        raise unsigned("the URL is not one of Amazon SNS", param)
    return str(url)


def certificate_url(message: dict[str, Any]) -> str:
    url = amazon(message["SigningCertURL"], "SigningCertURL")
    parts = urlsplit(url)
    if not parts.path.startswith("/SimpleNotificationService-") or not url.endswith(".pem") or parts.query:
        raise unsigned("the URL names no certificate", "SigningCertURL")
    return url


def check(posted: ProviderRequest, message: dict[str, Any]) -> None:
    """The checks that need no certificate; raises ``ApiError`` (401)."""
    if posted.receiver.secret:
        basic_auth(posted)
    topic_arn = posted.receiver.topic_arn
    if not topic_arn and not posted.receiver.secret:  # made before a topic was needed
        raise unsigned("the endpoint names no topic: remove it, and make one with topic_arn", "TopicArn")
    if topic_arn and message.get("TopicArn") != topic_arn:
        raise unsigned("the topic is not the endpoint's", "TopicArn")


def verify(message: dict[str, Any], pem: bytes, now_ms: int) -> None:
    """Raises ``ApiError`` (401) unless the certificate is valid now and signed this message."""
    names = _NOTIFIED if message["Type"] == NOTIFICATION else _CONFIRMED
    text = "".join(f"{name}\n{message[name]}\n" for name in names if message.get(name) is not None)
    version = message.get("SignatureVersion")
    if version not in ("1", "2"):
        raise unsigned("SignatureVersion is neither 1 nor 2", "SignatureVersion")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise unsigned("the certificate has no RSA key", "SigningCertURL")
        # SHA-1 is what version 1 is made of; a topic can be set to version 2
        digest = SHA1() if version == "1" else SHA256()  # noqa: S303
        key.verify(
            b64decode(message["Signature"], validate=True), text.encode("utf-8", "surrogatepass"), PKCS1v15(), digest
        )
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise unsigned("the signature is not Amazon's", "Signature") from error
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise unsigned("the certificate is not valid now", "SigningCertURL")


def events(message: dict[str, Any]) -> list[RawEvent]:
    """An event for each recipient of a notification; text of another sender is kept as it is."""
    if message["Type"] != NOTIFICATION:
        return []
    try:
        notification = body.parse_mended(message["Message"].encode("utf-8", "replace"))
    except ApiError:
        notification = message["Message"]
    if not isinstance(notification, dict):
        return [_event(message, {"text": notification}, None)]
    part = table(notification.get(_part(notification)))
    recipients = next((part[name] for name in _RECIPIENTS if isinstance(part.get(name), list)), None)
    named = table(notification.get("mail")).get("destination")
    people: list[Any] = recipients or (named if isinstance(named, list) else []) or [None]
    if not recipients and len(people) > 1 and _event_type(notification) not in OF_ALL:
        people = [None]  # one of them did it, and the notification does not say which
    if len(people) > MOST_RECIPIENTS:
        raise ApiError("too_many", f"at most {MOST_RECIPIENTS} recipients in one notification")
    emails = [table(r).get("emailAddress") if isinstance(r, dict) else r for r in people]
    return [_event(message, notification, email) for email in emails]


def _event_type(notification: dict[str, Any]) -> str:
    return str(notification.get("eventType") or notification.get("notificationType") or "notification")


def _part(notification: dict[str, Any]) -> str:
    name = _event_type(notification)
    return _PARTS.get(name, name[:1].lower() + name[1:])


def _event(message: dict[str, Any], notification: dict[str, Any], email: Any) -> RawEvent:
    name, part, mail = (
        _event_type(notification),
        table(notification.get(_part(notification))),
        table(notification.get("mail")),
    )
    status = STATUSES.get(name, name.replace(" ", "_").lower())
    unsubscribed = name == "Subscription" and table(part.get("newTopicPreferences")).get("unsubscribeAll") is True
    several = isinstance(mail.get("destination"), list) and len(mail["destination"]) > 1
    message_id = mail.get("messageId")
    return event_of(
        DeliveryReport(
            provider=PROVIDER,
            status="message.unsubscribed" if unsubscribed else status,
            key=repr((message["MessageId"], email)),
            payload=notification,
            email=email,
            at=part.get("timestamp") or mail.get("timestamp") or message.get("Timestamp"),
            # one id for several recipients would count them as one message
            message_id=f"{message_id}:{email}" if several and message_id and email else message_id,
            tags=table(mail.get("tags")),
            properties={
                "reason": _reason(part, email),
                "bounce_class": BOUNCES.get(str(part.get("bounceType")), "unknown") if name == "Bounce" else None,
                "user_agent": part.get("userAgent"),
                "ip": part.get("ipAddress"),
                "url": part.get("link"),
            },
        )
    )


def _reason(part: dict[str, Any], email: Any) -> Any:
    lists = [part[name] for name in _RECIPIENTS if isinstance(part.get(name), list)]
    about = [table(r) for rows in lists for r in rows]
    diagnosis = next((r.get("diagnosticCode") for r in about if r.get("emailAddress") == email), None)
    return diagnosis or part.get("reason") or part.get("errorMessage") or part.get("complaintFeedbackType")
