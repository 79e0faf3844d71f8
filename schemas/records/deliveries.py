"""The shapes of `deliveries` and `attempts`, field for field as in ``schemas/avro/*.avsc``, and the ids in them.

1. A delivery's id follows from its message and its endpoint: a cause that is read again makes no second delivery.
2. An attempt's id is new with every request, and says which delivery it was.
"""

import re
from hashlib import blake2b
from typing import TypedDict

PENDING = "pending"
SUCCEEDED = "succeeded"
FAILED = "failed"
ASKED = "asked"
"""Values of a delivery's ``status``. ``ASKED``, a requested attempt, is a record of its own with another key."""

ANSWERED, REDIRECTED, TIMED_OUT, UNREACHED = "status", "redirect", "timeout", "connection"
PRIVATE, UNRESOLVED, INSECURE, UNSIGNED, BUSY = "private_address", "dns", "tls", "unsigned", "busy"
REASONS = (ANSWERED, REDIRECTED, TIMED_OUT, UNREACHED, PRIVATE, UNRESOLVED, INSECURE, UNSIGNED, BUSY)
"""Why an endpoint did not take a message. ``ANSWERED``: with another status than 2xx; ``UNSIGNED``: its secret cannot
sign; ``BUSY``: too many test messages are under way."""

EXPIRED = "expired: it was not sent"
"""The error of an attempt without a request: the message had expired."""

_ID = re.compile(r"(dlv_[0-9a-f]{32})(?:_\d{1,6}_[0-9a-f]{8})?")


class WebhookDelivery(TypedDict):
    id: str
    webhook_id: str
    workspace: str
    environment: str
    contact_id: str
    event_id: str
    type: str
    seq: int
    status: str
    attempts: int
    due_ms: int
    updated_ms: int
    body: bytes


class Attempt(TypedDict):
    id: str
    delivery_id: str
    webhook_id: str
    workspace: str
    environment: str
    contact_id: str
    event_id: str
    type: str
    attempt: int
    status: str
    url: str
    response_code: int
    error: str
    duration_ms: int
    at_ms: int
    next_ms: int
    request_headers: bytes
    request_body: bytes
    response_body: bytes


class WebhookTestRequest(TypedDict):
    """An example of a message, to be sent to a webhook at once; the edge ``reply_to`` waits until ``until_ms``."""

    id: str
    webhook_id: str
    type: str
    reply_to: str
    until_ms: int


class WebhookTestResult(TypedDict):
    """``reason`` is one of ``REASONS``, empty where the endpoint took the message; ``response_code`` 0: no answer."""

    id: str
    event_id: str
    response_code: int
    reason: str
    error: str
    duration_ms: int
    url: str
    request_headers: bytes
    request_body: bytes
    response_body: bytes


def fingerprint(*parts: str) -> str:
    """32 hex digits that follow from the parts."""
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def delivery_id(webhook_id: str, cause: str, kind: str) -> str:
    """The delivery of one message to one endpoint."""
    return f"dlv_{fingerprint(webhook_id, cause, kind)}"


def attempt_id(delivery: str, attempt: int, entropy: str) -> str:
    """``entropy`` is 8 hex digits that no other request has."""
    return f"{delivery}_{attempt}_{entropy}"


def delivery_of(some_id: str) -> str | None:
    """Returns the delivery's id from the id of a delivery or an attempt; ``None`` for other text."""
    match = _ID.fullmatch(some_id)
    return None if match is None else match[1]


def home_of(contact_id: str, delivery: str) -> str:
    """The partitioning key: one contact's deliveries are read in the order in which they were written."""
    return contact_id or delivery


def key_of(delivery: str) -> bytes:
    """Kafka key of a delivery's state."""
    return delivery.encode()


def retry_key(delivery: str) -> bytes:
    """Kafka key of the request for another attempt; it must not take the place of the state in a compacted topic."""
    return f"{delivery}/{ASKED}".encode()


def retry_request(delivery: str, now_ms: int) -> WebhookDelivery:
    """The request for another attempt."""
    return WebhookDelivery(
        id=delivery,
        webhook_id="",
        workspace="",
        environment="",
        contact_id="",
        event_id="",
        type="",
        seq=0,
        status=ASKED,
        attempts=0,
        due_ms=now_ms,
        updated_ms=now_ms,
        body=b"",
    )
