"""A broker in; the sender of webhooks as a process, with hand-made records of the earlier stages, out."""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.provision import create_topics
from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import Webhook
from schemas.records import codec, deliveries
from schemas.records.deliveries import Attempt, WebhookDelivery
from schemas.records.identity import partition_of
from schemas.records.records import Change, Event
from schemas.service import kafka
from schemas.settings import Settings
from tests.support.builders import ENVIRONMENT, WORKSPACE


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def webhook(url: str, *types: str, **more: Any) -> Webhook:
    now = now_ms()
    fields = {
        "id": f"whk_{secrets.token_hex(8)}",
        "workspace": WORKSPACE,
        "environment": ENVIRONMENT,
        "url": url,
        "types": types or ("*",),
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "created_ms": now,
        "updated_ms": now,
    }
    return Webhook(**(fields | more))


class Upstream:
    """Writes the records of the edge and the stages, and reads the sender's records."""

    def __init__(self, settings: Settings, producer: Any) -> None:
        self.settings = settings
        self._producer = producer

    async def _send(self, topic: topics.Topic, value: bytes, partition: int, key: bytes | None = None) -> None:
        name = topics.name(topic, self.settings)
        await self._producer.send_and_wait(name, value, key=key, partition=partition)

    async def define(self, record: Webhook) -> Webhook:
        key, value = control_state.encode("webhook", record)
        await self._send(topics.CONTROL, value, 0, key)
        return record

    async def events(self, *events: Event) -> None:
        """Sends each event to its contact's partition, in order."""
        parts: dict[int, list[Event]] = {}
        for event in events:
            parts.setdefault(partition_of(event["contact_id"], self.settings.partitions), []).append(event)
        for partition, some in parts.items():
            await self._send(topics.RESOLVED, codec.encode_events(some), partition)

    async def changes(self, *changes: Change) -> None:
        parts: dict[int, list[Change]] = {}
        for change in changes:
            parts.setdefault(partition_of(change["contact_id"], self.settings.partitions), []).append(change)
        for partition, some in parts.items():
            await self._send(topics.CHANGES, codec.encode_changes(some), partition)

    async def ask(self, attempt: Attempt) -> None:
        """Requests another attempt, as the edge does."""
        delivery = deliveries.delivery_of(attempt["id"])
        assert delivery is not None
        value = codec.encode_delivery(deliveries.retry_request(delivery, now_ms()))
        home = deliveries.home_of(attempt["contact_id"], delivery)
        partition = partition_of(home, self.settings.partitions)
        await self._send(topics.DELIVERIES, value, partition, deliveries.retry_key(delivery))

    async def try_webhook(self, value: bytes) -> None:
        """Requests a webhook test, as the edge does."""
        await self._send(topics.WEBHOOK_TESTS, value, 0)

    async def deliver(self, delivery: WebhookDelivery) -> None:
        """Writes deliveries of an earlier sender."""
        home = deliveries.home_of(delivery["contact_id"], delivery["id"])
        partition = partition_of(home, self.settings.partitions)
        value = codec.encode_delivery(delivery)
        await self._send(topics.DELIVERIES, value, partition, deliveries.key_of(delivery["id"]))

    async def attempts(self, of: Webhook) -> list[Attempt]:
        """Returns an endpoint's log, oldest first."""
        records = await self.records(topics.ATTEMPTS)
        attempts = [attempt for record in records for attempt in codec.decode_attempts(record.value)]
        return sorted(
            (attempt for attempt in attempts if attempt["webhook_id"] == of.id), key=lambda attempt: attempt["at_ms"]
        )

    async def deliveries(self, of: Webhook) -> dict[str, WebhookDelivery]:
        """Returns the last state of an endpoint's deliveries, as the compacted topic has it."""
        latest: dict[bytes, WebhookDelivery] = {}
        for record in await self.records(topics.DELIVERIES):
            latest.pop(record.key, None)
            if record.value is not None:
                latest[record.key] = codec.decode_delivery(record.value)
        return {delivery["id"]: delivery for delivery in latest.values() if delivery["webhook_id"] == of.id}

    async def status(self, of: Webhook) -> str:
        """Returns the status on `control`."""
        state = control_state.ControlState()
        for record in await self.records(topics.CONTROL):
            state.apply(record.key, record.value)
        return state.webhooks_by_id[of.id].status

    async def records(self, topic: topics.Topic) -> Sequence[Any]:
        """Returns all present records of a topic."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest")
        name = topics.name(topic, self.settings)
        await consumer.start()
        try:
            parts = [TopicPartition(name, p) for p in range(topics.partition_count(topic, self.settings))]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            fetched: list[Any] = []
            while any([await consumer.position(tp) < ends[tp] for tp in parts]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    fetched += records
            return fetched
        finally:
            await consumer.stop()


@asynccontextmanager
async def upstream(settings: Settings) -> AsyncIterator[Upstream]:
    """Creates topics."""
    await create_topics(settings)
    producer = kafka.producer(settings)
    await producer.start()
    try:
        yield Upstream(settings, producer)
    finally:
        await producer.stop()
