"""Due times of a partition's contacts in, the due contacts out: a heap that tolerates outdated entries.

The contacts' rows hold the exact due times. The heap only has to wake up in time: for every contact it holds an
entry that is not later than the row's due time. When an early entry comes up, the row shows that it is not due.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush


class Timers:
    """Keyed by the contact's row key; 0 means no due time."""

    def __init__(self, rows: Iterable[tuple[int, bytes]] = ()) -> None:
        self._heap = [(due_ms, key) for due_ms, key in rows if due_ms]
        heapify(self._heap)

    def next(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def move(self, key: bytes, before_ms: int, due_ms: int) -> None:
        """The row's due time was ``before_ms`` and becomes ``due_ms``."""
        if due_ms and (not before_ms or due_ms < before_ms):
            heappush(self._heap, (due_ms, key))

    def pop(self, now_ms: int, most: int) -> list[bytes]:
        """Contacts that may be due. The caller sets the next due time of each, by ``move`` from 0."""
        due: dict[bytes, None] = {}
        while self._heap and self._heap[0][0] <= now_ms and len(due) < most:
            due[heappop(self._heap)[1]] = None
        return list(due)

    def __len__(self) -> int:
        return len(self._heap)
