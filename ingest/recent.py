"""Events whose ids clients chose in, the first answer to each out: a retry is answered as its first try was."""

from typing import NamedTuple

from schemas.records import Event
from schemas.sameness import CONFLICT

CAPACITY = 50_000
MOST_OF_AN_ID = 8
"""Events of one id that are remembered; of more the pipeline knows."""
_ANOTHER = f"{CONFLICT}: another event has this event_id; both count"
_OTHER = f"{CONFLICT}: this event came before with other content, which counts"

_Known = tuple[str, str, int, str, int]
"""Type, sender, content; contact id and time of receipt as they were answered."""


class First(NamedTuple):
    """How an event was answered, and what the sender of its copy has to be told, often nothing."""

    contact_id: str
    received_ms: int
    conflict: str


class Recent:
    """The ids of the last ``capacity`` durable events of this edge whose id came from the client.

    Best effort: it spares the pipeline most repeats. What it does not know is counted once all the same, since the
    identity stage marks every copy (``schemas/sameness.py``).
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._first: dict[tuple[str, str, str], _Known] = {}
        self._others: dict[tuple[str, str, str], list[_Known]] = {}
        """Of the few ids that several events have."""

    def get(self, event: Event) -> First | None:
        """The first of the same events; ``event`` still has its sender for a contact."""
        key = event["workspace"], event["environment"], event["event_id"]
        known = self._first.get(key)
        if known is None:
            return None
        for one in (known, *self._others.get(key, ())):
            if _is_same(one, event):
                return First(one[3], one[4], _OTHER if one[2] != _content(event) else "")
        return None

    def put(self, event: Event, contact_id: str) -> str:
        """Remember how it was answered; what its sender has to be told, often nothing."""
        key = event["workspace"], event["environment"], event["event_id"]
        known = self._first.get(key)
        one = event["type"], event["contact_id"], _content(event), contact_id, event["received_ms"]
        if known is None:
            if len(self._first) >= self._capacity:
                oldest = next(iter(self._first))
                del self._first[oldest]
                self._others.pop(oldest, None)
            self._first[key] = one
            return ""
        if (first := self.get(event)) is not None:
            return first.conflict
        others = self._others.setdefault(key, [])
        if len(others) < MOST_OF_AN_ID - 1:
            others.append(one)
        return _ANOTHER


def _is_same(known: _Known, event: Event) -> bool:
    """As ``schemas.sameness`` decides: the id is the same already."""
    return known[0] == event["type"] and known[1] == event["contact_id"]


def _content(event: Event) -> int:
    """What ``schemas.sameness.content_of`` looks at, by a hash that this process alone understands: it is quick."""
    names = event["kind"], event["campaign_id"], event["message_id"], event["variant"], event["channel"]
    return hash((event["properties"], event["profile"], names))
