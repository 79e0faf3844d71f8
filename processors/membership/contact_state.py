"""A row of the `states` table in, a contact or a redirect out, and back; two contacts joined into one.

A row is 8 bytes of due time (epoch ms, big-endian, 0: none), so that timers are found without reading
further, and the JSON of ``Contact`` or ``Redirect``, plan digest first.

The learnt part of a contact (``Contact.learnt``) is a join-semilattice: any order, repetition or grouping of events and
joins gives the same. Memberships and due times are not joined; they follow from it. The time of the last change is
the one exception: whether an event changed the contact depends on the order of arrival.
"""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from processors.membership.entries import Entries, newest, write
from schemas.records import identity
from schemas.records.records import Identifier
from schemas.rules import windows
from schemas.rules.windows import Retention, Series

NO_DUE: Final = bytes(8)
MAX_ROW: Final = 1_000_000
"""Bytes; a row, and with it the state in an absorb, has to fit into one Kafka record."""
VERSIONS_PER_MS: Final = 1024


class Versioned:
    """Rows have the version of their last emitted change."""

    __slots__ = ("revision",)
    revision: int

    def next_version(self, now_ms: int) -> int:
        """Returns a version greater than all earlier ones, even if a crash kept them out of the state.

        So it follows the clock, and not the number of changes.
        """
        self.revision = max(self.revision + 1, now_ms * VERSIONS_PER_MS)
        return self.revision


_ENTRIES: Final = ("addresses", "standing", "attributes", "consents", "devices")
"""Parts of a contact that the last writer decides, entry by entry."""
_LEARNT: Final = ("created", "updated", "seen", "identifiers", *_ENTRIES, "counts")


class Contact(Versioned):
    """The state of one contact; changed in place."""

    __slots__ = (
        "addresses",
        "attributes",
        "consents",
        "counts",
        "created",
        "devices",
        "dues",
        "environment",
        "foreign",
        "identifiers",
        "members",
        "merge_version",
        "pending",
        "plan",
        "seen",
        "standing",
        "updated",
        "workspace",
    )

    def __init__(self, workspace: str, environment: str) -> None:
        self.workspace = workspace
        self.environment = environment
        self.plan = ""
        """Digest of the plan that memberships and due times follow from."""
        self.revision = 0
        self.merge_version = 0
        self.created = 0
        self.updated = 0
        self.seen = 0
        self.identifiers: dict[str, dict[str, list[Any]]] = {}
        """Type, value -> ``[time, event id]`` of the first event that had it."""
        self.standing: Entries = {}
        """External ids that calls named together: true for the present id, false for an earlier one."""
        self.addresses: Entries = {}
        """``type:value`` of e-mails and phones -> time of the last event that had it."""
        self.attributes: Entries = {}
        self.consents: Entries = {}
        self.devices: Entries = {}
        self.counts: dict[str, Series] = {}
        self.members: dict[str, list[int]] = {}
        """Segment id -> ``[since, segment version]``."""
        self.dues: dict[str, int] = {}
        """Segment id -> the time at which its membership may change without an event."""
        self.foreign: dict[str, int] = {}
        """Own contact ids that a split took away, and its version: their events may still come here."""
        self.pending: dict[str, Identifier] = {}
        """Own contact ids, and their identifiers, whose history has to be applied before any change is emitted."""

    @property
    def due(self) -> int:
        """0: never."""
        return min(self.dues.values()) if self.dues else 0

    @property
    def is_identified(self) -> bool:
        return any(map(identity.is_known, self.identifiers))

    @property
    def is_empty(self) -> bool:
        """Whether no event has been applied yet."""
        return not (self.created or self.identifiers)

    @property
    def is_blank(self) -> bool:
        """Whether the contact has no state that a row would have to keep."""
        return self.is_empty and not (self.members or self.dues or self.counts or self.attributes)

    def learnt(self) -> dict[str, Any]:
        """Returns the part of the state that ``join`` joins."""
        learnt: dict[str, Any] = {
            "t": [self.created, self.updated, self.seen],
            "i": self.identifiers,
            "a": self.attributes,
            "s": self.consents,
            "d": self.devices,
            "c": self.counts,
        }
        if self.addresses:
            learnt["l"] = self.addresses
        if self.standing:
            learnt["g"] = self.standing
        return learnt

    def forget(self) -> None:
        """Forget all events; emitted memberships and versions stay."""
        blank = Contact(self.workspace, self.environment)
        for name in _LEARNT:
            setattr(self, name, getattr(blank, name))

    def payload(self) -> bytes:
        """The state that a loser hands to its winner."""
        home = {"w": self.workspace, "e": self.environment}
        return orjson.dumps({**home, "r": self.revision, "m": self.members, **self.learnt()})


