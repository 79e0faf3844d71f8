"""Messages of campaigns whose delivery is a Kafka topic in; records of that topic out.

A record's key is the contact; its value is the body of the webhook, without a signature. The record is durable before
the source offset is committed, so a crash repeats it with the same ``id``. If Kafka refuses a topic, or a topic takes
no record while the broker answers, only that topic's messages fail.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from cachetools import TLRUCache

from schemas import topics
from schemas.control.control_state import ControlState
from schemas.service import kafka
from schemas.service.kafka_auth import METADATA_MAX_AGE_MS, connection
from schemas.settings import Settings
from sinks.webhooks.messages import Message
from sinks.webhooks.subscriptions import delivery_of

log = logging.getLogger(__name__)

MOST_KNOWN = 10_000
"""The most topics to remember as existing or refused."""
REFUSED_S = 60.0
"""The time until a refused topic is tried again."""
RETRY_S = 0.5
PATIENCE_S = 30.0
"""How long a topic may refuse records while the broker answers: a partition's leader moves in a few seconds."""
TRIES = 6
"""Tries in that time."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """``topic`` is the campaign's name for it."""

    topic: str
    message: Message
    value: bytes


def outgoing(control: ControlState, messages: Iterable[Message]) -> Iterator[Outgoing]:
    for message in messages:
        topic = delivery_of(control, message).get("topic")
        if isinstance(topic, str) and topic:
            yield Outgoing(topic, message, message.body())


class CustomerTopics:
    """Sends records to customers' topics; connects before the first record."""

    def __init__(self, settings: Settings, patience_s: float = PATIENCE_S) -> None:
        self._settings = settings
        self._timeout_ms = round(patience_s / TRIES * 1000)
        self._producer: Any = None
        self._known: TLRUCache[str, str] = TLRUCache(MOST_KNOWN, _known_until)
        """Kafka's reason to refuse a topic, by the topic's name; empty for an accepted topic. Entries expire."""

    async def send(self, records: Sequence[Outgoing]) -> list[tuple[Outgoing, str]]:
        """Returns refused records with Kafka's reason, after all replicas have the others. Waits for a broker."""
        if records and self._producer is None:
            await self._start()
        failed: list[tuple[Outgoing, str]] = []
        waiting = []
        for record in records:
            name = topics.customer(record.message.workspace, record.topic, self._settings)
            reason = await self._refusal(name)
            if reason:
                failed.append((record, reason))
            else:
                waiting.append((name, record))
        results = await asyncio.gather(*(self._publish(name, record) for name, record in waiting))
        failed += [(record, reason) for (_, record), reason in zip(waiting, results, strict=True) if reason]
        for record, reason in failed:
            log.error("a message of campaign %s is not sent: %s", record.message.campaign_id, reason)
        return failed

    async def _publish(self, name: str, record: Outgoing) -> str:
        """Returns Kafka's reason for a refusal, or an empty text. Waits while no broker answers."""
        for _ in range(TRIES):
            try:
                sent = await self._producer.send(name, record.value, key=record.message.contact_id.encode())
                await sent
            except KafkaError as error:
                reason = _reason(error)
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    return reason
                await asyncio.sleep(RETRY_S)
                await kafka.wait_for_broker(self._settings)
                # the topic may have been deleted since
                self._known.pop(name, None)
                if refusal := await self._refusal(name):
                    return refusal
            else:
                return ""
        self._known[name] = reason
        return reason

    async def _start(self) -> None:
        """Not idempotent: an idempotent producer never gives a record up, so one topic would block all others."""
        self._producer = await kafka.started(
            self._settings,
            lambda: AIOKafkaProducer(
                **connection(self._settings),
                acks="all",
                linger_ms=0,
                max_batch_size=1 << 20,
                max_request_size=2 << 20,
                request_timeout_ms=self._timeout_ms,
                metadata_max_age_ms=METADATA_MAX_AGE_MS,
            ),
        )

    async def _refusal(self, name: str) -> str:
        """Returns Kafka's reason to refuse the topic; empty if the topic exists."""
        while (reason := self._known.get(name)) is None:
            try:
                await kafka.make_topic(self._settings, name)
            except KafkaError as error:
                if error.retriable:
                    log.warning("topic %s: waiting for the broker: %r", name, error)
                    await asyncio.sleep(RETRY_S)
                    continue
                self._known[name] = _reason(error)
            else:
                self._known[name] = ""
        return reason

    async def stop(self) -> None:
        if self._producer is not None:
            await self._producer.stop()


def _reason(error: KafkaError) -> str:
    return f"Kafka refuses the topic: {type(error).__name__}"


def _known_until(_name: str, reason: str, now_s: float) -> float:
    """When to check the topic again: never if it exists, after ``REFUSED_S`` if Kafka refused it."""
    return now_s + REFUSED_S if reason else float("inf")
