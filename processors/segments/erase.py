"""Erasures that a partition has not done yet in; the rows of their contacts deleted; pure.

As in identity, an erasure is repeated until the answer on `control` has come back, and a row says that it was done.
A contact's last version is kept beside its row's place: changes of its new beginning continue from there.
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
    """The erasures that this partition has not answered."""
    return [
        one
        for one in control.erasures.values()
        if f"{one.id}.{erasure.SEGMENTS}.{partition}" not in control.erasure_steps[one.id]
    ]


def erase(control: ControlState, state: PartitionState, partitions: int) -> None:
    """Rows go, redirects too; timers find no row and forget."""
    for one in awaited(control, state.partition):
        if state.get(TABLE, _mark(one)) is not None:
            continue
        for contact_id in one.contacts:
            if partition_of(contact_id, partitions) != state.partition:
                continue
            key = contact_id.encode()
            row = state.get(TABLE, key)
            if row is not None:
                # an unreadable row goes as well; later versions then count from 0
                with suppress(contact_state.UnreadableRowError):
                    last = contact_state.load(row).revision
                    state.put(TABLE, ERASED + key, contact_state.NO_DUE + str(last).encode())
            state.put(TABLE, key, None)
            state.put(TABLE, REBUILD + key, None)
        state.put(TABLE, _mark(one), contact_state.NO_DUE + b"1")


def answers(control: ControlState, state: PartitionState, now_ms: int) -> list[OutputRecord]:
    """Report the erasures of earlier steps, which are durable by now."""
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