class Redirect(Versioned):
    """The row of a contact that was merged into another."""

    __slots__ = ("environment", "version", "winner", "workspace")

    def __init__(self, workspace: str, environment: str, winner: str, version: int, revision: int) -> None:
        self.workspace = workspace
        self.environment = environment
        self.winner = winner
        self.version = version
        self.revision = revision


Row = Contact | Redirect


def due_of(row: bytes) -> int:
    return int.from_bytes(row[:8])


def plan_of(row: bytes) -> bytes:
    """The digest in a contact's row, without reading the rest; something else for other rows."""
    return row[14 : row.find(b'"', 14)]


class UnreadableRowError(ValueError):
    """The bytes are not a row of this version."""


def load(row: bytes) -> Row:
    """Raises ``UnreadableRowError``."""
    return load_payload(row[8:])


def load_payload(payload: bytes) -> Row:
    """Raises ``UnreadableRowError``."""
    try:
        return _row_of(orjson.loads(payload))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableRowError(f"not a contact's row: {error!r}") from error


def _row_of(fields: dict[str, Any]) -> Row:
    if "x" in fields:
        winner, version = fields["x"]
        return Redirect(fields["w"], fields["e"], winner, version, fields["r"])
    contact = Contact(fields["w"], fields["e"])
    contact.plan = fields.get("p", "")
    contact.revision = fields["r"]
    contact.merge_version = fields.get("v", 0)
    contact.created, contact.updated, contact.seen = fields["t"]
    contact.identifiers = fields["i"]
    contact.standing = fields.get("g") or {}
    contact.addresses = fields.get("l") or {}
    contact.attributes = fields["a"]
    contact.consents = fields["s"]
    contact.devices = fields["d"]
    contact.counts = fields["c"]
    contact.members = fields.get("m") or {}
    contact.dues = fields.get("n") or {}
    contact.foreign = fields.get("f") or {}
    contact.pending = fields.get("q") or {}
    return contact


def dump(row: Row) -> bytes:
    if isinstance(row, Redirect):
        redirect = {"w": row.workspace, "e": row.environment, "r": row.revision, "x": [row.winner, row.version]}
        return NO_DUE + orjson.dumps(redirect)
    fields = {
        "p": row.plan,
        "w": row.workspace,
        "e": row.environment,
        "r": row.revision,
        "v": row.merge_version,
        **row.learnt(),
        "m": row.members,
        "n": row.dues,
    }
    if row.foreign:
        fields["f"] = row.foreign
    if row.pending:
        fields["q"] = row.pending
    return row.due.to_bytes(8) + orjson.dumps(fields)


def join(into: Contact, other: Contact) -> None:
    """Join the learnt part of ``other`` into ``into``. The caller decides which counts to keep."""
    created = [c for c in (into.created, other.created) if c]
    into.created = min(created, default=0)
    into.updated = max(into.updated, other.updated)
    into.seen = max(into.seen, other.seen)
    into.revision = max(into.revision, other.revision)
    for kind, values in other.identifiers.items():
        for value, since in values.items():
            identify(into, kind, value, *since)
    for name in _ENTRIES:
        mine: Entries = getattr(into, name)
        for key, stamped in getattr(other, name).items():
            write(mine, key, stamped)
    for condition, series in other.counts.items():
        mine_too = into.counts.get(condition)
        into.counts[condition] = series if mine_too is None else windows.union(mine_too, series)


def identify(contact: Contact, kind: str, value: str, time_ms: int, event_id: str) -> bool:
    """Add an identifier; False if it was known. A contact id is not added: it would only name itself."""
    if kind == identity.CONTACT_ID:
        return False
    values = contact.identifiers.setdefault(kind, {})
    since, first = values.get(value, (time_ms, event_id))
    is_new = value not in values
    values[value] = [*min((since, first), (time_ms, event_id))]
    return is_new or [since, first] != values[value]


def shrink(contact: Contact) -> list[str]:
    """Drops the oldest attributes, then events, until a contact fits into a row; returns the attributes' names."""
    gone = []
    while len(dump(contact)) > MAX_ROW:
        if contact.attributes:
            gone += newest(contact.attributes, len(contact.attributes) // 2)
            continue
        contact.counts = {c: [column[1::2] for column in series] for c, series in contact.counts.items()}
    return gone


def prune(contact: Contact, keeps: dict[str, Retention], conditions: Iterable[str], now_ms: int) -> None:
    """Drop events that can never count again, and series that have none left."""
    for condition in conditions:
        series = contact.counts.get(condition)
        if series is None:
            continue
        if condition in keeps:
            windows.prune(series, keeps[condition], now_ms)
        if not series[0]:
            del contact.counts[condition]
