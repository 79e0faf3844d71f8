"""Events whose ids clients chose in, the first answer to each out: a retry is answered as its first try was."""

from typing import NamedTuple

from schemas.records import Event
from schemas.sameness import CONFLICT, content_of

CAPACITY = 50_000
MOST_OF_AN_ID = 8
"""Events of one id that are remembered; of more the pipeline knows."""


class First(NamedTuple):
    """An event, and how it was answered."""

    type: str
    sender: str
    content: int
    contact_id: str
    received_ms: int


class Recent:
    """The ids of the last ``capacity`` durable events of this edge whose id came from the client.

    Best effort: it spares the pipeline most repeats. What it does not know is counted once all the same, since the
    identity stage marks every copy (``schemas/sameness.py``).
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._first: dict[tuple[str, str, str], tuple[First, ...]] = {}

    def get(self, event: Event) -> First | None:
        """The first of the same events; ``event`` still has its sender for a contact."""
        for first in self._first.get((event["workspace"], event["environment"], event["event_id"]), ()):
            if first.type == event["type"] and first.sender == event["contact_id"]:
                return first
        return None

    def put(self, event: Event, contact_id: str) -> str:
        """Remember how it was answered; what its sender has to be told of its id, often nothing."""
        key = event["workspace"], event["environment"], event["event_id"]
        known = self._first.get(key, ())
        for first in known:
            if first.type == event["type"] and first.sender == event["contact_id"]:
                return told(event, first)
        if not known and len(self._first) >= self._capacity:
            del self._first[next(iter(self._first))]
        if len(known) < MOST_OF_AN_ID:
            first = First(event["type"], event["contact_id"], content_of(event), contact_id, event["received_ms"])
            self._first[key] = (*known, first)
        return f"{CONFLICT}: another event has this event_id; both count" if known else ""


def told(event: Event, first: First) -> str:
    """What is said of a copy; nothing where it says what the first said."""
    if content_of(event) == first.content:
        return ""
    return f"{CONFLICT}: this event came before with other content, which counts"
