"""Segments: `resolved`, `merges`, `absorbs`, time, new rules and a backfill in; `changes`, `absorbs` out; pure.

Load all definitions before the first record: an empty ``ControlState`` means that every segment was deleted.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, Final

import orjson

from processors.backfill.queue import BackfillChunk, BackfillQueue, ContactRebuild, SegmentBackfill
from processors.membership import contact_state, coverage
from processors.membership.contact_state import Contact
from processors.membership.coverage import Coverage
from processors.membership.plans import Compiler, Plans
from processors.membership.timers import Timers
from processors.runtime import foreign
from processors.runtime.foreign import T
from processors.runtime.stage import InputRecord, OutputRecord, PartitionState, Rows
from processors.segments import erase, progress
from processors.segments.partition import COVERAGE, SCANNED, Partition, Signature
from processors.segments.unit import ERASED, REBUILD, TABLE, UnitOfWork
from schemas import topics
from schemas.control.control_state import ControlState
from schemas.records import codec
from schemas.topics import Topic

log = logging.getLogger(__name__)

DUE_CHUNK: Final = 500
"""Due contacts to evaluate between two groups of records."""
SCAN_CHUNK: Final = 1000
FOLLOW_CHUNK: Final = 100
"""Rows to look at, and contacts to evaluate, between two groups of records."""


class SegmentsStage:
    """Runs segments for a partition number: its inputs, timers, rescans and backfill share its rows."""

    app: ClassVar[str] = topics.SEGMENTS_APP
    inputs: ClassVar[tuple[Topic, ...]] = (topics.RESOLVED, topics.MERGES, topics.ABSORBS)
    tables: ClassVar[tuple[str, ...]] = topics.TABLES[topics.SEGMENTS_APP]

    def __init__(self, control: ControlState, partitions: int, queue: BackfillQueue | None = None) -> None:
        """Without a ``queue`` there is no backfill: a segment counts events from the moment the stage sees it."""
        self._control = control
        self._compiler = Compiler(control)
        self._partitions = partitions
        self._queue = queue
        self._open: dict[int, Partition] = {}

    # --- causes

    def process(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> list[OutputRecord]:
        erase.erase(self._control, state, self._partitions)
        unit, opened = self._unit(state, now_ms), self._open[state.partition]
        sends: list[OutputRecord] = []
        for record in records:
            if record.value:
                unit.at(opened.moment(record.timestamp_ms, now_ms))
                sends += self._take(unit, record, now_ms, state.received)
        return sends + self._finish(unit, opened)

    def _take(self, unit: UnitOfWork, record: InputRecord, now_ms: int, received: list[int]) -> list[OutputRecord]:
        """Applies a record; returns quarantine messages for items that name another tenant's contact.

        Adds the times of its events to ``received``.
        """
        erased = self._control.erased
        if record.topic == topics.RESOLVED.name:
            events, sends = self._admit(
                record, codec.decode_events(record.value), lambda e: codec.join_events([codec.encode_event(e)]), now_ms
            )
            for event in events:
                if not erased.covers(event):
                    unit.event(event, record.timestamp_ms)
                    received.append(event["received_ms"])
        elif record.topic == topics.MERGES.name:
            merges, sends = self._admit(record, [codec.decode_merge(record.value)], codec.encode_merge, now_ms)
            for merge in merges:
                if not erased.covers(merge):
                    unit.merge(merge)
        else:
            absorbs, sends = self._admit(record, [codec.decode_absorb(record.value)], codec.encode_absorb, now_ms)
            for absorb in absorbs:
                if not erased.covers(absorb):
                    absorb["events"] = [event for event in absorb["events"] if not erased.covers(event)]
                    unit.absorb(absorb, record.timestamp_ms)
        return sends

    def _admit(
        self, record: InputRecord, data: Sequence[T], encode: Callable[[T], bytes], now_ms: int
    ) -> tuple[list[T], list[OutputRecord]]:
        admitted, sends = foreign.admit(record, data, encode, partitions=self._partitions, now_ms=now_ms)
        return [datum for _, datum in admitted], sends

    def on_timer(self, state: PartitionState, now_ms: int) -> list[OutputRecord]:
        erase.erase(self._control, state, self._partitions)
        unit, opened = self._unit(state, now_ms), self._open[state.partition]
        until_ms = opened.due_until(now_ms)
        unit.at(until_ms)
        for key in opened.timers.pop(until_ms, DUE_CHUNK):
            unit.due(key)
        return self._finish(unit, opened)

    def next_timer(self, partition: int) -> int | None:
        return self._open[partition].timers.next()

    def _finish(self, unit: UnitOfWork, opened: Partition) -> list[OutputRecord]:
        sends = unit.finish()
        if opened.plans.coverage is not None and not unit.has_grown:
            opened.plans.coverage.dirty = False
        if self._queue is not None:
            for request in unit.requests:
                self._queue.ask(request)
        return sends

    def _unit(self, state: PartitionState, now_ms: int) -> UnitOfWork:
        opened = self._open[state.partition]
        self._compare(opened, state.partition)
        covered = opened.plans.coverage
        if covered is not None and covered.dirty:
            # Runs before any contact follows: contacts drop the conditions that the plan has dropped.
            state.put(TABLE, COVERAGE, orjson.dumps(covered.dump()))
        if opened.scanned is None and opened.cursor == SCANNED:
            # Runs with the first contact that follows: if a plan returns to an earlier form, its contacts must too.
            state.put(TABLE, SCANNED, opened.not_scanned)
        window = opened.replay_window(now_ms)
        unit = UnitOfWork(opened.plans, opened.timers, state, partitions=self._partitions, now_ms=now_ms, window=window)
        unit.has_erased = opened.has_erased or bool(self._control.erased)
        return unit

    # --- new rules

    def has_work(self, partition: int) -> bool:
        """Whether an erasure, scan, backfill or announcement waits."""
        opened = self._open[partition]
        self._compare(opened, partition)
        if erase.awaited(self._control, partition):
            return True
        if opened.scanned is None or (self._queue is not None and self._queue.has(partition)):
            return True
        return self._queue is not None and opened.announced_signature != _signature(opened)

    def on_idle(self, state: PartitionState, now_ms: int) -> list[OutputRecord]:
        """Processes a chunk of the backfill, or of the scan over all contacts; events update their contact at once."""
        if erase.awaited(self._control, state.partition):
            sends = erase.answers(self._control, state, now_ms)
            erase.erase(self._control, state, self._partitions)
            return sends  # a scan would still read the rows deleted just now
        sends = []
        unit = self._unit(state, now_ms)
        opened = self._open[state.partition]
        if self._queue is not None and self._queue.has(state.partition):
            sends += self._feed(unit, opened, self._queue.take(state.partition))
        elif opened.scanned is None:
            self._scan(unit, opened, state)
        sends += self._finish(unit, opened)
        return sends + self._announce(opened, state.partition)

    def _scan(self, unit: UnitOfWork, opened: Partition, state: PartitionState) -> None:
        seen = followed = 0
        for key, row in islice(state.scan(TABLE, opened.cursor), SCAN_CHUNK):
            seen += 1
            opened.cursor = key
            followed += contact_state.plan_of(row) not in opened.plans.digests and unit.follow(key, row)
            if followed == FOLLOW_CHUNK:
                break
        if seen < SCAN_CHUNK and followed < FOLLOW_CHUNK:
            opened.scanned = opened.plans.digests
            state.put(TABLE, SCANNED, orjson.dumps({"done": True, "plans": opened.plans.current()}))
            opened.has_followed = True

    def _feed(self, unit: UnitOfWork, opened: Partition, chunk: BackfillChunk) -> list[OutputRecord]:
        kept = [event for event in chunk.events if not self._control.erased.covers(event)]
        chunk = replace(chunk, events=kept)
        unit.seed(chunk)
        request = chunk.request
        if not isinstance(request, SegmentBackfill):
            return []
        counts = progress.counted(
            opened, request.partition, request.home, self._control, done=chunk.done, total=chunk.total
        )
        sends = list(counts)
        if chunk.is_last:
            opened.requested.discard(request.home)
            covered = opened.plans.coverage
            if covered is not None:
                covered.add(request.home, request.keeps)
                unit.has_grown = True
            self._ask(opened, request.partition)
        return sends

    def _announce(self, opened: Partition, partition: int) -> list[OutputRecord]:
        if self._queue is None:
            return []
        opened.announced_signature = _signature(opened)
        sends = [
            progress.announce(
                opened, partition, segment, state, opened.plans.of(segment.workspace, segment.environment)
            )
            for segment, state in progress.changed(opened, self._control)
        ]
        return sends + list(progress.forgotten(opened, partition, self._control))

    def _compare(self, opened: Partition, partition: int) -> None:
        """Restarts the scan if contacts must follow other plans, and requests the backfill that they need."""
        plans = opened.plans
        plans.refresh()
        if opened.compared == plans.version:
            return
        opened.compared = plans.version
        opened.cursor = SCANNED
        self._ask(opened, partition)
        if opened.scanned == plans.digests:
            opened.has_followed = True
            return
        followed_plans = plans.current() | plans.those(opened.scanned or ())
        opened.not_scanned = orjson.dumps({"done": False, "plans": followed_plans})
        opened.plans_changed |= opened.scanned is not None
        opened.scanned = None

    def _ask(self, opened: Partition, partition: int) -> None:
        """Requests a backfill. New events count from here on, so only events stored by now are missing."""
        covered = opened.plans.coverage
        if self._queue is None or covered is None:
            return
        for plan in opened.plans.homes():
            missing = covered.missing(plan)
            if not missing or plan.home in opened.requested:
                continue
            opened.requested.add(plan.home)
            names = set(missing)
            bounds = [condition.keep.ms for condition in missing.values()]
            self._queue.ask(
                SegmentBackfill(
                    partition=partition,
                    home=plan.home,
                    types=frozenset(t for t, some in plan.by_event.items() if any(c.id in names for c in some)),
                    within_ms=None if None in bounds else max(ms for ms in bounds if ms is not None),
                    keeps={name: condition.keep for name, condition in missing.items()},
                )
            )

    # --- partitions

    def on_assigned(self, partition: int, rows: Callable[[str], Rows]) -> None:
        scanned: dict[str, Any] = {"done": False, "plans": {}}
        due: list[tuple[int, bytes]] = []
        awaited: set[bytes] = set()
        covered, is_new, has_erased = Coverage(), True, False
        for key, row in rows(TABLE):
            is_new = False
            if key == SCANNED:
                scanned = progress.scan_of(row) or scanned
            elif key == COVERAGE:
                covered = coverage.load_row(row)
            elif key.startswith(ERASED):
                has_erased = True
                continue
            elif key.startswith(REBUILD):
                awaited.add(key.removeprefix(REBUILD))
            elif due_ms := contact_state.due_of(row):
                due.append((due_ms, key))
            if key in awaited:
                self._await_again(partition, key, row)
        plans = Plans(self._compiler, covered if self._queue is not None else None)
        plans.learn(scanned["plans"])
        digests = frozenset(digest.encode() for digest in scanned["plans"])
        opened = Partition(plans, Timers(due), digests if scanned["done"] else None, is_new=is_new)
        opened.has_erased = has_erased
        self._open[partition] = opened

    def _await_again(self, partition: int, key: bytes, stored: bytes) -> None:
        try:
            contact_id, row = key.decode(), contact_state.load(stored)
        except ValueError:
            log.error("the row of contact %.100r cannot be read; its history is not awaited", key)  # noqa: TRY400
            return
        if self._queue is not None and isinstance(row, Contact) and row.pending:
            home = (row.workspace, row.environment)
            members = dict(row.pending)
            self._queue.ask(ContactRebuild(partition=partition, home=home, contact_id=contact_id, members=members))

    def on_revoked(self, partition: int) -> None:
        self._open.pop(partition, None)
        if self._queue is not None:
            self._queue.forget(partition)


def _signature(opened: Partition) -> Signature:
    disabled = sum(len(plan.disabled) for plan in opened.plans.homes())
    return opened.plans.version, opened.scanned is None, disabled
