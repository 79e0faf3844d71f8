"""Identity: `events` in, `resolved` and `links` out; `links` in, `merges` out; `merges` in, its map updated."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from processors.identity import ephemeral_ids, erase, guard, resolve, resolver
from processors.identity.forward import forward_event
from processors.identity.guard import Limits
from processors.identity.seen_events import SeenEvents
from processors.runtime import foreign
from processors.runtime.stage import InputRecord, OutputRecord, PartitionState, Rows
from schemas import topics
from schemas.control.control_state import ControlState
from schemas.records import codec, outcomes
from schemas.records.identity import partition_of
from schemas.records.records import Change, Event, Link
from schemas.times import DAY_MS
from schemas.topics import Topic

MAX_RECORD: Final = 800_000
"""Bytes of one outgoing record, well below the broker's limit."""
REMEMBER_MS: Final = 7 * DAY_MS
"""How long, at least, identity remembers an event to recognise its copies."""


class IdentityStage:
    """Runs identity for a partition number: its three inputs share tables; events do not read the graph.

    Load all workspaces' settings before the first link: an empty ``ControlState`` means the defaults.
    """

    app: ClassVar[str] = topics.IDENTITY_APP
    inputs: ClassVar[tuple[Topic, ...]] = (topics.EVENTS, topics.LINKS, topics.MERGES)
    tables: ClassVar[tuple[str, ...]] = topics.TABLES[topics.IDENTITY_APP]

    def __init__(self, control: ControlState, partitions: int, remember_ms: int = REMEMBER_MS) -> None:
        self._control = control
        self._partitions = partitions
        self._seen = SeenEvents(remember_ms)

    def process(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> list[OutputRecord]:
        # first: the next events may belong to the contact after its erasure
        sends = erase.erase(self._control, state, self._partitions)
        self._seen.at(state, now_ms)
        match records[0].topic:
            case topics.EVENTS.name:
                return sends + self._events(records, state, now_ms)
            case topics.LINKS.name:
                return sends + self._links(records, state, now_ms)
            case _:
                return sends + self._merges(records, state, now_ms)

    def has_work(self, partition: int) -> bool:
        return self._seen.has_old(partition) or bool(erase.awaited(self._control, partition))

    def on_idle(self, state: PartitionState, now_ms: int) -> list[OutputRecord]:
        """Runs due erasures, reports finished ones and forgets old events."""
        self._seen.at(state, now_ms)
        if self._seen.has_old(state.partition):
            self._seen.forget_old(state)
        sends = erase.answers(self._control, state, now_ms)
        return sends + erase.erase(self._control, state, self._partitions)

    def _events(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> list[OutputRecord]:
        sends: list[OutputRecord] = []
        resolved: dict[int, list[bytes]] = defaultdict(list)
        links: dict[str, list[Link]] = defaultdict(list)
        passed: list[Change] = []
        settings: dict[str, tuple[frozenset[str], int]] = {}
        erased = self._control.erased
        for record in records:
            events, foreign_events = foreign.admit(
                record,
                codec.decode_placed_events(record.value),
                lambda event: codec.join_events([codec.encode_event(event)]),
                partitions=self._partitions,
                now_ms=now_ms,
            )
            sends += foreign_events
            for index, event in events:
                if erased.covers(event):
                    passed.append(outcomes.suppressed(event, (record.partition, record.offset, index)))
                    continue
                self._seen.mark(event, record.offset, index, state)
                if not event["repeat"]:  # a copy adds no links to those of the first
                    workspace = event["workspace"]
                    if workspace not in settings:
                        settings[workspace] = self._link_settings(workspace)
                    apart, at_once = settings[workspace]
                    if some := resolve.new_links(event, state, apart=apart, erased=erased, at_once=at_once):
                        links[f"{workspace}/{event['environment']}"] += some
                target = self._resolve(event, state)
                event["origin_partition"] = record.partition
                event["origin_offset"] = record.offset
                event["origin_index"] = index
                resolved[target].append(forward_event(event, record.value))
                state.received.append(event["received_ms"])
        sends += [
            OutputRecord(topics.RESOLVED.name, partition, None, value)
            for partition, items in resolved.items()
            for value in _records(items)
        ]
        sends += [
            OutputRecord(
                topics.LINKS.name,
                partition_of(key, self._partitions),
                key.encode(),
                codec.encode_links(some[start : start + resolver.MAX_LINKS]),
            )
            for key, some in links.items()
            for start in range(0, len(some), resolver.MAX_LINKS)
        ]
        if passed:
            sends.append(OutputRecord(topics.CHANGES.name, state.partition, None, codec.encode_changes(passed)))
        return sends

    def _link_settings(self, workspace: str) -> tuple[frozenset[str], int]:
        """Returns the identifier types that link no contacts, and how many anonymous ids of a sender pass at once."""
        return self._control.apart(workspace), ephemeral_ids.at_once(self._limits(workspace))

    def _resolve(self, event: Event, state: PartitionState) -> int:
        """Sets the event's contact; returns the partition of the contact."""
        if not event["contact_id"]:
            return state.partition
        event["contact_id"] = resolve.winner(state, event["contact_id"])
        return partition_of(event["contact_id"], self._partitions)

    def _links(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> list[OutputRecord]:
        erased = self._control.erased
        batches: list[tuple[int, list[Link]]] = []
        sends: list[OutputRecord] = []
        for record in records:
            links, foreign_links = foreign.admit(
                record,
                codec.decode_links(record.value),
                lambda link: codec.encode_links([link]),
                partitions=self._partitions,
                now_ms=now_ms,
            )
            sends += foreign_links
            batches.append((record.offset, [link for _, link in links if not erased.covers(link)]))
        merges, refused = resolver.resolve(batches, state, self._limits)
        sends += [
            OutputRecord(
                topics.MERGES.name,
                partition_of(merge["loser"], self._partitions),
                merge["loser"].encode(),
                codec.encode_merge(merge),
            )
            for merge in merges
        ]
        changes: dict[int, list[Change]] = defaultdict(list)
        for change in refused:
            changes[partition_of(change["contact_id"], self._partitions)].append(change)
        sends += [OutputRecord(topics.CHANGES.name, p, None, codec.encode_changes(some)) for p, some in changes.items()]
        return sends

    def _limits(self, workspace: str) -> Limits:
        settings = self._control.workspaces.get(workspace)
        return guard.DEFAULT if settings is None else Limits(settings.limits)

    def _merges(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> list[OutputRecord]:
        sends: list[OutputRecord] = []
        for record in records:
            if not record.value:
                continue
            merges, foreign_merges = foreign.admit(
                record,
                [codec.decode_merge(record.value)],
                codec.encode_merge,
                partitions=self._partitions,
                now_ms=now_ms,
            )
            sends += foreign_merges
            for _, merge in merges:
                if not self._control.erased.covers(merge):
                    resolve.learn(state, merge)
        return sends

    def on_timer(self, state: PartitionState, now_ms: int) -> list[OutputRecord]:
        return []

    def next_timer(self, partition: int) -> int | None:
        return None

    def on_assigned(self, partition: int, rows: Callable[[str], Rows]) -> None:
        """Restores the span of the oldest seen event of the partition."""
        self._seen.restore(partition, rows(topics.IDENTITY_SEEN))

    def on_revoked(self, partition: int) -> None:
        self._seen.revoke(partition)


def _records(items: list[bytes]) -> list[bytes]:
    """Packs encoded events into few records of at most ``MAX_RECORD`` bytes."""
    records, start, size = [], 0, 0
    for index, item in enumerate(items):
        if size and size + len(item) > MAX_RECORD:
            records.append(codec.join_events(items[start:index]))
            start, size = index, 0
        size += len(item)
    records.append(codec.join_events(items[start:]))
    return records
