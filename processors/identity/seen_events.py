"""Events of a partition of `events` in; a mark on each copy but the first out; pure.

A row has an event's first place and content: ``<span><sender><hash of its key>`` -> offset, index, content. So a record
that is read again after a crash matches its own row and is no copy. A look-up reads the current span of time and the
previous one. Older spans are deleted from the front, in chunks.
"""

from collections.abc import Iterable
from hashlib import blake2b
from struct import Struct
from typing import Final

from processors.runtime.stage import PartitionState, Rows
from schemas import topics
from schemas.records.records import Event
from schemas.records.sameness import (
    AGAIN,
    CHANGED,
    FIRST,
    SENDER_LENGTH,
    content_of,
    event_key,
    is_made_here,
    sender_of,
)

TABLE: Final = topics.IDENTITY_SEEN
CHUNK: Final = 5_000
"""Rows that one unit of background work forgets."""
_ROW: Final = Struct(">QII")
_SPAN: Final = Struct(">I")
_DIGEST: Final = 12
_PREFIX: Final = _SPAN.size + SENDER_LENGTH
_LAST: Final = b"\xff"
"""Greater than every sender and every hash that follows a span."""


class SeenEvents:
    """``span_ms`` is the minimum time that an event is remembered; the maximum is twice that."""

    def __init__(self, span_ms: int) -> None:
        self._span_ms = span_ms
        self._now: dict[int, int] = {}
        self._first: dict[int, int | None] = {}

    def restore(self, partition: int, rows: Rows) -> None:
        self._first[partition] = _span_of(next(rows, None))

    def revoke(self, partition: int) -> None:
        self._first.pop(partition, None)
        self._now.pop(partition, None)

    def at(self, state: PartitionState, now_ms: int) -> None:
        """Sets the time. Time never moves back, so look-ups do not miss rows of later spans."""
        self._now[state.partition] = max(now_ms // self._span_ms, self._now.get(state.partition, 0))

    def mark(self, event: Event, offset: int, index: int, state: PartitionState) -> None:
        """Marks the next event of the partition as a first or a copy, and remembers it. Call ``at`` first."""
        event["repeat"] = FIRST
        if is_made_here(event):
            return
        span = self._now[state.partition]
        # a sender's own contact id implies its environment, an empty id does not
        whole = f"{event['workspace']}\0{event['environment']}\0{event_key(event)}"
        digest = blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
        name = sender_of(event).encode().ljust(SENDER_LENGTH, b"\0") + digest
        key = _SPAN.pack(span) + name
        row = state.get(TABLE, key)
        first = self._first.get(state.partition)
        if row is None and first is not None and first < span:
            row = state.get(TABLE, _SPAN.pack(span - 1) + name)
        content = content_of(event)
        if row is None:
            state.put(TABLE, key, _ROW.pack(offset, index, content))
            if first is None:
                self._first[state.partition] = span
            return
        before = _ROW.unpack(row)
        if before[:2] != (offset, index):
            event["repeat"] = AGAIN if before[2] == content else CHANGED

    def has_old(self, partition: int) -> bool:
        """Whether there may be rows to forget."""
        first = self._first.get(partition)
        return first is not None and first < self._now.get(partition, 0) - 1

    def forget_old(self, state: PartitionState) -> None:
        """Forgets a chunk of the rows older than two spans."""
        until = self._now.get(state.partition, 0) - 1
        self._first[state.partition] = None
        for done, row in enumerate(state.scan(TABLE)):
            span = _span_of(row)
            if done == CHUNK or span is None or span >= until:
                self._first[state.partition] = span
                return
            state.put(TABLE, row[0], None)


def forget(state: PartitionState, senders: Iterable[str]) -> None:
    """Forgets all events of these own contact ids at once."""
    own_ids = sorted(sender[-SENDER_LENGTH:].encode() for sender in senders)
    span = _span_of(next(state.scan(TABLE), None))
    while span is not None:
        start = _SPAN.pack(span)
        for own_id in own_ids:
            for key, _ in state.scan(TABLE, start + own_id):
                if key[:_PREFIX] != start + own_id:
                    break
                state.put(TABLE, key, None)
        span = _span_of(next(state.scan(TABLE, start + _LAST), None))


def _span_of(row: tuple[bytes, bytes] | None) -> int | None:
    return None if row is None else int(_SPAN.unpack_from(row[0])[0])
