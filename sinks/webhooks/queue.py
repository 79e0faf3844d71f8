"""Due deliveries of one endpoint in; the next sendable delivery out; small in memory; pure.

1. Due deliveries come in the order of their times; equal times come in the order of planning.
2. First attempts for one contact run one after the other, in the order of their causes. A retry waits for no other
   delivery and blocks no other: one refused message does not hold up the contact for a day.
"""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple


class Entry(NamedTuple):
    """A delivery's place in the queue; the delivery itself is on disk."""

    due_ms: int
    seq: int
    id: str


@dataclass(slots=True)
class Queue:
    _heap: list[Entry] = field(default_factory=list)
    _busy: dict[str, deque[Entry]] = field(default_factory=dict)
    """Contacts whose first attempt is under way, and the deliveries waiting behind it."""
    _behind: dict[str, deque[Entry]] = field(default_factory=dict)
    """Contacts whose next delivery is in the heap again, and the deliveries waiting behind it."""

    def __len__(self) -> int:
        waiting = (*self._busy.values(), *self._behind.values())
        return len(self._heap) + sum(len(entries) for entries in waiting)

    def put(self, entry: Entry) -> None:
        heappush(self._heap, entry)

    @property
    def next_due_ms(self) -> int | None:
        return self._heap[0].due_ms if self._heap else None

    def pop(self, now_ms: int) -> Entry | None:
        """Returns the next due delivery, or ``None``."""
        return heappop(self._heap) if self._heap and self._heap[0].due_ms <= now_ms else None

    def begin(self, contact_id: str, entry: Entry) -> bool:
        """Whether the first attempt of this entry may start; if not, it waits until ``end``."""
        if not contact_id:
            return True
        waiting = self._busy.get(contact_id)
        if waiting is not None:
            waiting.append(entry)
            return False
        self._busy[contact_id] = self._behind.pop(contact_id, deque())
        return True

    def end(self, contact_id: str) -> None:
        """Ends the first attempt; the delivery that waited longest is next."""
        self._next(contact_id, self._busy.pop(contact_id, deque()))

    def skip(self, contact_id: str) -> None:
        """Skips the contact's delivery that ``pop`` took out and that must not be sent any more."""
        self._next(contact_id, self._behind.pop(contact_id, deque()))

    def clear(self) -> list[Entry]:
        """Removes all waiting entries; running attempts are not among them."""
        waiting = (*self._busy.values(), *self._behind.values())
        taken = [*self._heap, *(entry for entries in waiting for entry in entries)]
        self._heap, self._busy, self._behind = [], {}, {}
        return taken

    def _next(self, contact_id: str, waiting: deque[Entry]) -> None:
        if waiting:
            self.put(waiting.popleft())  # no other delivery of the contact is due earlier
        if waiting:
            self._behind[contact_id] = waiting
