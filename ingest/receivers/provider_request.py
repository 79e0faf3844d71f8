"""A provider's request in; the parts that all receivers share out: signatures, ids, and reports as events.

A provider's file says two things, both pure: whether a request is the provider's (``verify`` raises ``ApiError``, 401)
and which events it means (``events``). A known status becomes a `message.*` event, another one keeps its name behind
the provider's (`sendgrid.account_status_change`). The original object is kept whole in ``properties.payload``.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.events.raw import RawEvent
from schemas.control.control_state import Receiver
from schemas.errors import ApiError
from schemas.records.records import TRACK
from schemas.times import DAY_MS

REPLAY_WINDOW_MS = DAY_MS
"""Providers repeat unanswered requests for up to a day; a repeat has the same event ids, so it counts once."""
AHEAD_MS = 5 * 60_000
MAX_TEXT = 256
ENDS_CONSENT = frozenset({"message.unsubscribed", "message.complained"})
"""They withdraw the consent to all future messages; subscribing again at a provider does not give it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """A request as it came, its body unpacked; ``urls`` are those it may have been sent to, as the provider saw it."""

    receiver: Receiver
    urls: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """A status that a provider reports, in the fields of Headwater."""

    provider: str
    status: str
    """`message.*`, or the provider's own name for it."""
    key: str
    """The report's identity; a repeat has the same."""
    payload: Any
    email: Any = None
    phone: Any = None
    at: Any = None
    message_id: Any = None
    tags: Mapping[str, Any]
    """The sender's values that the provider returns: ``campaign_id``, ``variant``, ``message_id``."""
    channel: str = "email"
    properties: Mapping[str, Any]
    """Further properties; empty ones are left out."""


def event_of(fact: DeliveryReport) -> RawEvent:
    """Builds an event that can be refused for its size alone: a provider repeats a refused report again and again."""
    digest = hashlib.sha256(f"{fact.provider}\0{fact.key}".encode("utf-8", "surrogatepass")).hexdigest()
    kind = fact.status if fact.status.startswith("message.") else f"{fact.provider}.{fact.status}"
    properties = {name: value for name, value in fact.properties.items() if value not in (None, "", {}, [])}
    identifiers = [(kind, value, kind) for kind, value in (("email", fact.email), ("phone", fact.phone))]
    return RawEvent(
        kind=TRACK,
        type=kind[:MAX_TEXT],
        identifiers=[(k, v[:512], name) for k, v, name in identifiers if isinstance(v, str) and v],
        properties={**properties, "provider": fact.provider, "payload": fact.payload},
        timestamp=fact.at,
        event_id=f"evt_{digest[:32]}",
        campaign_id=text(fact.tags.get("campaign_id")),
        message_id=text(fact.tags.get("message_id")) or text(fact.message_id),
        variant=text(fact.tags.get("variant")),
        channel=fact.channel,
        needs_identifier=False,
    )


def text(value: Any) -> str:
    """A name or a number as text; empty for other types and for names that are too long."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    plain = str(value)
    return plain if len(plain) <= MAX_TEXT else ""


def table(value: Any) -> dict[str, Any]:
    """An object, where it is one: providers send an empty array for an empty object."""
    return value if isinstance(value, dict) else {}


def objects(value: Any, place: str) -> list[dict[str, Any]]:
    """Raises ``ApiError`` (422) unless all of these are objects."""
    items = value if isinstance(value, list) else [value]
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise ApiError("invalid_field", "must be a JSON object", f"{place}[{index}]")
    return items


def unsigned(why: str, param: str) -> ApiError:
    return ApiError("invalid_signature", why, param)


def same(supplied: str, expected: str) -> bool:
    """Compares in constant time, so that the time does not reveal the secret."""
    return hmac.compare_digest(supplied.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def check_age(seconds: str, now_ms: int, param: str) -> None:
    """Raises ``ApiError`` (401) for a signed time that is malformed, old, or ahead."""
    if not seconds.isascii() or not seconds.isdigit() or len(seconds) > 12:
        raise unsigned("the signed time is not a valid time", param)
    if not -AHEAD_MS <= now_ms - int(seconds) * 1000 <= REPLAY_WINDOW_MS:
        raise unsigned("the signed time is too old, or ahead", param)
