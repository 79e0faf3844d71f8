"""The results of a dialect's parser: raw events or refusals, before ids, times and limits are checked; pure.

Each event makes a ``RawEvent`` and an ``Accepted``. So they have constructors of their own, which are compiled: one
that ``dataclass`` generates is interpreted, at 1 µs an instance. No class here is frozen: that costs 0.1 µs a field.
"""

from dataclasses import dataclass
from typing import Any

from schemas.errors import ApiError


class RawEvent:
    """A client's call in the fields of Headwater; values are as the client sent them."""

    __slots__ = (
        *("age_ms", "campaign_id", "channel", "context", "environment", "event_id", "identifiers", "kind", "lists"),
        *("message_id", "needs_identifier", "profile", "properties", "sent_at", "timestamp", "type", "variant"),
    )

    def __init__(
        self,
        *,
        kind: str,
        type: Any,  # noqa: A002 - the field's name everywhere
        identifiers: list[tuple[str, Any, str]],
        properties: dict[str, Any] | None = None,
        timestamp: Any = None,
        sent_at: Any = None,
        age_ms: int | None = None,
        context: dict[str, Any] | None = None,
        profile: dict[str, Any] | None = None,
        lists: bool = False,
        event_id: Any = None,
        campaign_id: Any = None,
        message_id: Any = None,
        variant: Any = None,
        channel: Any = None,
        environment: str | None = None,
        needs_identifier: bool = True,
    ) -> None:
        self.kind = kind
        self.type = type
        self.identifiers = identifiers
        """(identifier type, value, name of the field it came from), in any order."""
        self.properties = {} if properties is None else properties
        self.timestamp = timestamp
        self.sent_at = sent_at
        """The client's time of sending: its difference to the arrival corrects ``timestamp``."""
        self.age_ms = age_ms
        """The event's age when it was sent, for clients that report an age in place of a time."""
        self.context = context
        self.profile = profile
        """The event's changes of its contact: ``set`` and ``set_once`` (attributes), ``consents`` (given or withdrawn
        by it), ``consent_state`` (those that hold now, whichever event gave them), ``device``."""
        self.lists = lists
        """Whether the profile may put the contact on static lists: true for that operation alone."""
        self.event_id = event_id
        self.campaign_id = campaign_id
        self.message_id = message_id
        self.variant = variant
        self.channel = channel
        self.environment = environment
        self.needs_identifier = needs_identifier


@dataclass(slots=True, kw_only=True)
class Parsed:
    """A request's items in order, each an event or the reason why not."""

    items: list[RawEvent | ApiError]
    atomic: bool
    """True: one refusal refuses the request. False: its neighbours are taken."""
    label: str | None = "events"
    """The batch's name in error paths such as ``events[3]``; empty: the body is an array; ``None``: a single item."""


class Accepted:
    """The outcome of one durable event."""

    __slots__ = ("contact_id", "entered", "event_id", "left", "received_ms", "warnings")

    def __init__(
        self,
        *,
        event_id: str,
        contact_id: str,
        received_ms: int,
        warnings: list[str],
        entered: list[str] | None = None,
        left: list[str] | None = None,
    ) -> None:
        self.event_id = event_id
        self.contact_id = contact_id
        self.received_ms = received_ms
        self.warnings = warnings
        self.entered = entered
        self.left = left


@dataclass(slots=True, kw_only=True)
class IntakeResult:
    """A request that was taken, for the dialect to put into its own words."""

    items: list[Accepted | ApiError]
    task_id: str
    synced: bool | None
    """``None``: the client did not request it; true: applied and readable; false: the deadline came first."""


@dataclass(slots=True, kw_only=True)
class Reply:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
