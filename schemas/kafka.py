"""Settings in, aiokafka clients set up the one right way out: the producer, and the tail that replicates a topic."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.settings import Settings

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 1_900_000
"""Below the topics' max.message.bytes of 2 MiB: a rejected batch would poison an idempotent producer."""


def producer(settings: Settings) -> AIOKafkaProducer:
    """Durable before it answers: all replicas, idempotent, no linger (callers batch by themselves)."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=1 << 20,
        max_request_size=2 << 20,
        metadata_max_age_ms=60_000,
    )


class Tail:
    """Every record of a topic into ``apply``, in order, from the beginning or from ``positions``, without a group.

    ``start`` returns when what was in the topic at that moment has been applied. ``catch_up`` waits for what
    is in it now: a read behind it sees every write that was acknowledged before. When the broker is away the
    tail waits for it; ``apply`` must not raise.
    """

    def __init__(
        self,
        settings: Settings,
        topic: topics.Topic,
        apply: Callable[[Any], None],
        *,
        from_end: bool = False,
        positions: dict[int, int] | None = None,
    ) -> None:
        self._settings = settings
        self._name = topics.name(topic, settings)
        self._parts = [TopicPartition(self._name, p) for p in range(topics.partition_count(topic, settings))]
        self._apply = apply
        self._from_end = from_end
        self._positions = positions or {}
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()
        self._asking = asyncio.Lock()
        self._asker: AIOKafkaConsumer | None = None
        self._next: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=2000,
            metadata_max_age_ms=60_000,
        )
        await self._consumer.start()
        self._consumer.assign(self._parts)
        begin = await self._consumer.beginning_offsets(self._parts)
        end = await self._consumer.end_offsets(self._parts)
        for tp in self._parts:
            wanted = self._positions.get(tp.partition, begin[tp])
            at = end[tp] if self._from_end else min(max(wanted, begin[tp]), end[tp])
            self._consumer.seek(tp, at)
            self._next[tp] = at
        self._task = asyncio.create_task(self._run(), name=f"tail {self._name}")
        await self._wait_for(end)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()
        if self._asker is not None:
            await self._asker.stop()

    async def ended(self) -> None:
        """Return when it follows the topic no more, which only an error makes it do; raises that error."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def catch_up(self) -> None:
        """Return when everything that is in the topic now has been applied; raises ``KafkaError``."""
        async with self._asking:
            if self._asker is None:
                # The tail's own connection is busy with a fetch that waits for news: an answer would come after it.
                asker = AIOKafkaConsumer(bootstrap_servers=self._settings.bootstrap, enable_auto_commit=False)
                await asker.start()
                self._asker = asker
        await self._wait_for(await self._asker.end_offsets(self._parts))

    async def _wait_for(self, end: dict[TopicPartition, int]) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: all(self._next[tp] >= end[tp] for tp in self._parts))

    async def _run(self) -> None:
        while True:
            try:
                found = await self._consumer.getmany(timeout_ms=5000)
            except KafkaError:
                log.exception("tail of %s waits for the broker", self._name)
                await asyncio.sleep(0.5)
                continue
            for records in found.values():
                for record in records:
                    self._apply(record)
            for tp in self._parts:
                # position, not the last record's offset: a compacted topic's end need not be a record
                self._next[tp] = await self._consumer.position(tp)
            async with self._moved:
                self._moved.notify_all()
