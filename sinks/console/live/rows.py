"""Records of the pipeline's topics in; one row per event, with its stages so far and their times, out; pure.

A time is when a record was written, in milliseconds after the edge received the event; of a stored row it is when the
feed saw the sink's offset. Rows older than the feed have no times (``past``).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from schemas.records.records import Event, Identifier, Quarantined, RefusedRequest
from schemas.records.sameness import CHANGED, FIRST
from schemas.warning import STORED_AS

RecordPlace = tuple[int, int, int]
"""Partition, offset and index of an event on `events`."""
NO_PLACE: RecordPlace = (-1, -1, -1)
Kind = Literal["event", "refused", "quarantined"]
_LABELS = ("external_id", "user_id", "email", "phone", "anonymous_id", "device_id")
DUPLICATE = "duplicate"
MOST_TEXT = 160
MOST_NAMES = 8


@dataclass(slots=True, kw_only=True)
class LiveRow:
    """One line of the live view. ``place`` orders lines: the receive time, then the order of arrival."""

    id: str
    """The id of the element in the page."""
    kind: Kind
    workspace: str
    environment: str
    """Empty for a refused request: its environment may be the wrong value."""
    at_ms: int
    place: str
    past: bool
    type: str = ""
    event_id: str = ""
    source: str = ""
    key: str = ""
    identifiers: list[tuple[str, str]] = field(default_factory=list)
    contact_id: str = ""
    preview: str = ""
    sets: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    status: int = 0
    reason: str = ""
    param: str = ""
    path: str = ""
    agent: str = ""
    untold: int = 0
    item: bool = False
    """Whether a refused row is an item of an accepted request."""
    item_type: str = ""
    taken: int = 0
    """For a refused item: the number of accepted items of its request."""
    origin: RecordPlace = NO_PLACE
    repeat: int = FIRST
    """Whether the event is a copy, and whether its content is the same; known once the event is resolved."""
    accepted_ms: int | None = None
    resolved: tuple[int, int] | None = None
    """Partition and offset of the record on `resolved`."""
    resolved_ms: int | None = None
    segments: list[tuple[str, bool]] = field(default_factory=list)
    """(segment id, entered rather than left)"""
    judged: bool = False
    judged_ms: int | None = None
    stored: bool = False
    stored_ms: int | None = None
    touched_ms: int = 0

    @property
    def who(self) -> str:
        """The strongest identifier, as people read it."""
        identifiers = dict(reversed(self.identifiers))
        return next((identifiers[name] for name in _LABELS if name in identifiers), "") or next(
            iter(identifiers.values()), ""
        )

    @property
    def is_done(self) -> bool:
        return self.kind != "event" or self.stored or self.is_duplicate

    @property
    def is_duplicate(self) -> bool:
        return self.repeat != FIRST

    @property
    def is_conflict(self) -> bool:
        return self.repeat == CHANGED

    @property
    def state(self) -> str:
        """The row's status, as filters name it."""
        if self.kind != "event":
            return self.kind
        if self.is_duplicate:
            return DUPLICATE
        return "warned" if self.warnings else "ok"

    def since(self, now_ms: int) -> int | None:
        """Milliseconds after the edge received the event."""
        return None if self.past else max(0, now_ms - self.at_ms)


def element_id(prefix: str, *parts: str) -> str:
    """An element's id, equal for the same event at every viewer."""
    return prefix + hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=9).hexdigest()


def place_of(event: Event) -> RecordPlace:
    """The place on `events` of an event from `resolved`."""
    return event.get("origin_partition", -1), event.get("origin_offset", -1), event.get("origin_index", -1)


def repeated_id(origin: RecordPlace) -> str:
    """The id of a row whose event's id has a row already."""
    return element_id("d", *map(str, origin))


def of_event(event: Event, seq: int, now_ms: int, *, past: bool, origin: RecordPlace = NO_PLACE) -> LiveRow:
    """Returns the row of an event that the edge has accepted."""
    context = _object(event["context"])
    stored_as = context.get(STORED_AS)
    row = LiveRow(
        id=element_id("e", event["workspace"], event["environment"], event["event_id"]),
        kind="event",
        workspace=event["workspace"],
        environment=event["environment"],
        at_ms=event["received_ms"],
        place=f"{event['received_ms']}-{seq:09}",
        past=past,
        type=event["type"],
        event_id=event["event_id"],
        source=event["source"],
        key=event["key_id"],
        identifiers=_pairs(event["identifiers"]),
        contact_id=event["contact_id"],
        preview=event["properties"][:MOST_TEXT].decode("utf-8", "replace") if len(event["properties"]) > 2 else "",
        sets=_attributes(event["profile"]),
        warnings=[entry for entry in stored_as if isinstance(entry, str)] if isinstance(stored_as, list) else [],
        origin=origin,
        touched_ms=now_ms,
    )
    row.accepted_ms = row.since(now_ms)
    return row


def of_refusal(refusal: RefusedRequest, seq: int, now_ms: int) -> LiveRow:
    """Returns the row of a refused request, or of a refused item of an accepted request."""
    return LiveRow(
        id=element_id("r", refusal["request_id"], str(refusal["at_ms"]), str(seq)),
        kind="refused",
        workspace=refusal["workspace"],
        environment=refusal.get("environment", ""),
        at_ms=refusal["at_ms"],
        place=f"{refusal['at_ms']}-{seq:09}",
        past=False,
        type=refusal["code"],
        source=refusal["source"],
        key=refusal["key"],
        status=refusal["status"],
        reason=refusal["message"],
        param=refusal["param"],
        path=f"{refusal['method']} {refusal['path']}",
        agent=refusal["agent"],
        untold=refusal["untold"],
        item=refusal.get("item", False),
        item_type=refusal.get("type", ""),
        taken=refusal.get("taken", 0),
        touched_ms=now_ms,
    )


def of_quarantined(quarantined: Quarantined, seq: int, now_ms: int) -> LiveRow:
    """Returns the row of a record that could not be processed; it names no environment."""
    origin = f"{quarantined['topic']}/{quarantined['partition']}/{quarantined['offset']}/{quarantined['index']}"
    return LiveRow(
        id=element_id("q", origin),
        kind="quarantined",
        workspace=quarantined["workspace"],
        environment="",
        at_ms=quarantined["at_ms"],
        place=f"{quarantined['at_ms']}-{seq:09}",
        past=False,
        type=quarantined["reason"],
        event_id=quarantined["event_id"],
        reason=quarantined["detail"][:500],
        path=origin,
        touched_ms=now_ms,
    )


def _pairs(identifiers: list[Identifier]) -> list[tuple[str, str]]:
    return [(identifier["type"], identifier["value"]) for identifier in identifiers]


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _attributes(profile: bytes) -> list[str]:
    """Returns the names of some attributes that an event sets."""
    fields = _object(profile)
    names = [name for part in ("set", "set_once") for name in (fields.get(part) or {})]
    return [str(name) for name in names[:MOST_NAMES]]
