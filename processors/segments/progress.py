"""A partition's plans and state in; records of its progress with each segment out; pure."""

import logging
from collections.abc import Iterator
from typing import Any

import orjson

from processors.membership.conditions import Plan, Tenant
from processors.runtime.stage import OutputRecord
from processors.segments.partition import Partition
from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import ControlState, Segment, SegmentProgress

log = logging.getLogger(__name__)


def changed(opened: Partition, definitions: ControlState) -> Iterator[tuple[Segment, str]]:
    """Segments whose state differs from the last announced one, or was never announced."""
    for plan in opened.plans.homes():
        for segment in definitions.segments[plan.home].values():
            state = _state(opened, plan, segment.id)
            if state and opened.announced.get((segment.workspace, segment.id)) != _announced(segment, state, plan):
                yield segment, state


def _announced(segment: Segment, state: str, plan: Plan) -> tuple[int, str, str]:
    return segment.version, plan.lists.get(segment.id, ""), state


def _state(opened: Partition, plan: Plan, segment_id: str) -> str:
    """Returns the segment's state; empty before the first report."""
    if segment_id not in plan.versions:
        return ""
    if segment_id in plan.disabled:
        return "disabled"
    if segment_id in plan.pending:
        return "backfilling"
    return "live" if opened.scanned is not None else ""


def announce(opened: Partition, partition: int, segment: Segment, state: str, plan: Plan) -> OutputRecord:
    """Returns the record of the state, and marks it as announced."""
    opened.announced[segment.workspace, segment.id] = _announced(segment, state, plan)
    lists = plan.lists.get(segment.id, "")
    *rule, done, total = opened.counted.get((segment.workspace, segment.id), (segment.version, lists, 0, 0))
    if rule != [segment.version, lists]:
        done = total = 0
    record = SegmentProgress(
        id=f"{segment.id}.{partition}",
        workspace=segment.workspace,
        created_ms=segment.updated_ms,
        segment=segment.id,
        partition=partition,
        version=segment.version,
        lists=lists,
        state=state,
        done=done,
        total=total,
        reason=plan.disabled.get(segment.id, ""),
    )
    return OutputRecord(topics.CONTROL.name, 0, *control_state.encode("progress", record))


def counted(
    opened: Partition, partition: int, home: Tenant, definitions: ControlState, *, done: int, total: int
) -> Iterator[OutputRecord]:
    """The progress of the backfill of a tenant's pending segments."""
    plan = opened.plans.of(*home)
    for segment in definitions.segments[home].values():
        if segment.id in plan.pending:
            lists = plan.lists.get(segment.id, "")
            opened.counted[segment.workspace, segment.id] = (segment.version, lists, done, total)
            yield announce(opened, partition, segment, "backfilling", plan)


def forgotten(opened: Partition, partition: int, definitions: ControlState) -> Iterator[OutputRecord]:
    """Forgets announced states of removed segments."""
    alive = {(s.workspace, s.id) for segments in definitions.segments.values() for s in segments.values()}
    for workspace, segment in [announced for announced in opened.announced if announced not in alive]:
        del opened.announced[workspace, segment]
        opened.counted.pop((workspace, segment), None)
        record = SegmentProgress(
            id=f"{segment}.{partition}",
            workspace=workspace,
            created_ms=0,
            deleted=True,
            segment=segment,
            partition=partition,
            version=0,
            state="live",
        )
        yield OutputRecord(topics.CONTROL.name, 0, *control_state.encode("progress", record))


def scan_of(row: bytes) -> dict[str, Any]:
    """The saved position of the scan after new rules; empty if unreadable: then the scan starts over."""
    try:
        scan: dict[str, Any] = orjson.loads(row)
        if isinstance(scan["done"], bool) and isinstance(scan["plans"], dict):
            return scan
    except (ValueError, KeyError, TypeError):
        pass
    log.error("the progress of a scan cannot be read; it starts over")
    return {}
