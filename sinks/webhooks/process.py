"""Settings in; a running sender of webhooks out, until it is stopped.

One sender works on a share at a time: two processes cannot open its folder, and on a cluster one sender holds the
share's lease while others stand by. Before its first request the sender reads the definitions from `control`, then all
deliveries so far from `deliveries`, up to the records that fence older senders.
"""

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import ControlState
from schemas.control.launch_jobs import LaunchJobs
from schemas.records.deliveries import FAILED, SUCCEEDED
from schemas.service.clock import now_ms
from schemas.service.counts import WebhookCounts
from schemas.service.exposition import Sample
from schemas.service.kafka import Tail, wait_for_broker
from schemas.service.metric import ATTEMPTS
from schemas.settings import Settings
from schemas.tracing.start import started
from sinks.delivery.deliver import Deliverer
from sinks.delivery.lease import Claim, Lease, partitions_of, share_of
from sinks.launch.connections import Connections
from sinks.launch.entry_runner import EntryRunner
from sinks.launch.runner import LaunchRunner
from sinks.webhooks.delivery_log import DeliveryLog, LogRow
from sinks.webhooks.dispatch import Dispatcher
from sinks.webhooks.erase import delete_erased, erasing
from sinks.webhooks.examples import ExampleSender
from sinks.webhooks.launches import Launches
from sinks.webhooks.planner import DeliveryPlanner
from sinks.webhooks.spans import DeliveryTraces
from sinks.webhooks.store import Store

log = logging.getLogger(__name__)

DRAIN_S = 3.0
WHOLE = "0/1"
"""The share of a single sender: share 0 of 1."""


