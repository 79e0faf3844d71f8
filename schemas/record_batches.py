"""Messages for one partition in; full batches handed to an aiokafka producer, and their acknowledgements, out."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

Headers = Sequence[tuple[str, bytes]]
"""Headers of a Kafka record."""
Message = tuple[bytes | None, bytes | None, *tuple[Headers, ...]]
"""Key, value, and headers if it has any; a value of ``None`` deletes the key from a compacted topic."""


class SentBatch(NamedTuple):
    """``acknowledged`` gives the metadata of the batch's first record, once all in-sync replicas have it."""

    acknowledged: asyncio.Future[Any]
    records: int


async def send_batches(
    producer: AIOKafkaProducer, topic: str, partition: int, messages: Iterable[Message]
) -> list[SentBatch]:
    """Hand over ``messages`` in their order, in as few batches as hold them.

    A message has to be within the broker's limit: an empty batch takes one of any size.
    """
    sent: list[SentBatch] = []
    batch = producer.create_batch()
    for key, value, *more in messages:
        headers = list(more[0]) if more else []
        if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:  # full
            sent.append(await _send(producer, batch, topic, partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None, headers=headers)
    sent.append(await _send(producer, batch, topic, partition))
    return sent


async def _send(producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> SentBatch:
    batch.close()  # an open batch would wait out the producer's linger
    records = batch.record_count()
    return SentBatch(await producer.send_batch(batch, topic, partition=partition), records)
