"""The results of a dialect's parser: raw events or refusals, before ids, times and limits are checked; pure.

These classes are not frozen: each event makes an instance, and freezing costs 0.1 µs a field.
"""

from dataclasses import dataclass, field
from typing import Any

from schemas.errors import ApiError


@dataclass(slots=True, kw_only=True)
class RawEvent:
    """A client's call in the fields of Headwater; values are as the client sent them."""

    kind: str
    type: Any
    identifiers: list[tuple[str, Any, str]]
    """(identifier type, value, name of the field it came from), in any order."""
    properties: dict[str, Any] = field(default_factory=dict)
    timestamp: Any = None
    sent_at: Any = None
    """The client's time of sending: its difference to the arrival corrects ``timestamp``."""
    age_ms: int | None = None
    """The event's age when it was sent, for clients that report an age in place of a time."""
    context: dict[str, Any] | None = None
    profile: dict[str, Any] | None = None
    """The event's changes of its contact: ``set`` and ``set_once`` (attributes), ``consents`` (given or withdrawn by
    it), ``consent_state`` (those that hold now, whichever event gave them), ``device``."""
    lists: bool = False
    """Whether the profile may put the contact on static lists: true for that operation alone."""
    event_id: Any = None
    campaign_id: Any = None
    message_id: Any = None
    variant: Any = None
    channel: Any = None
    environment: str | None = None
    needs_identifier: bool = True


@dataclass(slots=True, kw_only=True)
class Parsed:
    """A request's items in order, each an event or the reason why not."""

    items: list[RawEvent | ApiError]
    atomic: bool
    """True: one refusal refuses the request. False: its neighbours are taken."""
    label: str | None = "events"
    """The batch's name in error paths such as ``events[3]``; empty: the body is an array; ``None``: a single item."""


@dataclass(slots=True, kw_only=True)
class Accepted:
    """The outcome of one durable event."""

    event_id: str
    contact_id: str
    received_ms: int
    warnings: list[str]
    entered: list[str] | None = None
    left: list[str] | None = None


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
