"""Identifier values in, normalised values and contact ids out; values that identify no person are rejected.

The contact id of an identifier is a hash of it, so every process knows it without asking: ``cnt_``, 13 characters
that the workspace and environment give, and 19 that the identifier gives. Both are base32 of SHA-256. The first part
tells whether an id belongs to a workspace's environment; 65 bits keep a name from being found that gives another's.
"""

import hashlib
import re
import zlib
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

from schemas.records import addresses
from schemas.records.records import Event, Identifier

CONTACT_ID: Final = "id"
"""A contact id used as an identifier: its own contact id is itself."""
EXTERNAL_ID: Final = "external_id"
EMAIL: Final = "email"
PHONE: Final = "phone"
ANONYMOUS_ID: Final = "anonymous_id"
DEVICE_ID: Final = "device_id"
CUSTOM_RANK: Final = 3
RANKS: Final = {CONTACT_ID: -1, EXTERNAL_ID: 0, EMAIL: 1, PHONE: 2, ANONYMOUS_ID: 4, DEVICE_ID: 5}
"""Strength of an identifier type, strongest first; a custom type stands between phone and anonymous_id."""
ALIASES: Final = {"user_id": EXTERNAL_ID, "distinct_id": EXTERNAL_ID}
MAX_LENGTH: Final = 512
APART: Final = frozenset({DEVICE_ID})
"""Types whose identifiers tie no contacts together, unless a workspace says otherwise: people share devices."""
CUSTOM: Final = "custom"
TOTAL: Final = "total"
LIMITS: Final = {EXTERNAL_ID: 1, EMAIL: 5, PHONE: 5, ANONYMOUS_ID: 1000, DEVICE_ID: 1000, CUSTOM: 5, TOTAL: 1000}
"""Most identifiers of a contact by type, of each custom type, and in all; a workspace may set other limits."""

_NOBODY: Final = frozenset(
    "null none nil undefined nan true false 0 -1 guest anonymous anonymous_id distinct_id distinctid user "
    "user_id id visitor visitor_id not_authenticated unknown {} []".split()
) | {"", "[object object]"}
_ZEROS: Final = re.compile(r"^[0\-]+$")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_QUOTES: Final = "\"'`\u2018\u2019\u201c\u201d"
_TYPE: Final = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
_CONTACT: Final = re.compile(r"^cnt_[a-z2-7]{32}$")
_CACHED_LENGTH: Final = 64
"""Characters of the longest values that the caches keep, so that these are bounded in bytes: some 50 MB in all."""
_TENANT_LENGTH: Final = 13
_IDENTIFIER_LENGTH: Final = 19


def rank(kind: str) -> int:
    """Smaller is stronger."""
    return RANKS.get(kind, CUSTOM_RANK)


def is_known(kind: str) -> bool:
    """Whether an identifier of this type makes its contact a known one rather than an anonymous one."""
    return kind not in (ANONYMOUS_ID, DEVICE_ID)


def links(kind: str) -> bool:
    """Whether identifiers of this type tie contacts together, unless a workspace says otherwise."""
    return kind not in APART


def tied(identifiers: Sequence[Identifier], apart: Collection[str]) -> list[Identifier]:
    """Returns an event's identifiers of one contact: the strongest, which is first, and those of no type ``apart``.

    If the strongest identifier's type is ``apart``, it is the only one.
    """
    alone = bool(identifiers) and identifiers[0]["type"] in apart
    return [
        identifier for n, identifier in enumerate(identifiers) if n == 0 or not (alone or identifier["type"] in apart)
    ]


def is_type(kind: str) -> bool:
    return _TYPE.match(kind) is not None


def is_nobody(value: str) -> bool:
    """Whether a value identifies no person (``null``, ``guest``, a zero UUID, ...)."""
    return _short_is_nobody(value) if len(value) <= _CACHED_LENGTH else _is_nobody(value)


def _is_nobody(value: str) -> bool:
    bare = value.strip().strip(_QUOTES).strip().lower()
    return bare in _NOBODY or _ZEROS.match(bare) is not None or _CONTROL.search(bare) is not None


