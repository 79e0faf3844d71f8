"""Rows by key, on disk and of the present step, in; the notifications of contacts and memberships so far out; pure.

Rows: ``c/`` the last snapshot's digest and refused consents, ``i/`` the identifiers, ``v/`` the version of a contact,
``m/`` a membership. While its environment has no endpoint, a contact has one row, ``u/``: its last profile, unread. The
other rows follow from it when a message needs them.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple

from schemas.records.records import Change

CONTACT_PREFIXES: Final = (b"c/", b"i/", b"v/", b"u/")
"""Of rows with a contact's id as the rest of their key."""
MEMBERSHIP_PREFIX: Final = b"m/"
"""Of rows with the ids of a contact and of a segment as the rest of their key, with a slash between."""
_VERSION_BYTES: Final = 8
_UNREAD: Final = Struct(">qq?")
"""What an unread row begins with: version, time of the profile (epoch ms), whether the contact has merged."""


class UnreadProfile(NamedTuple):
    """A contact's last profile; the one before the merge, if the contact has merged. It may be empty."""

    version: int
    at_ms: int
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
        """Keeps a contact's profile, or that it has merged; ignores a change that is older than the kept one."""
        contact_id, at_ms, profile = change["contact_id"], change["at_ms"], change["profile"] or b""
        before = self.unread(contact_id)
        if before is not None and change["version"] < before.version:
            return
        is_merged = bool(change.get("merged_into"))
        if not is_merged:
            self.writes.pop(b"i/" + contact_id.encode(), None)  # from here on, one of this step is newer
        elif before is not None:  # messages still name the contact by its identifiers
            at_ms, profile = before.at_ms, before.profile
        self.writes[_unread_key(contact_id)] = _UNREAD.pack(change["version"], at_ms, is_merged) + profile

    def take_unread(self, contact_id: str) -> UnreadProfile | None:
        """Returns what was kept of a contact, and deletes it."""
        unread = self.unread(contact_id)
        if unread is not None:
            self.writes[_unread_key(contact_id)] = None
        return unread

    def unread(self, contact_id: str) -> UnreadProfile | None:
        """Returns what was kept of a contact."""
        row = self.read(_unread_key(contact_id))
        if row is None:
            return None
        version, at_ms, is_merged = _UNREAD.unpack_from(row)
        return UnreadProfile(version, at_ms, is_merged, row[_UNREAD.size :])

    def drop_contacts(self, contact_ids: Collection[str]) -> None:
        """Drops new rows of contacts whose rows on disk were deleted."""
        dropped = {contact_id.encode() for contact_id in contact_ids}
        for key in [key for key in self.writes if key[2:].partition(b"/")[0] in dropped]:
            del self.writes[key]


def _unread_key(contact_id: str) -> bytes:
    return b"u/" + contact_id.encode()


def version_row(version: int) -> bytes:
    return version.to_bytes(_VERSION_BYTES, signed=True)


def version_of(row: bytes) -> int:
    """The version that a row begins with."""
    return int.from_bytes(row[:_VERSION_BYTES], signed=True)
