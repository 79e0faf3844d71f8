"""Rows by key, on disk and of the present step, in; the notifications of contacts and memberships so far out; pure.

Rows: ``c/`` the last snapshot's digest and refused consents, ``i/`` the identifiers, ``v/`` the version of a contact,
``m/`` a membership. While no endpoint could receive its messages, a contact has one row, ``r/``: its last profile as it
came. The other rows follow from it when a message needs them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.records.records import Change

_VERSION = 8
"""Bytes of a version in a row."""
_MERGED, _OWN = b"\x01", b"\x00"


@dataclass(slots=True)
class NotificationState:
    """``get`` reads durable rows, ``writes`` holds new rows: ``None`` deletes one."""

    get: Callable[[bytes], bytes | None]
    writes: dict[bytes, bytes | None] = field(default_factory=dict)

    def read(self, key: bytes) -> bytes | None:
        return self.writes[key] if key in self.writes else self.get(key)

    def set_aside(self, change: Change) -> None:
        """Keeps a profile unread; one that comes late does not replace a newer one."""
        key = b"r/" + change["contact_id"].encode()
        before = self.read(key)
        if before is None or change["version"] >= version_of(before):
            form = _MERGED if change.get("merged_into") else _OWN
            self.writes[key] = version_row(change["version"]) + form + (change["profile"] or b"")

    def take_aside(self, contact_id: str) -> "tuple[int, bytes | None] | None":
        """Returns version and profile of a contact that was set aside, and deletes the row; ``None`` without one.

        The profile is ``None`` if the contact merged into another.
        """
        key = b"r/" + contact_id.encode()
        row = self.read(key)
        if row is None:
            return None
        self.writes[key] = None
        is_merged = row[_VERSION : _VERSION + 1] == _MERGED
        return version_of(row), None if is_merged else row[_VERSION + 1 :]


def version_row(version: int) -> bytes:
    return version.to_bytes(_VERSION, signed=True)


def version_of(row: bytes) -> int:
    """The version that a row begins with."""
    return int.from_bytes(row[:_VERSION], signed=True)