class Webhooks:
    """The parts of a sender, wired once."""

    def __init__(self, settings: Settings, on_ready: Callable[[], None]) -> None:
        self._settings = settings
        self._on_ready = on_ready
        self._control = ControlState()
        self._launch_jobs = LaunchJobs()
        self._dispatcher: Dispatcher | None = None
        self._counts = WebhookCounts()
        self._traces = DeliveryTraces(started("webhooks"))

    def samples(self) -> Iterator[Sample]:
        """The sender's present metrics; a standby has sent no requests."""
        counts, dispatcher = self._counts, self._dispatcher
        for outcome in ATTEMPTS:
            yield Sample("headwater_webhook_attempts_total", (outcome,), counts.attempts[outcome])
        for status in (SUCCEEDED, FAILED):
            yield Sample("headwater_webhook_deliveries_total", (status,), counts.deliveries[status])
        yield Sample("headwater_webhook_attempt_seconds", (), counts.seconds)
        yield Sample("headwater_event_age_seconds", ("delivered",), counts.event_age)
        waiting, due_ms = dispatcher.backlog() if dispatcher is not None else (0, None)
        overdue = 0.0 if due_ms is None else max(0.0, (now_ms() - due_ms) / 1000)
        yield Sample("headwater_webhook_waiting", (), waiting)
        yield Sample("headwater_webhook_overdue_seconds", (), overdue)

    async def run(self) -> None:
        """Runs until cancelled; raises the error that ended a part."""
        settings = self._settings
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await wait_for_broker(settings)
        async with AsyncExitStack() as stack:
            store = opened(settings)
            stack.callback(store.close)
            lease = Lease(settings)
            stack.push_async_callback(lease.stop)
            await lease.acquire()
            definitions = self._definitions = Tail(settings, topics.CONTROL, self._define)
            claim = Claim(settings)
            delivery_log = self._delivery_log = DeliveryLog(settings, claim)
            deliverer = Deliverer(settings, lease.hold)
            for part in (definitions, claim, delivery_log, deliverer):
                await part.start()
                stack.push_async_callback(part.stop)
            launches = await self._attachments(store, stack)
            examples = ExampleSender(settings, self._control, definitions, deliverer, delivery_log)
            await examples.tail.start()
            stack.push_async_callback(examples.stop)
            dispatcher = self._dispatcher = Dispatcher(
                self._control,
                store,
                delivery_log,
                deliverer=deliverer,
                launches=launches,
                disable=self._disable,
                counts=self._counts,
                traces=self._traces,
            )
            store.on_queued, store.on_applied = dispatcher.queued, dispatcher.applied
            store.load()
            delete_erased(self._control, store)
            positions, mine = store.positions(topics.DELIVERIES.name), partitions_of(settings)
            tail = Tail(settings, topics.DELIVERIES, self._apply(store), positions=positions, partitions=mine)
            follower = DeliveryPlanner(
                settings, self._control, definitions, store, delivery_log, lease=lease, traces=self._traces
            )
            for reader in (tail, follower):
                await reader.start()
                stack.push_async_callback(reader.stop)
            writing = asyncio.create_task(delivery_log.run(), name="journal")
            stack.callback(writing.cancel)
            stack.push_async_callback(dispatcher.drain, DRAIN_S)
            self._on_ready()
            working = (
                erasing(self._control, store, delivery_log, settings),
                lease.lost(),
                claim.renew(),
                dispatcher.run(),
                follower.run(),
                follower.commit(),
                *(topic.ended() for topic in (definitions, tail, launches.tail, examples.tail)),
                self._run_launches(store),
            )
            await _first([writing, self._broken, *(asyncio.create_task(work) for work in working)])

    async def _run_launches(self, store: Store) -> None:
        """Runs for ever; one of several senders runs all jobs for all entries: each disk has them."""
        settings, control, jobs = self._settings, self._control, self._launch_jobs
        if share_of(settings) == 0:
            entries = EntryRunner(settings, control, jobs, store, Connections(settings))
            await asyncio.gather(LaunchRunner(settings, control, jobs).run(), entries.run())
        await asyncio.Event().wait()

    async def _attachments(self, store: Store, stack: AsyncExitStack) -> Launches:
        launches = Launches(self._settings, store)
        launches.forget_old(now_ms())
        await launches.tail.start()
        stack.push_async_callback(launches.tail.stop)
        return launches

    def _apply(self, store: Store) -> Callable[[Any], None]:
        def apply(record: Any) -> None:
            try:
                store.apply(record)
            except Exception as error:  # noqa: BLE001 - it ends the process: a disk that takes nothing, for one
                if not self._broken.done():
                    self._broken.set_exception(error)

        return apply

    def _define(self, record: Any) -> None:
        self._control.apply(record.key, record.value)
        self._launch_jobs.take(record)
        if self._dispatcher is not None:
            self._dispatcher.changed()

    async def _disable(self, webhook_id: str, reason: str) -> None:
        await self._definitions.catch_up()
        webhook = self._control.webhooks_by_id.get(webhook_id)
        if webhook is None or webhook.status == "disabled":
            return
        log.warning("webhook %s is disabled: %s", webhook_id, reason)
        news = webhook.model_copy(update={"status": "disabled", "reason": reason, "updated_ms": now_ms()})
        key, value = control_state.encode("webhook", news)
        await self._delivery_log.write([LogRow(topics.CONTROL, key, value, 0)])


def opened(settings: Settings) -> Store:
    """Opens the sender's disk; empties the disk of another share, which is a copy of other deliveries."""
    folder, mark = settings.home / "state" / "webhooks", settings.home / "state" / "webhooks.share"
    store, share = Store(folder), f"{share_of(settings)}/{settings.webhook_senders}"
    if (mark.read_text() if mark.exists() else WHOLE) != share:
        store.close()
        shutil.rmtree(folder)
        store = Store(folder)
    mark.write_text(share)
    return store


async def _first(tasks: list["asyncio.Future[None]"]) -> None:
    """Waits for the first part to end, which is an error; then ends the others."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        # the delivery log, the first task, continues: it still has to record running attempts
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
