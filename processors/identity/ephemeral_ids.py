"""An anonymous id beside a known one in; whether identity sends their link yet out; pure.

Some SDKs make up an anonymous id for each call. Such an id comes with the user once and never again. A thousand of them
would fill the contact, and the user's own browser could not join it any more. Only its later absence distinguishes such
an id from a browser's. So identity treats the pairs of each sender as follows:

1. the first ``AT_ONCE`` pairs that no identify or alias call claims pass at once;
2. a later pair passes at its second occurrence, while it is among the last ``WAITING`` pairs with one occurrence.

A sender has one row of bounded size: the number of passed pairs, and the waiting ones.
"""

from struct import Struct
from typing import Final

from processors.identity.guard import Limits
from processors.runtime.stage import PartitionState
from schemas import topics
from schemas.records import identity

AT_ONCE: Final = 100
LEAST_AT_ONCE: Final = 10
WAITING: Final = 32
SUFFIX: Final = b"#"
"""Suffix of a key among the pairs: a sender's own contact id and this suffix name the sender's row."""
_COUNT: Final = Struct(">H")
_SHORT: Final = 10
"""Characters of an id that distinguish the ids of one sender."""


def at_once(limits: Limits) -> int:
    """The number of a sender's pairs that pass at once: a tenth of a contact's limit of identifiers."""
    return min(AT_ONCE, max(LEAST_AT_ONCE, limits.of(identity.TOTAL) // 10))


def passes(state: PartitionState, own: str, far: str, most: int) -> bool:
    """Whether to send this new pair; remembers a pair that has to wait."""
    key, short = own.encode() + SUFFIX, _short(far)
    row = state.get(topics.IDENTITY_PAIRS, key) or _COUNT.pack(0)
    count, waiting = _COUNT.unpack_from(row)[0], _waiting(row)
    passed = True
    if count < most:
        count += 1
    elif short in waiting:
        waiting.remove(short)
    else:
        waiting = [*waiting, short][-WAITING:]
        passed = False
    state.put(topics.IDENTITY_PAIRS, key, _row(count, waiting))
    return passed


def without(row: bytes, gone: set[bytes]) -> bytes:
    """Returns a sender's row without these contact ids."""
    shorts = {_short(contact_id.decode()) for contact_id in gone}
    return _row(_COUNT.unpack_from(row)[0], [short for short in _waiting(row) if short not in shorts])


def _short(contact_id: str) -> bytes:
    return contact_id[-_SHORT:].encode()


def _waiting(row: bytes) -> list[bytes]:
    return [row[at : at + _SHORT] for at in range(_COUNT.size, len(row), _SHORT)]


def _row(count: int, waiting: list[bytes]) -> bytes:
    return _COUNT.pack(count) + b"".join(waiting)
