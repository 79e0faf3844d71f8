"""Pending erasures of a partition in; the deletions of their contacts' rows out; pure.

As in identity, an erasure repeats until the partition has read its own confirmation on `control`; a marker row makes
the repeat a no-op. A contact's last version stays beside its row's place: later changes continue from there.
"""

from contextlib import suppress

from processors.membership import contact_state
from processors.runtime.stage import OutputRecord, PartitionState
from processors.segments.unit import ERASED, REBUILD, TABLE
from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import ControlState, Erasure
from schemas.control.erasure import SEGMENTS, step_of
from schemas.records.identity import partition_of


def awaited(control: ControlState, partition: int) -> list[Erasure]:
    """The erasures that this partition has not confirmed."""
    return [
        erasure
        for erasure in control.erasures.values()
        if f"{erasure.id}.{SEGMENTS}.{partition}" not in control.erasure_steps[erasure.id]
    ]


def erase(control: ControlState, state: PartitionState, partitions: int) -> None:
    """Deletes rows and redirects; timers without a row end."""
    for erasure in awaited(control, state.partition):
        if state.get(TABLE, _mark(erasure)) is not None:
            continue
        for contact_id in erasure.contacts:
            if partition_of(contact_id, partitions) != state.partition:
                continue
            key = contact_id.encode()
            row = state.get(TABLE, key)
            if row is not None:
                # this deletes an unreadable row too; later versions then count from 0
                with suppress(contact_state.UnreadableRowError):
                    last = contact_state.load(row).revision
                    state.put(TABLE, ERASED + key, contact_state.NO_DUE + str(last).encode())
            state.put(TABLE, key, None)
            state.put(TABLE, REBUILD + key, None)
        state.put(TABLE, _mark(erasure), contact_state.NO_DUE + b"1")


def answers(control: ControlState, state: PartitionState, now_ms: int) -> list[OutputRecord]:
    """Reports the erasures of earlier steps: their deletions are durable."""
    sends = []
    for erasure in awaited(control, state.partition):
        if state.get(TABLE, _mark(erasure)) is not None:
            record = control_state.encode("erasure_step", step_of(erasure, SEGMENTS, state.partition, now_ms))
            control.apply(*record)
            sends.append(OutputRecord(topics.CONTROL.name, 0, *record))
    return sends


def _mark(erasure: Erasure) -> bytes:
    return ERASED + erasure.id.encode()
