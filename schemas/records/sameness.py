"""Two events in; whether they are copies of one event out: the only place that decides it; pure.

An event is the same event when its id, its type and its sender are the same, within a workspace's environment. The
sender is the own contact id of the strongest identifier (empty: no contact): merges and splits never change it.

1. Every copy of an event lands in the same partition of `events`, from every edge, since that is chosen by the
   sender. The identity stage remembers what it has seen there and marks each copy but the first (``repeat``):
   everything after it goes by that mark.
2. Two events that only share an id are kept apart by ``event_key``, or by its three parts in SQL.
"""

import zlib
from functools import lru_cache
from typing import Final

from schemas.records.identity import own_contact_id
from schemas.records.records import Event

FIRST: Final = 0
AGAIN: Final = 1
CHANGED: Final = 2
"""Values of an event's ``repeat``: not seen before; seen before; seen before with other content."""
CONFLICT: Final = "event_id_conflict"
SEPARATOR: Final = "\x7f"
"""No event id has it: it is not printable. JSON does not escape it."""
SENDER_LENGTH: Final = 12
"""Characters of a sender in the keys of one contact's events: 60 bits distinguish its few identifiers."""
_OURS: Final = 36


def event_key(event: Event) -> str:
    """The key that all copies of an event share, and no other event of the environment has."""
    return key_from(event["event_id"], event["type"], own_contact_id(event))


def key_from(event_id: str, kind: str, sender: str) -> str:
    """Returns the same key from the event's id, its type and its sender's own contact id."""
    return f"{event_id}{SEPARATOR}{kind}{SEPARATOR}{sender}"


def sender_of(event: Event) -> str:
    """The end of the sender's own contact id; empty: no contact."""
    return own_contact_id(event)[-SENDER_LENGTH:]


def counted_key(event_id: str, sender: str) -> str:
    """The key by which events of one type and contact are counted; ``sender`` as ``sender_of`` gives it."""
    return f"{event_id}{SEPARATOR}{sender}"


def id_in(text: str) -> str:
    """The event id of a key."""
    return text.partition(SEPARATOR)[0]


def content_of(event: Event) -> int:
    """Returns a 32-bit checksum of an event's content: it differs for all but one in four billion copies that differ.

    Times do not count: without the client's time an event has its time of receipt, and other times are corrected.
    """
    texts = "\0".join(event[name] for name in ("kind", "campaign_id", "message_id", "variant", "channel"))
    return zlib.crc32(b"\0".join((texts.encode("utf-8", "surrogatepass"), event["profile"], event["properties"])))


def is_made_here(event: Event) -> bool:
    """Whether the edge made the id, which then never comes again: it begins with the time of receipt."""
    event_id = event["event_id"]
    return len(event_id) == _OURS and event_id.startswith(_beginning(event["received_ms"]))


@lru_cache(maxsize=1024)  # the events of a request came at the same time
def _beginning(received_ms: int) -> str:
    return f"evt_{received_ms:012x}"
