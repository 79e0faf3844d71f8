"""Pending erasures of a partition in; the deletions of their contacts' rows out; pure.

As in identity, an erasure repeats until the partition has read its own confirmation on `control`; a marker row makes
the repeat a no-op. A contact's last version stays beside its row's place: later changes continue from there.
"""

from contextlib import suppress

from processors.membership import contact_state
from processors.runtime.stage import OutputRecord, PartitionState
from processors.segments.unit import ERASED, REBUILD, TABLE
from schemas import topics
from schemas.control import control_state, erasure
from schemas.control.control_state import ControlState, Erasure
from schemas.records.identity import partition_of


def awaited(control: ControlState, partition: int) -> list[Erasure]:
    """The erasures that this partition has not confirmed."""
    return [
        one
        for one in control.erasures.values()
        if f"{one.id}.{erasure.SEGMENTS}.{partition}" not in control.erasure_steps[one.id]
    ]


def erase(control: ControlState, state: PartitionState, partitions: int) -> None:
    """Deletes rows and redirects; timers without a row end."""
    for one in awaited(control, state.partition):
        if state.get(TABLE, _mark(one)) is not None:
            continue
        for contact_id in one.contacts:
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
        state.put(TABLE, _mark(one), contact_state.NO_DUE + b"1")


def answers(control: ControlState, state: PartitionState, now_ms: int) -> list[OutputRecord]:
    """Reports the erasures of earlier steps: their deletions are durable."""
    sends = []
    for one in awaited(control, state.partition):
        if state.get(TABLE, _mark(one)) is not None:
            record = control_state.encode(
                "erasure_step", erasure.step_of(one, erasure.SEGMENTS, state.partition, now_ms)
            )
            control.apply(*record)
            sends.append(OutputRecord(topics.CONTROL.name, 0, *record))
    return sends


def _mark(one: Erasure) -> bytes:
    return ERASED + one.id.encode()
