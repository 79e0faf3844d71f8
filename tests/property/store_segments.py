"""What lies around the stage in its world: the rows of all partitions, and a reader of `changes`."""

from collections import defaultdict
from dataclasses import dataclass, field

from processors.runtime.stage import PartitionState, Rows
from processors.segments.unit import TABLE
from schemas.caches.recent_rows import Read
from schemas.records import codec
from schemas.records.records import Change


@dataclass
class SegmentTables:
    """The tables of all partitions."""

    rows: dict[int, dict[bytes, bytes]] = field(default_factory=lambda: defaultdict(dict))

    def reader(self, table: str, partition: int) -> Read:
        assert table == TABLE
        return self.rows[partition].get

    def scan(self, table: str, partition: int, after: bytes | None = None) -> Rows:
        assert table == TABLE
        return iter([(k, v) for k, v in sorted(self.rows[partition].items()) if after is None or k > after])

    def write(self, state: PartitionState) -> None:
        for key, value in state.writes.get(TABLE, {}).items():
            if value is None:
                self.rows[state.partition].pop(key, None)
            else:
                self.rows[state.partition][key] = value


@dataclass
class Sink:
    """What a reader of `changes` knows: the newest version of everything."""

    changes: list[Change] = field(default_factory=list)
    profiles: dict[str, tuple[int, Change]] = field(default_factory=dict)
    memberships: dict[tuple[str, str], tuple[int, bool]] = field(default_factory=dict)

    def take(self, value: bytes) -> None:
        for change in codec.decode_changes(value):
            self.changes.append(change)
            contact, version = change["contact_id"], change["version"]
            if change["kind"] == "profile" and version > self.profiles.get(contact, (0, change))[0]:
                self.profiles[contact] = version, change
            if change["kind"] == "membership":
                key = contact, change["segment_id"]
                assert version != self.memberships.get(key, (0, False))[0]
                if version > self.memberships.get(key, (0, False))[0]:
                    self.memberships[key] = version, change["member"]

    @property
    def members(self) -> set[tuple[str, str]]:
        return {key for key, (_, member) in self.memberships.items() if member}
