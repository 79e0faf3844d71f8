"""Rows by key, on disk and of the present step, in; the notifications of contacts and memberships so far out; pure.

Rows: ``c/`` the last snapshot's digest and refused consents, ``i/`` the identifiers, ``v/`` the version of a contact,
``m/`` a membership. While its environment has no endpoint, a contact has one row, ``u/``: its last profile, unread. The
other rows follow from it when a message needs them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.records.records import Change

OF_CONTACTS = (b"c/", b"i/", b"v/", b"u/")
"""Prefixes of rows with a contact's id as the rest of their key."""
OF_MEMBERSHIPS = b"m/"
"""Prefix of rows with a contact's id before a segment's."""
VERSION_BYTES = 8
_MERGED, _PRESENT = b"\x01", b"\x00"


class UnreadProfile(NamedTuple):
    """The last profile of a contact: of before the merge, if the contact has merged into another; may be empty."""

    version: int
    is_merged: bool
    profile: bytes


@dataclass(slots=True)
class NotificationState:
    """``get`` reads durable rows, ``writes`` holds new rows: ``None`` deletes one."""

    get: Callable[[bytes], bytes | None]
    writes: dict[bytes, bytes | None] = field(default_factory=dict)

    def read(self, key: bytes) -> bytes | None:
        return self.writes[key] if key in self.writes else self.get(key)

    def keep_unread(self, change: Change) -> None:
        """Keeps a contact's profile, or that it has merged; one that comes late replaces no newer one."""
        key = b"u/" + change["contact_id"].encode()
        before = self.read(key)
        if before is not None and change["version"] < version_of(before):
            return
        if not change.get("merged_into"):
            rest = _PRESENT + (change["profile"] or b"")
        else:  # messages still name the contact by its identifiers
            rest = _MERGED + (b"" if before is None else before[VERSION_BYTES + 1 :])
        self.writes[key] = version_row(change["version"]) + rest

    def take_unread(self, contact_id: str) -> UnreadProfile | None:
        """Returns what was kept of a contact, and deletes it."""
        key = b"u/" + contact_id.encode()
        row = self.read(key)
        if row is None:
            return None
        self.writes[key] = None
        is_merged = row[VERSION_BYTES : VERSION_BYTES + 1] == _MERGED
        return UnreadProfile(version_of(row), is_merged, row[VERSION_BYTES + 1 :])

    def forget(self, contact_ids: Iterable[str]) -> None:
        """Drops new rows of contacts whose rows on disk were deleted."""
        for contact_id in contact_ids:
            for prefix in OF_CONTACTS:
                self.writes.pop(prefix + contact_id.encode(), None)
            memberships = OF_MEMBERSHIPS + contact_id.encode() + b"/"
            for key in [key for key in self.writes if key.startswith(memberships)]:
                del self.writes[key]


def version_row(version: int) -> bytes:
    return version.to_bytes(VERSION_BYTES, signed=True)


def version_of(row: bytes) -> int:
    """The version that a row begins with."""
    return int.from_bytes(row[:VERSION_BYTES], signed=True)
