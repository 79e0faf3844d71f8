"""Erasures on `control` in; deliveries and notification state of their contacts deleted; the confirmation out.

It begins once identity and segments have answered: nothing of before is said any more, and what was sent until then
is passed over by its time.
"""

import asyncio

from schemas import topics
from schemas.control import control_state, erasure
from schemas.control.control_state import ControlState
from schemas.control.definitions import Erasure
from schemas.service.clock import now_ms
from sinks.webhooks.delivery_log import DeliveryLog, LogRow
from sinks.webhooks.store import Store

_LOOK_S = 0.1


async def erasing(known: ControlState, store: Store, delivery_log: DeliveryLog, partitions: int) -> None:
    """For ever."""
    while True:
        for one in [e for e in known.erasures.values() if _is_due(known, e, partitions)]:
            # the disk follows `deliveries`: the row goes when its tombstone comes back
            found = store.of_contacts(frozenset(one.contacts), now_ms())
            await delivery_log.write([row for delivery in found for row in delivery_log.forgotten(delivery)])
            store.unlearn(one.contacts)
            key, value = control_state.encode("erasure_step", erasure.step_of(one, erasure.WEBHOOKS, 0, now_ms()))
            await delivery_log.write([LogRow(topics.CONTROL, key, value, 0)])
            known.apply(key, value)
        await asyncio.sleep(_LOOK_S)


def _is_due(known: ControlState, one: Erasure, partitions: int) -> bool:
    steps = list(known.erasure_steps[one.id].values())
    if erasure.done_ms(steps, erasure.WEBHOOKS, partitions) is not None:
        return False
    return all(erasure.done_ms(steps, store, partitions) is not None for store in (erasure.IDENTITY, erasure.SEGMENTS))
