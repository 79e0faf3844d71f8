"""An accepted event without a row in; the reason with the event's place, but without its contact, out; pure.

Each place on `events` has one outcome: stored, duplicate, quarantined or suppressed. Stored events and duplicates have
rows of their own; of the others only this record remains.
"""

from typing import Final, TypedDict

import orjson

from schemas import topics
from schemas.records import codec
from schemas.records.codec import UndecodableError
from schemas.records.records import Change, Event, EventOrigin, Quarantined

LATEST_MS: Final = 4_000_000_000_000
"""A time of receipt outside the column's range is moved into it."""
QUARANTINED: Final = "quarantined"
SUPPRESSED: Final = "suppressed"
"""``SUPPRESSED``: the event's contact was erased. It is also the kind of the change that reports this."""


class EventOutcome(TypedDict):
    workspace: str
    environment: str
    source: str
    received_ms: int
    outcome: str
    origin_partition: int
    origin_offset: int
    origin_index: int


Origin = tuple[int, int, int]
"""Partition, offset and index on `events`."""


def outcome_of(event: EventOrigin | Event, outcome: str, origin: Origin) -> EventOutcome:
    partition, offset, index = origin
    return EventOutcome(
        workspace=event["workspace"],
        environment=event["environment"],
        source=event["source"],
        received_ms=min(max(event["received_ms"], 0), LATEST_MS),
        outcome=outcome,
        origin_partition=partition,
        origin_offset=offset,
        origin_index=index,
    )


def suppressed(event: Event, origin: Origin) -> Change:
    """The outcome that a stage reports for a skipped event."""
    return Change(
        workspace=event["workspace"],
        environment=event["environment"],
        contact_id="",
        kind=SUPPRESSED,
        version=0,
        at_ms=event["received_ms"],
        profile=orjson.dumps({"source": event["source"], "origin": origin}),
    )


def of_change(change: Change) -> EventOutcome:
    """Returns the outcome that a change of the kind ``SUPPRESSED`` reports; raises ``ValueError`` without a place."""
    try:
        profile = orjson.loads(change["profile"])
        partition, offset, index = (int(number) for number in profile["origin"])
        source = str(profile["source"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a suppressed event without its place: {error!r}") from error
    event = EventOrigin(
        workspace=change["workspace"],
        environment=change["environment"],
        source=source,
        received_ms=change["at_ms"],
    )
    return outcome_of(event, SUPPRESSED, (partition, offset, index))


def of_quarantined(row: Quarantined) -> list[EventOutcome]:
    """Returns the outcomes of the events of a quarantined record; empty if it has none, or is unreadable."""
    name = row["topic"]
    is_resolved = name.endswith(topics.RESOLVED.name)
    if not is_resolved and not name.endswith(topics.EVENTS.name):
        return []
    try:
        events = codec.decode_events(row["payload"])
    except UndecodableError:
        return []
    outcomes = []
    for nth, event in enumerate(events):
        index = nth if row["index"] < 0 else row["index"]
        origin = (row["partition"], row["offset"], index)
        if is_resolved:
            origin = (event.get("origin_partition", 0), event.get("origin_offset", 0), event.get("origin_index", 0))
        outcomes.append(outcome_of(event, QUARANTINED, origin))
    return outcomes
