"""Settings in; the clients that launches need, connected at the first use and anew after an error, out."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from clickhouse_connect.driver.asyncclient import AsyncClient

from schemas import topics
from schemas.records import codec
from schemas.records.identity import partition_of
from schemas.records.records import Event
from schemas.service.kafka import started_producer
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from sinks.clickhouse.connect import FOREVER_S, reading

RECORD_BYTES = 500_000
"""The approximate size of the events in one Kafka record."""


class Connections:
    """The clients of launches, connected at their first use: a process without launches needs no database."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AsyncClient | None = None
        self._producer: AIOKafkaProducer | None = None
        self._admin: AIOKafkaAdminClient | None = None

    async def clickhouse(self) -> AsyncClient:
        if self._client is None:
            self._client = await reading(self._settings, FOREVER_S)
        return self._client

    async def kafka(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = await started_producer(self._settings)
        return self._producer

    async def stored(self) -> dict[int, int]:
        """Returns the sink's committed offset of each partition of `changes`: all records before it are stored."""
        if self._admin is None:
            admin = AIOKafkaAdminClient(**connection(self._settings))
            await admin.start()
            self._admin = admin
        group, topic = topics.CLICKHOUSE_GROUP, topics.name(topics.CHANGES, self._settings)
        committed = await self._admin.list_consumer_group_offsets(topics.app_id(group, self._settings))
        return {place.partition: at.offset for place, at in committed.items() if place.topic == topic}

    async def close(self) -> None:
        client, producer, admin = self._client, self._producer, self._admin
        self._client = self._producer = self._admin = None
        if admin is not None:
            await admin.close()
        if client is not None:
            await client.close()
        if producer is not None:
            await producer.stop()

    async def publish(self, events: Sequence[Event]) -> None:
        """Sends the events to `events`, to the partitions of their contacts; they are durable when it returns."""
        waiting: dict[int, list[Event]] = defaultdict(list)
        sends: list[Any] = []
        producer = await self.kafka()
        name = topics.name(topics.EVENTS, self._settings)

        async def send(partition: int) -> None:
            some = waiting.pop(partition)
            sends.append(await producer.send(name, codec.encode_events(some), partition=partition))

        sizes: Counter[int] = Counter()
        for event in events:
            partition = partition_of(event["contact_id"], self._settings.partitions)
            waiting[partition].append(event)
            sizes[partition] += len(event["properties"]) + 500
            if sizes[partition] >= RECORD_BYTES:
                sizes[partition] = 0
                await send(partition)
        for partition in list(waiting):
            await send(partition)
        await asyncio.gather(*sends)
