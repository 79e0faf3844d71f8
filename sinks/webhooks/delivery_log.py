"""Delivery records in; acknowledgements of all replicas out. A batch of records costs little more than one record.

Under load, sends without a waiting caller start at least 10 ms apart: each send costs the broker work.
After any error of the broker the process ends; the next one resumes from durable records. Its first records, one
in each partition of `deliveries`, fence off pending records of an older sender (`lease.py`).
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import orjson

from schemas import topics
from schemas.record_batches import send_batches
from schemas.records.codec import encode_attempts, encode_delivery
from schemas.records.deliveries import Attempt, WebhookDelivery, home_of, key_of, retry_key
from schemas.records.identity import partition_of
from schemas.settings import Settings
from sinks.delivery.backoff import AttemptOutcome
from sinks.delivery.excerpt import excerpt
from sinks.delivery.lease import Claim, partitions_of

PACE_S = 0.01
LOGGED_BODY = 16_384
FENCE = b"fence"
"""Key of the first records: no delivery's, and a compacted topic keeps one a partition."""


class LogRow(NamedTuple):
    topic: topics.Topic
    key: bytes
    value: bytes | None
    partition: int


class DeliveryLog:
    """The sender's one producer."""

    def __init__(self, settings: Settings, claim: Claim) -> None:
        self._settings = settings
        self._claim = claim
        self._waiting: list[tuple[Sequence[LogRow], asyncio.Future[None]]] = []
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()

    async def start(self) -> None:
        self._producer = await self._claim.producer()
        await self._send([LogRow(topics.DELIVERIES, FENCE, None, p) for p in partitions_of(self._settings)])

    async def stop(self) -> None:
        await self._producer.stop()

    def state(self, delivery: WebhookDelivery) -> LogRow:
        return self._row(topics.DELIVERIES, delivery, key_of(delivery["id"]), encode_delivery(delivery))

    def attempt(self, attempt: Attempt, delivery: WebhookDelivery) -> LogRow:
        return self._row(topics.ATTEMPTS, delivery, key_of(delivery["id"]), encode_attempts([attempt]))

    def forgotten(self, delivery: WebhookDelivery) -> list[LogRow]:
        """The tombstones that remove a delivery from the compacted topic."""
        keys = (key_of(delivery["id"]), retry_key(delivery["id"]))
        return [self._row(topics.DELIVERIES, delivery, key, None) for key in keys]

    def _row(self, topic: topics.Topic, delivery: WebhookDelivery, key: bytes, value: bytes | None) -> LogRow:
        count = topics.partition_count(topic, self._settings)
        return LogRow(topic, key, value, partition_of(home_of(delivery["contact_id"], delivery["id"]), count))

    async def write(self, rows: Sequence[LogRow], *, urgent: bool = False) -> None:
        """Returns when the records are durable; rows of one partition stay in order. ``urgent``: a caller waits."""
        if not rows:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        self._filled.set()
        if urgent:
            self._urgent.set()
        await done

    async def run(self) -> None:
        """Runs for ever; raises the broker's error."""
        sent = 0.0
        while True:
            await self._filled.wait()
            if (wait_s := sent + PACE_S - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._urgent.wait(), wait_s)
            sent = time.monotonic()
            self._filled.clear()
            self._urgent.clear()
            taken, self._waiting = self._waiting, []
            await self._send([row for rows, _ in taken for row in rows])
            for _, done in taken:
                if not done.done():
                    done.set_result(None)

    async def _send(self, rows: Sequence[LogRow]) -> None:
        places: dict[tuple[str, int], list[LogRow]] = defaultdict(list)
        for row in rows:
            places[topics.name(row.topic, self._settings), row.partition].append(row)
        sent = await asyncio.gather(
            *(
                send_batches(self._producer, *place, [(row.key, row.value) for row in placed])
                for place, placed in places.items()
            )
        )
        await asyncio.gather(*(batch.acknowledged for batches in sent for batch in batches))


def logged(
    delivery: WebhookDelivery,
    outcome: AttemptOutcome,
    *,
    url: str,
    headers: dict[str, str],
    attempt_id: str,
    at_ms: int,
) -> Attempt:
    """Returns the row of an attempt, with the start of its body."""
    return Attempt(
        id=attempt_id,
        delivery_id=delivery["id"],
        webhook_id=delivery["webhook_id"],
        workspace=delivery["workspace"],
        environment=delivery["environment"],
        contact_id=delivery["contact_id"],
        event_id=delivery["event_id"],
        type=delivery["type"],
        attempt=delivery["attempts"],
        status=delivery["status"],
        url=url,
        response_code=outcome.code,
        error=outcome.error,
        duration_ms=outcome.duration_ms,
        at_ms=at_ms,
        next_ms=delivery["due_ms"],
        request_headers=orjson.dumps(headers),
        request_body=excerpt(delivery["body"], LOGGED_BODY),
        response_body=outcome.response,
    )
