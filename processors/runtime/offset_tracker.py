"""Offsets fetched, taken and done of one topic partition in, the offset that may be committed out.

An offset that the broker never delivers (compacted away, a transaction's marker) is no gap: only fetched records
count. A fetched record that was not taken in its turn is a gap: nothing behind it may be processed.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum


class OffsetOrder(Enum):
    """Whether a record may be processed now."""

    NEXT = "next"
    STALE = "stale"
    """Taken before, or from before the last rewind: to be dropped."""
    GAP = "hole"
    """A record before it was fetched and never arrived: only a rewind helps."""


class OffsetTracker:
    """Invariant: ``committable`` <= every offset that is fetched and not done; it never goes back."""

    __slots__ = ("_done", "_taken", "_waiting", "bytes", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        """Where the next fetch begins."""
        self.bytes = 0
        """Size of the records that are fetched and not done."""
        self._waiting: deque[tuple[int, int, int]] = deque()
        self._taken: deque[tuple[int, int, int]] = deque()
        self._done: set[int] = set()

    def fetched(self, records: Iterable[tuple[int, int, int]]) -> None:
        """Offsets, sizes and times (epoch ms) as the broker delivered them since the last rewind."""
        for record in records:
            self._waiting.append(record)
            self.bytes += record[1]
            self.position = record[0] + 1

    def take(self, offset: int) -> OffsetOrder:
        if not self._waiting or offset < self._waiting[0][0]:
            return OffsetOrder.STALE
        if offset > self._waiting[0][0]:
            return OffsetOrder.GAP
        self._taken.append(self._waiting.popleft())
        return OffsetOrder.NEXT

    def done(self, offset: int) -> None:
        """Everything that follows from the record is durable; unknown and repeated offsets are ignored."""
        if not self._taken or not self._taken[0][0] <= offset <= self._taken[-1][0]:
            return
        self._done.add(offset)
        while self._taken and self._taken[0][0] in self._done:
            first, size, _ = self._taken.popleft()
            self._done.discard(first)
            self.bytes -= size

    @property
    def committable(self) -> int:
        """The lowest offset that a restart must read again."""
        if self._taken:
            return self._taken[0][0]
        if self._waiting:
            return self._waiting[0][0]
        return self.position

    @property
    def oldest_ms(self) -> int | None:
        """The time of the first record that is not done; ``None``: all fetched records are done."""
        first = self._taken or self._waiting
        return first[0][2] if first else None

    @property
    def pending(self) -> int:
        return len(self._waiting) + len(self._taken)
