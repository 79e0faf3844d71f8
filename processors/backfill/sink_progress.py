"""Waits until every present record of some partitions of `resolved` is in ClickHouse.

A record counts as stored when the sink's group has committed it: it commits after the insert.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas import topics
from schemas.service.kafka_auth import connection
from schemas.settings import Settings

LOOK_S = 0.03


class SinkProgress:
    """Asks Kafka how far the sink is. Connects at the first query and stays connected, so later ones are quick."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = topics.name(topics.RESOLVED, settings)
        self._group = topics.app_id(topics.CLICKHOUSE_GROUP, settings)
        self._consumer: Any = None
        self._admin: Any = None
        self._connecting = asyncio.Lock()

    async def wait(self, partitions: Iterable[int]) -> None:
        """Return when all present records are stored; raises ``KafkaError``, and reconnects at the next call."""
        places = [TopicPartition(self._topic, p) for p in partitions]
        try:
            await self._connect()
            ends = await self._consumer.end_offsets(places)
            begins = await self._consumer.beginning_offsets(places)
            while True:
                stored = await self._admin.list_consumer_group_offsets(self._group)
                if all(_offset(stored.get(tp), begins[tp]) >= end for tp, end in ends.items()):
                    return
                await asyncio.sleep(LOOK_S)
        except Exception:
            await self.close()
            raise

    async def _connect(self) -> None:
        async with self._connecting:
            if self._admin is None:
                consumer = AIOKafkaConsumer(**connection(self._settings), enable_auto_commit=False)
                admin = AIOKafkaAdminClient(**connection(self._settings))
                self._consumer = consumer
                await consumer.start()
                await admin.start()
                self._admin = admin

    async def close(self) -> None:
        consumer, admin = self._consumer, self._admin
        self._consumer = self._admin = None
        if consumer is not None:
            await consumer.stop()
        if admin is not None:
            await admin.close()


def _offset(committed: Any, begin: int) -> int:
    return int(committed.offset) if committed is not None and committed.offset >= 0 else begin
