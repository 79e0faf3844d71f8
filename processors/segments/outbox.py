"""The outputs of a unit of work in; records of bounded size out; pure."""

from collections.abc import Iterator
from typing import Final

from processors.runtime.stage import OutputRecord
from schemas import topics
from schemas.records import codec
from schemas.records.records import Absorb, Change, Event, Identifier, Merge, Rebuild

MAX_RECORD: Final = 800_000
"""Bytes of one outgoing record, about, and well below the broker's limit."""
EVENT_BYTES: Final = 1500
CHANGE_BYTES: Final = 500
"""Bytes of a record beside its JSON, generously."""


def absorb_of(
    merge: Merge,
    winner: str,
    *,
    identifier: Identifier | None = None,
    state: bytes = b"",
    rebuild: Rebuild | None = None,
) -> Absorb:
    """Returns the record that a merge or a split sends from the loser to a winner."""
    return Absorb(
        workspace=merge["workspace"],
        environment=merge["environment"],
        winner=winner,
        loser=merge["loser"],
        version=merge["version"],
        at_ms=merge["at_ms"],
        event_id=merge["event_id"],
        identifier=identifier,
        state=state,
        events=[],
        rebuild=rebuild,
    )


def late(holder: str, winner: str, version: int, events: list[Event], now_ms: int) -> Iterator[Absorb]:
    """Returns records of events that were routed to the wrong contact."""
    sizes = [EVENT_BYTES + len(e["properties"]) + len(e["context"]) + len(e["profile"]) for e in events]
    for some in slices(sizes):
        first = events[some.start]
        yield Absorb(
            workspace=first["workspace"],
            environment=first["environment"],
            winner=winner,
            loser=holder,
            version=version,
            at_ms=now_ms,
            event_id=first["event_id"],
            identifier=None,
            state=b"",
            events=events[some],
        )


def changes(emitted: list[Change], partition: int) -> list[OutputRecord]:
    """Packs changes into as few records as possible.

    Consents come first, as no reader depends on their place. Neighbours of one kind compress better, so they cost less
    to write and to read.
    """
    consents = [change for change in emitted if change["kind"] == "consent"]
    if consents:
        emitted = consents + [change for change in emitted if change["kind"] != "consent"]
    sizes = [CHANGE_BYTES + len(change.get("profile", b"")) for change in emitted]
    return [
        OutputRecord(topics.CHANGES.name, partition, None, codec.encode_changes(emitted[some]))
        for some in slices(sizes)
    ]


def slices(sizes: list[int]) -> Iterator[slice]:
    """Groups consecutive items; a group exceeds ``MAX_RECORD`` only by a single large item."""
    start, size = 0, 0
    for index, item_size in enumerate(sizes):
        if size and size + item_size > MAX_RECORD:
            yield slice(start, index)
            start, size = index, 0
        size += item_size
    if sizes:
        yield slice(start, len(sizes))
