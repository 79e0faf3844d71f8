"""The shapes of the records on the topics, field for field as `schemas/records/codec.py` reads and writes them.

They are ``TypedDict``s, not dataclasses: an event crosses three processes, and fastavro reads and writes
dicts without a copy. The meaning of each field stands in ``schemas/avro/*.avsc``.
"""

from typing import Final, NotRequired, TypedDict

TRACK: Final = "track"
IDENTIFY: Final = "identify"
ALIAS: Final = "alias"
CONTACT: Final = "contact"
"""Values of an event's ``kind`` that stages decide by."""
IDENTIFY_TYPE: Final = f"${IDENTIFY}"
ALIAS_TYPE: Final = f"${ALIAS}"
CONTACT_TYPE: Final = f"${CONTACT}"
"""Types of events that calls and writes of contacts are stored as; ``$`` keeps them apart from a client's own."""
STORED: Final = "stored"
APPLIED: Final = "applied"
"""Stages of a receipt; ``APPLIED`` is also the kind of the change that it answers."""
BY_RULE: Final = "rule"
CARRIED: Final = "carried"
RESTATED: Final = "restated"
"""Reasons of a membership change. ``BY_RULE``: the rule is new or another one; ``RESTATED`` repeats the current state;
``CARRIED`` changes ids alone: a merge has given a person's membership to another contact id."""
REQUESTED: Final = "message.requested"
MESSAGE_FAILED: Final = "message.failed"
"""Types of events: a campaign's message is to be sent, or could not be sent."""
SPLIT: Final = "split"
LIFT: Final = "lift"
"""Values of a retracting link's ``kind``: its pair is separated from then on, or may be tied again."""


class Identifier(TypedDict):
    type: str
    value: str


class Event(TypedDict):
    event_id: str
    workspace: str
    environment: str
    kind: str
    type: str
    contact_id: str
    identifiers: list[Identifier]
    timestamp_ms: int
    received_ms: int
    properties: bytes
    context: bytes
    profile: bytes
    campaign_id: str
    message_id: str
    variant: str
    channel: str
    source: str
    key_id: str
    task_id: str
    reply_to: str
    origin_partition: NotRequired[int]
    origin_offset: NotRequired[int]
    origin_index: NotRequired[int]
    repeat: NotRequired[int]


class PlacedEvent(Event):
    """An event beside the record that it was read from."""

    places: NotRequired[tuple[int, int, int, int]]
    """Byte offsets in the record: of the event, its contact id, the field after that, and its origin."""


class EventOrigin(TypedDict):
    """The fields of an event that a count of events uses."""

    workspace: str
    environment: str
    source: str
    received_ms: int


class Link(TypedDict):
    event_id: str
    workspace: str
    environment: str
    kind: str
    at_ms: int
    a: Identifier
    b: Identifier
    explicit: bool
    retract: NotRequired[bool]


class Rebuild(TypedDict):
    winner: str
    members: list[Identifier]


class Merge(TypedDict):
    workspace: str
    environment: str
    loser: str
    winner: str
    version: int
    at_ms: int
    event_id: str
    identifier: Identifier
    rebuilds: NotRequired[list[Rebuild]]


class Absorb(TypedDict):
    workspace: str
    environment: str
    winner: str
    loser: str
    version: int
    at_ms: int
    event_id: str
    identifier: Identifier | None
    state: bytes
    events: list[Event]
    rebuild: NotRequired[Rebuild | None]


class Change(TypedDict):
    workspace: str
    environment: str
    contact_id: str
    kind: str
    version: int
    at_ms: int
    event_id: NotRequired[str]
    segment_id: NotRequired[str]
    member: NotRequired[bool]
    segment_version: NotRequired[int]
    reason: NotRequired[str]
    profile: NotRequired[bytes]
    merged_into: NotRequired[str]
    reply_to: NotRequired[str]
    task_id: NotRequired[str]
    entered: NotRequired[list[str]]
    left: NotRequired[list[str]]


class Receipt(TypedDict):
    event_id: str
    task_id: str
    stage: str
    entered: list[str]
    left: list[str]
    contact: NotRequired[bytes]


class RefusedRequest(TypedDict):
    workspace: str
    source: str
    key: str
    method: str
    path: str
    agent: str
    status: int
    code: str
    message: str
    param: str
    request_id: str
    at_ms: int
    untold: int
    environment: NotRequired[str]
    item: NotRequired[bool]
    type: NotRequired[str]
    taken: NotRequired[int]


class Quarantined(TypedDict):
    topic: str
    partition: int
    offset: int
    index: int
    workspace: str
    event_id: str
    reason: str
    detail: str
    at_ms: int
    key: bytes
    payload: bytes
