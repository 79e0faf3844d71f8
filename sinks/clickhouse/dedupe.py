"""Events of one partition in; each as new, a client's duplicate, or a replay of an earlier stage out; pure.

1. Places on `events` only grow within an origin partition, except for repeats after a crash. So a place at or below
   the highest place seen is a suspect. It is a repeat only if its row is known to be stored: a crash may also have
   let only a later place through.
2. The identity stage has marked a client's retry (``repeat``). The keys of recent events are the second check. They are
   bounded, and the table collapses the copies that they miss.
"""

from enum import Enum, auto
from typing import Final

from schemas.caches.recent_keys import RecentKeys
from schemas.records.records import Event
from schemas.records.sameness import event_key, key_from

EventPosition = tuple[int, int, int]
"""Partition, offset and index on `events`."""

WINDOW: Final = 100_000
"""Event ids that all partitions of a sink remember together, at least; a hundred bytes each."""
NO_ORIGIN: Final = -1
_NOWHERE: Final = (NO_ORIGIN, 0)


class Verdict(Enum):
    NEW = auto()
    DUPLICATE = auto()
    """The client sent it again."""
    REPLAYED = auto()
    """A stage before sent it again; its row is stored."""
    SUSPECT = auto()
    """A stage before may have sent it again: ask whether its row is stored."""


def known_as(workspace: str, environment: str, key: str) -> str:
    """An event's entry among the recent keys."""
    return f"{workspace}\0{environment}\0{key}"


def origin_of(event: Event) -> EventPosition:
    return event.get("origin_partition", 0), event.get("origin_offset", NO_ORIGIN), event.get("origin_index", 0)


class Deduplicator:
    """The recent events of one partition of `resolved`."""

    def __init__(self, size: int) -> None:
        self.recent = RecentKeys(size)
        self._highest: dict[int, tuple[int, int]] = {}

    def forget(self, event: Event) -> None:
        """The row was refused, so the event is not stored: it may be replayed from quarantine."""
        self.recent.discard(known_as(event["workspace"], event["environment"], event_key(event)))

    def reach(self, origin: EventPosition) -> bool:
        """Everything up to this place has been seen; returns whether the place itself was seen before."""
        partition, offset, index = origin
        if offset == NO_ORIGIN:
            return False
        highest, nth = self._highest.get(partition, _NOWHERE)
        if offset < highest or (offset == highest and index <= nth):
            return True
        self._highest[partition] = (offset, index)
        return False

    def classify(self, event: Event, sender: str) -> Verdict:
        """Returns the verdict on the next event of the partition, and remembers it. ``sender``: its own contact id."""
        is_past = self.reach(origin_of(event))
        if event.get("repeat"):
            return Verdict.DUPLICATE
        key = known_as(event["workspace"], event["environment"], key_from(event["event_id"], event["type"], sender))
        is_known = key in self.recent
        if not is_known:
            self.recent.add(key)
        if is_past:
            return Verdict.REPLAYED if is_known else Verdict.SUSPECT
        return Verdict.DUPLICATE if is_known else Verdict.NEW
