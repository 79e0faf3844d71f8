"""Waits until identity has processed all events acknowledged so far and this edge has their merges.

1. Identity's group has committed the ends of `events`: the links that they teach are on `links`. All partitions, as an
   event names a contact in the partition of its sender.
2. It has committed the end of the workspace's partition of `links` as it is then: the merges are on `merges`.
3. This edge's copy of the merge map has come to the end of `merges`.

Later events are waited for in one contact's partition alone: the backlog of the others holds up no request.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas import topics
from schemas.records.identity import partition_of
from schemas.service import kafka
from schemas.service.kafka import Tail
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from schemas.topics import Topic

LOOK_S = 0.03


class Barrier:
    """Connects when it is first asked."""

    def __init__(self, settings: Settings, merges: Tail) -> None:
        self._settings = settings
        self._merges = merges
        self._consumer: Any = None
        self._admin: Any = None
        self._connecting = asyncio.Lock()

    async def passed(self, home: tuple[str, str]) -> None:
        """Waits as long as identity does; raises what Kafka's clients raise."""
        await self._connect()
        await self._committed(topics.EVENTS, topics.IDENTITY_APP)
        await self._committed(topics.LINKS, topics.IDENTITY_APP, "/".join(home))
        await self._merges.catch_up()

    async def stored(self, home: tuple[str, str], contact_id: str) -> None:
        """As ``passed``; then an existing contact can be read: segments has published it and the sink has stored it."""
        await self.passed(home)
        await self._committed(topics.RESOLVED, topics.SEGMENTS_APP, contact_id)
        await self._committed(topics.CHANGES, topics.CLICKHOUSE_GROUP, contact_id)

    async def _committed(self, topic: Topic, group: str, key: str | None = None) -> None:
        """Up to the ends as they are now; with a ``key``, that of its partition."""
        name, count = topics.name(topic, self._settings), topics.partition_count(topic, self._settings)
        parts = [TopicPartition(name, p) for p in range(count) if key is None or p == partition_of(key, count)]
        begins = await self._consumer.beginning_offsets(parts)
        ends = await self._consumer.end_offsets(parts)
        while True:
            committed = await self._admin.list_consumer_group_offsets(topics.app_id(group, self._settings))
            at = {tp: committed[tp].offset if tp in committed else -1 for tp in parts}
            if all(max(at[tp], begins[tp]) >= ends[tp] for tp in parts):
                return
            await asyncio.sleep(LOOK_S)

    async def _connect(self) -> None:
        async with self._connecting:
            if self._admin is None:
                self._consumer = await kafka.started(
                    self._settings,
                    lambda: AIOKafkaConsumer(**connection(self._settings), enable_auto_commit=False),
                )
                admin = AIOKafkaAdminClient(**connection(self._settings))
                await admin.start()
                self._admin = admin

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
        if self._admin is not None:
            await self._admin.close()
