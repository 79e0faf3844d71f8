"""SPINE of segments. resolved, merges, absorbs in: changes and absorbs out; by time and new rules: changes out.

The definitions have to be complete before the first record: an empty ``ControlState`` says that all segments
are gone.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import orjson

from processors.runtime.stage import Record, Rows, Send, State
from processors.segments import state as rows_of
from processors.segments.partition import SCANNED, Partition
from processors.segments.plans import Plans
from processors.segments.timers import Timers
from processors.segments.unit import TABLE, Unit
from schemas import codec, topics
from schemas.control import ControlState

DUE_CHUNK = 500
SCAN_CHUNK, FOLLOW_CHUNK = 1000, 100
"""Rows to look at, and contacts to evaluate, between two groups of records."""


class SegmentsStage:
    """All three inputs, the timers and the rescans of a partition number share its rows."""

    app = topics.SEGMENTS_APP
    inputs = (topics.RESOLVED, topics.MERGES, topics.ABSORBS)
    tables = topics.TABLES[topics.SEGMENTS_APP]

    def __init__(self, control: ControlState, partitions: int) -> None:
        self._plans = Plans(control)
        self._partitions = partitions
        self._open: dict[int, Partition] = {}

    # --- causes

    def step(self, records: Sequence[Record], state: State, now_ms: int) -> list[Send]:
        unit, opened = self._unit(state, now_ms), self._open[state.partition]
        topic = records[0].topic
        for record in records:
            if not record.value:
                continue
            unit.at(opened.moment(record.timestamp_ms, now_ms))
            if topic == topics.RESOLVED.name:
                for event in codec.decode_events(record.value):
                    unit.event(event, record.timestamp_ms)
            elif topic == topics.MERGES.name:
                unit.merge(codec.decode_merge(record.value))
            else:
                unit.absorb(codec.decode_absorb(record.value), record.timestamp_ms)
        return unit.finish()

    def due(self, state: State, now_ms: int) -> list[Send]:
        unit, opened = self._unit(state, now_ms), self._open[state.partition]
        until_ms = opened.due_until(now_ms)
        unit.at(until_ms)
        for key in opened.timers.pop(until_ms, DUE_CHUNK):
            unit.due(key)
        return unit.finish()

    def next_due(self, partition: int) -> int | None:
        return self._open[partition].timers.next()

    def _unit(self, state: State, now_ms: int) -> Unit:
        self._plans.refresh()
        opened = self._open[state.partition]
        self._compare(opened)
        if opened.scanned is None and opened.cursor == SCANNED:
            # With the first contact that follows: plans may come back to what they were, the contact has to as well.
            state.put(TABLE, SCANNED, opened.not_scanned)
        return Unit(
            self._plans,
            opened.timers,
            state,
            partitions=self._partitions,
            now_ms=now_ms,
            doubt=opened.doubt(now_ms),
        )

    # --- new rules

    def has_work(self, partition: int) -> bool:
        """Whether there may be contacts that follow an old plan."""
        self._plans.refresh()
        opened = self._open[partition]
        self._compare(opened)
        return opened.scanned is None

    def idle(self, state: State, now_ms: int) -> list[Send]:
        """A chunk of the scan over all contacts; those that an event touches meanwhile follow at once."""
        unit = self._unit(state, now_ms)
        opened = self._open[state.partition]
        if opened.scanned is not None:
            return unit.finish()
        seen = followed = 0
        for key, row in islice(state.scan(TABLE, opened.cursor), SCAN_CHUNK):
            seen += 1
            opened.cursor = key
            followed += rows_of.plan_of(row) not in self._plans.digests and unit.follow(key, row)
            if followed == FOLLOW_CHUNK:
                break
        if seen < SCAN_CHUNK and followed < FOLLOW_CHUNK:
            opened.scanned = self._plans.digests
            state.put(TABLE, SCANNED, orjson.dumps({"done": True, "plans": self._plans.current()}))
            opened.has_followed = True
        return unit.finish()

    def _compare(self, opened: Partition) -> None:
        """Start over with the scan if contacts are about to follow other plans."""
        if opened.generation == self._plans.generation:
            return
        opened.generation = self._plans.generation
        opened.cursor = SCANNED
        if opened.scanned == self._plans.digests:
            opened.has_followed = True
            return
        known = self._plans.current() | self._plans.those(opened.scanned or ())
        opened.not_scanned = orjson.dumps({"done": False, "plans": known})
        opened.plans_changed |= opened.scanned is not None
        opened.scanned = None

    # --- partitions

    def restore(self, partition: int, rows: Callable[[str], Rows]) -> None:
        scanned: dict[str, Any] = {"done": False, "plans": {}}
        due: list[tuple[int, bytes]] = []
        is_new = True
        for key, row in rows(TABLE):
            is_new = False
            if key == SCANNED:
                scanned = orjson.loads(row)
            elif due_ms := rows_of.due_of(row):
                due.append((due_ms, key))
        self._plans.learn(scanned["plans"])
        digests = frozenset(digest.encode() for digest in scanned["plans"])
        self._open[partition] = Partition(Timers(due), digests if scanned["done"] else None, is_new=is_new)

    def revoke(self, partition: int) -> None:
        self._open.pop(partition, None)
