"""Calls from the main loop in; positions, records and heartbeats of the Kafka client, in the loop of its thread, out.

Only a rewind moves a position. It increments an epoch; fetched records carry theirs, and stale ones are dropped.
Answers, in ``faust/transport/drivers/aiokafka.py`` and in aiokafka: ``seek_to_committed`` leaves a partition
that has no committed offset where it is; a fetch that waits for records (1,500 ms, fixed) blocks all other
requests on its connection; an empty set of partitions to fetch from means all.
"""

# ruff: noqa: SLF001 - Faust and aiokafka offer no other way in; what is reached for is pinned by version

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

QUIET = logging.getLogger("faust")
"""Faust names a service's logger after the module of its class, and logs every start and stop as INFO."""

Fetched = tuple[int, Mapping[TP, list[Any]]]
"""The number of rewinds before the fetch, and its records."""

FETCH_WAIT_MS = 500
"""How long the broker may hold a fetch without new records."""


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust publishes no types
    """The half that lives in the event loop of the Kafka client, so that the group hears from a busy worker."""

    logger = QUIET
    rewinds = 0
    last_beat = 0.0

    async def on_start(self) -> None:
        await super().on_start()
        coordinator = self._consumer._coordinator
        beat = coordinator._do_heartbeat

        async def beat_and_remember() -> bool:
            sent = time.monotonic()
            alive: bool = await beat()
            if alive:
                self.last_beat = sent
            return alive

        coordinator._do_heartbeat = beat_and_remember

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> AIOKafkaConsumer:
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        # Recovery's requests would queue behind a fetch that waits for records.
        self._ensure_consumer().pause(*(TopicPartition(*tp) for tp in assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    async def _seek_wait(self, consumer: AIOKafkaConsumer, partitions: Mapping[TP, int]) -> None:
        await super()._seek_wait(consumer, partitions)
        consumer.resume(*(TopicPartition(*tp) for tp in partitions))

    async def fetch(self, active: set[TP], wait_s: float) -> Fetched:
        fetched: Fetched = await self.call_thread(self._fetch, active, wait_s)
        return fetched

    async def _fetch(self, active: set[TP], wait_s: float) -> Fetched:
        fetcher = self._ensure_consumer()._fetcher
        with fetcher._subscriptions.fetch_context():
            records = await fetcher.fetched_records(_Live(active), timeout=wait_s)
        # No await since the records were taken out of the client: their rewind is the current one.
        return self.rewinds, records

    async def rewind(self, tps: Iterable[TP]) -> None:
        await self.call_thread(self._rewind, [TopicPartition(*tp) for tp in tps])

    async def _rewind(self, tps: list[TopicPartition]) -> None:
        consumer = self._ensure_consumer()
        committed = await consumer._coordinator.fetch_committed_offsets(tps)
        fresh = [tp for tp in tps if tp not in committed]
        offsets: dict[TopicPartition, int] = dict(await consumer.beginning_offsets(fresh)) if fresh else {}
        offsets |= {tp: committed[tp].offset for tp in tps if tp in committed}
        # No await from here: a fetch is either before all seeks or after them, and the main loop hears
        # of the rewind before it can hear of a later fetch.
        for tp, offset in offsets.items():
            consumer.seek(tp, offset)
        consumer.resume(*offsets)
        self.rewinds += 1
        self.parent_loop.call_soon_threadsafe(self.consumer.rewound, self.rewinds, offsets)

    async def rest(self, tps: Iterable[TP]) -> None:
        """Stop prefetching partitions that are not read any more: recovered changelogs."""
        await self.call_thread(self._rest, [TopicPartition(*tp) for tp in tps])

    async def _rest(self, tps: list[TopicPartition]) -> None:
        consumer = self._ensure_consumer()
        consumer.pause(*tps)
        for tp in tps:
            consumer._fetcher._records.pop(tp, None)

    def position(self, tp: TP) -> int | None:
        """The position of the client, without a wait; ``None`` if it is unknown."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        state = assignment.state_value(tp) if assignment is not None else None
        return state.position if state is not None and state.has_valid_position else None


class _Live:
    """A view of the set's present content. An empty set means no partition; the client would take it for all."""

    def __init__(self, tps: set[TP]) -> None:
        self._tps = tps

    def __contains__(self, tp: object) -> bool:
        return tp in self._tps
