"""Events whose ids clients chose in, the first answer to each out: a retry is answered as its first try was; pure."""

from typing import Final, NamedTuple

from ingest.http.fair_cache import ENTRY, TEXT, FairCache
from schemas.records.records import Event
from schemas.records.sameness import CONFLICT

MOST_BYTES: Final = 32 * 1024 * 1024
"""Some 50,000 events with ids as long as a UUID."""
MOST_OF_AN_ID: Final = 8
"""The most events remembered for one id; the identity stage recognises copies of the others."""
_ANOTHER: Final = f"{CONFLICT}: another event has this event_id; both count"
_OTHER: Final = f"{CONFLICT}: this event came before with other content, which counts"

_Known = tuple[str, str, int, str, int]
"""Type, sender, content; contact id and time of receipt as they were answered."""
_Key = tuple[str, str]
"""Environment and event id."""
_NUMBERS: Final = 64
_CONTACTS: Final = 2 * (TEXT + 36)


def size_of(key: _Key, acks: tuple[_Known, ...]) -> int:
    """Bytes that the events of an id take."""
    size = ENTRY + TEXT + len(key[1])
    for ack in acks:
        size += ENTRY + TEXT + len(ack[0]) + _CONTACTS + _NUMBERS
    return size


class CachedAck(NamedTuple):
    """How an event was answered, and a warning for the sender of a copy, often empty."""

    contact_id: str
    received_ms: int
    conflict: str


class EventAckCache:
    """The ids of the last durable events of this edge whose id came from the client, as many as ``limit`` bytes hold.

    Each workspace forgets its own. Best effort: it spares the pipeline most repeats. A repeat that it misses is
    counted once all the same: the identity stage marks every copy (``schemas/records/sameness.py``).
    """

    def __init__(self, limit: int = MOST_BYTES) -> None:
        self._first: FairCache[_Key, tuple[_Known, ...]] = FairCache(limit, size_of)
        """Acknowledgements by workspace and id; several for an id that different events share."""

    def get(self, event: Event) -> CachedAck | None:
        """The first of the same events; ``event`` still has its sender for a contact."""
        acks = self._first.get(event["workspace"], (event["environment"], event["event_id"]))
        return None if acks is None else _find(acks, event)

    def put(self, event: Event, contact_id: str) -> str:
        """Remember the answer; returns a warning for the sender, often empty."""
        workspace, key = event["workspace"], (event["environment"], event["event_id"])
        acks = self._first.get(workspace, key)
        ack = event["type"], event["contact_id"], _content(event), contact_id, event["received_ms"]
        if acks is None:
            self._first.put(workspace, key, (ack,))
            return ""
        if (first := _find(acks, event)) is not None:
            return first.conflict
        if len(acks) < MOST_OF_AN_ID:
            self._first.put(workspace, key, (*acks, ack))
        return _ANOTHER


def _find(acks: tuple[_Known, ...], event: Event) -> CachedAck | None:
    for ack in acks:
        if _is_same(ack, event):
            return CachedAck(ack[3], ack[4], _OTHER if ack[2] != _content(event) else "")
    return None


def _is_same(ack: _Known, event: Event) -> bool:
    """Whether type and sender are equal too, as ``schemas.records.sameness`` requires of an equal id."""
    return ack[0] == event["type"] and ack[1] == event["contact_id"]


def _content(event: Event) -> int:
    """A quick hash, for this process alone, of the content that ``schemas.records.sameness.content_of`` compares."""
    names = event["kind"], event["campaign_id"], event["message_id"], event["variant"], event["channel"]
    return hash((event["properties"], event["profile"], names))
