"""Places in Kafka in; when their records were written out, where Kafka still has them and answers soon."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from schemas.topics import Topic

WITHIN_S = 1.5
"""After this time the answer leaves out the times that are still unknown."""
RECORD_S = 0.4
AT_ONCE = 4
"""Each call has a connection of its own."""


class Place(NamedTuple):
    topic: Topic
    partition: int
    offset: int


class RecordTimes:
    """Of single records, for people: no stage waits for this."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def of(self, places: Collection[Place]) -> dict[Place, int]:
        """Epoch milliseconds; records that are gone, or do not come in time, are left out."""
        times: dict[Place, int] = {}
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(WITHIN_S), self._turns:
                consumer = AIOKafkaConsumer(
                    **connection(self._settings),
                    enable_auto_commit=False,
                    auto_offset_reset="none",
                    max_partition_fetch_bytes=64 * 1024,
                    fetch_max_wait_ms=100,
                )
                try:
                    await consumer.start()
                    for place in places:
                        await self._look(consumer, place, times)
                finally:
                    await consumer.stop()
        return times

    async def _look(self, consumer: AIOKafkaConsumer, place: Place, times: dict[Place, int]) -> None:
        partition = TopicPartition(topics.name(place.topic, self._settings), place.partition)
        consumer.assign([partition])
        consumer.seek(partition, place.offset)
        records = await consumer.getmany(partition, timeout_ms=int(RECORD_S * 1000), max_records=1)
        for record in records.get(partition, ()):
            if record.offset == place.offset:
                times[place] = record.timestamp