_short_is_nobody = lru_cache(maxsize=32_768)(_is_nobody)


_short_email = lru_cache(maxsize=32_768)(addresses.email)
_short_phone = lru_cache(maxsize=65_536)(addresses.phone)


def normalise(kind: str, value: str) -> str | None:
    """The value as it is compared, or ``None`` if it identifies no person."""
    if is_nobody(value):
        return None
    if kind == EMAIL:
        if value.isascii():  # most are normal already: no call
            email = value.strip().lower()
            return email if "@" in email[1:-1] and " " not in email else None
        return _short_email(value) if len(value) <= _CACHED_LENGTH else addresses.email(value)
    if kind == PHONE:
        return _short_phone(value) if len(value) <= _CACHED_LENGTH else addresses.phone(value)
    if kind == CONTACT_ID:
        return value if is_contact_id(value) else None
    return value


def is_contact_id(value: str) -> bool:
    """Whether the text has the form of a contact id."""
    return _CONTACT.match(value) is not None


_DIGITS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS: Final = [a + b for a in _DIGITS for b in _DIGITS]


def _base32(text: str, length: int) -> str:
    """The first digits of the text's SHA-256 in base 32, at most 20.

    Every process computes this for every contact. Five bytes become four pairs of digits: compiled code needs no large
    integers for that, and the library's function takes several times as long.
    """
    raw, pairs = hashlib.sha256(text.encode()).digest(), _PAIRS
    return "".join(
        [
            pairs[raw[0] << 2 | raw[1] >> 6],
            pairs[(raw[1] & 63) << 4 | raw[2] >> 4],
            pairs[(raw[2] & 15) << 6 | raw[3] >> 2],
            pairs[(raw[3] & 3) << 8 | raw[4]],
            pairs[raw[5] << 2 | raw[6] >> 6],
            pairs[(raw[6] & 63) << 4 | raw[7] >> 4],
            pairs[(raw[7] & 15) << 6 | raw[8] >> 2],
            pairs[(raw[8] & 3) << 8 | raw[9]],
            pairs[raw[10] << 2 | raw[11] >> 6],
            pairs[(raw[11] & 63) << 4 | raw[12] >> 4],
        ]
    )[:length]


@lru_cache(maxsize=4_096)
def tenant_prefix(workspace: str, environment: str) -> str:
    """The prefix of every contact id of a workspace's environment."""
    return "cnt_" + _base32(f"{workspace}\0{environment}", _TENANT_LENGTH)


def belongs_to(contact_id: str, workspace: str, environment: str) -> bool:
    """Whether a contact id is one of a workspace's environment."""
    return contact_id.startswith(tenant_prefix(workspace, environment))


def contact_id(workspace: str, environment: str, kind: str, value: str) -> str:
    """The identifier's own contact id; ``value`` is normalised, and one of type ``id`` is checked by ``belongs_to``."""
    if len(value) <= _CACHED_LENGTH:
        return _short_contact_id(workspace, environment, kind, value)
    return _contact_id(workspace, environment, kind, value)


def _contact_id(workspace: str, environment: str, kind: str, value: str) -> str:
    if kind == CONTACT_ID:
        return value
    own = _base32(f"{workspace}\0{environment}\0{kind}\0{value}", _IDENTIFIER_LENGTH)
    return tenant_prefix(workspace, environment) + own


_short_contact_id = lru_cache(maxsize=65_536)(_contact_id)


def own_contact_id(event: Event) -> str:
    """The contact id of an event's strongest identifier, not following merges; empty: no contact."""
    if not event["identifiers"]:
        return ""
    first = event["identifiers"][0]
    value = first["value"]
    of = _short_contact_id if len(value) <= _CACHED_LENGTH else _contact_id
    return of(event["workspace"], event["environment"], first["type"], value)


def partition_of(key: str, partitions: int) -> int:
    """The partition of a contact id (or any other key) in every topic; CRC-32, so other languages can follow."""
    return zlib.crc32(key.encode()) % partitions
