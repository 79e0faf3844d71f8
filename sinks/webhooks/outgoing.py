"""Messages of campaigns whose delivery is a Kafka topic in; records of that topic out.

A record's key is the contact, its value the body that a webhook would get, without a signature. It is durable before
the place that it came from is committed, so a crash repeats it: its ``id`` is the same.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from schemas import kafka
from schemas.control import ControlState
from schemas.settings import Settings
from sinks.webhooks.messages import Message
from sinks.webhooks.subscriptions import delivery_of


class Outgoing(NamedTuple):
    topic: str
    key: bytes
    value: bytes


def outgoing(control: ControlState, messages: Iterable[Message]) -> Iterator[Outgoing]:
    for message in messages:
        topic = delivery_of(control, message).get("topic")
        if topic:
            yield Outgoing(topic, message.contact_id.encode(), message.body())


class CustomerTopics:
    """Connects when the first record is to be sent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._known: set[str] = set()

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Return when all replicas have them."""
        if not records:
            return
        if self._producer is None:
            producer = kafka.producer(self._settings)
            await producer.start()
            self._producer = producer
        for name in sorted({record.topic for record in records} - self._known):
            await self._make(name)
            self._known.add(name)
        sent = [await self._producer.send(r.topic, r.value, key=r.key) for r in records]
        await asyncio.gather(*sent)

    async def _make(self, name: str) -> None:
        """A topic that is not there yet; one that is stays as it is."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.bootstrap)
        await admin.start()
        try:
            made = await admin.create_topics([NewTopic(name, self._settings.partitions, self._settings.replication)])
            for _, code, *_ in made.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error(name)
        finally:
            await admin.close()

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
