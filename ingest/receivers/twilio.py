"""Twilio's status callbacks in; their events out. Source: twilio.com/docs, "Webhooks security", "Message status"; pure.

Signed with base64 HMAC-SHA1 over the URL and the sorted form parameters; a JSON body by ``bodySHA256`` in the URL.
A campaign's sender puts its own values into the query of the StatusCallback: ``?campaign_id=…&variant=…``.
"""

import hashlib
import hmac
from base64 import b64encode
from typing import Any
from urllib.parse import parse_qsl

from ingest.events.raw import RawEvent
from ingest.http import body
from ingest.receivers.provider_request import DeliveryReport, ProviderRequest, event_of, objects, same, table, unsigned
from schemas.errors import ApiError

PROVIDER = "twilio"
SIGNATURE = "x-twilio-signature"
MAX_FIELDS = 200
STATUSES = {
    "sent": "message.sent",
    "delivered": "message.delivered",
    "read": "message.opened",
    "undelivered": "message.bounced",
    "failed": "message.failed",
}
BOUNCES = {"30003": "soft", "30004": "block", "30005": "hard", "30006": "hard", "30007": "block"}
"""Unreachable, blocked, unknown, landline, filtered: twilio.com/docs/api/errors."""


def _fields(posted: ProviderRequest) -> list[tuple[str, str]]:
    try:
        return parse_qsl(posted.body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise ApiError("invalid_type", "the body is not a form") from error


def _is_json(posted: ProviderRequest) -> bool:
    return posted.headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"


def verify(posted: ProviderRequest) -> None:
    signed = ""
    if _is_json(posted):
        if not same(posted.query.get("bodySHA256", "").lower(), hashlib.sha256(posted.body).hexdigest()):
            raise unsigned("bodySHA256 is not the body's", "bodySHA256")
    else:
        # a name that comes twice counts once per value, as in Twilio's own libraries
        signed = "".join(name + value for name, value in sorted(set(_fields(posted))))
    sent, key = posted.headers.get(SIGNATURE, ""), posted.receiver.secret.encode()
    signatures = [b64encode(hmac.digest(key, (url + signed).encode(), hashlib.sha1)).decode() for url in posted.urls]
    if not any(same(sent, signature) for signature in signatures):
        raise unsigned("the signature is not the endpoint's", SIGNATURE)


def events(posted: ProviderRequest) -> list[RawEvent]:
    if not _is_json(posted):
        return [event_of(_fact(dict(_fields(posted)), posted, {}))]
    items = objects(body.parse_mended(posted.body), "")
    # Event Streams wraps each in a CloudEvent
    return [event_of(_fact(table(item.get("data")) or item, posted, item)) for item in items]


def _fact(item: dict[str, Any], posted: ProviderRequest, envelope: dict[str, Any]) -> DeliveryReport:
    fields = {name[:1].lower() + name[1:]: value for name, value in item.items()}
    state = str(fields.get("messageStatus") or fields.get("smsStatus") or envelope.get("type") or "callback").lower()
    message_id = fields.get("messageSid") or fields.get("smsSid")
    medium, _, phone = str(fields.get("to", "")).rpartition(":")
    error = str(fields.get("errorCode") or "")
    status = STATUSES.get(state, state)
    return DeliveryReport(
        provider=PROVIDER,
        status=status,
        key=repr((message_id, state, envelope.get("id") if not message_id else None)),
        payload=envelope or item,
        phone=phone,
        at=envelope.get("time") if isinstance(envelope.get("time"), str) else None,
        message_id=message_id,
        tags=posted.query,
        channel=medium or "sms",
        properties={
            "reason": error or None,
            "bounce_class": BOUNCES.get(error, "unknown") if status == "message.bounced" else None,
        },
    )
