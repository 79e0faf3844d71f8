"""Erasures on `control` in; the deletion of their contacts' deliveries and notification state, and a confirmation, out.

It starts after identity and segments have confirmed: they emit no earlier data any more, and the sender skips earlier
deliveries by their time.
"""

import asyncio

from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import ControlState
from schemas.control.definitions import Erasure
from schemas.control.erasure import IDENTITY, SEGMENTS, WEBHOOKS, done_ms, step_of
from schemas.service.clock import now_ms
from schemas.settings import Settings
from sinks.delivery.lease import share_of
from sinks.webhooks.delivery_log import DeliveryLog, LogRow
from sinks.webhooks.notification_state import NotificationState
from sinks.webhooks.store import Store

_LOOK_S = 0.1


async def erasing(control: ControlState, store: Store, delivery_log: DeliveryLog, settings: Settings) -> None:
    """Runs for ever. Each share confirms for itself; the erasure waits for share 0, which confirms last."""
    share = share_of(settings)
    while True:
        for erasure in [e for e in control.erasures.values() if _is_due(control, e, settings)]:
            # the disk follows `deliveries`: the tombstone deletes the row when the sender reads it back
            deliveries = store.of_contacts(frozenset(erasure.contacts), now_ms())
            await delivery_log.write([row for delivery in deliveries for row in delivery_log.forgotten(delivery)])
            store.delete_contacts(erasure.contacts)
            key, value = control_state.encode("erasure_step", step_of(erasure, WEBHOOKS, share, now_ms()))
            await delivery_log.write([LogRow(topics.CONTROL, key, value, 0)])
            control.apply(key, value)
        await asyncio.sleep(_LOOK_S)


def delete_erased(control: ControlState, store: Store) -> None:
    """Deletes unread profiles that are erased: a release that keeps none leaves them where it erases a contact."""
    state = NotificationState(store.get)
    for erasure in control.erasures.values():
        for contact_id in erasure.contacts:
            unread = state.unread(contact_id)
            if unread is not None and control.erased.covers_id(contact_id, unread.at_ms):
                state.take_unread(contact_id)
    store.learn(state.writes, {})


def _is_due(control: ControlState, erasure: Erasure, settings: Settings) -> bool:
    steps, share = list(control.erasure_steps[erasure.id].values()), share_of(settings)
    confirmed = {step.partition for step in steps if step.store == WEBHOOKS}
    if share in confirmed or not (share or confirmed >= set(range(1, settings.webhook_senders))):
        return False
    before = (IDENTITY, SEGMENTS)
    return all(done_ms(steps, store, settings.partitions) is not None for store in before)
