"""Messages for one partition in; full batches handed to an aiokafka producer, and their acknowledgements, out."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer


class SentBatch(NamedTuple):
    """``acknowledged`` gives the metadata of the batch's first record, once all in-sync replicas have it."""

    acknowledged: asyncio.Future[Any]
    records: int


async def send_batches(
    producer: AIOKafkaProducer, topic: str, partition: int, messages: Iterable[tuple[bytes | None, bytes | None]]
) -> list[SentBatch]:
    """Hand over ``messages`` (key and value) in their order, in as few batches as hold them.

    A message has to be within the broker's limit: an empty batch takes one of any size.
    """
    sent: list[SentBatch] = []
    batch = producer.create_batch()
    for key, value in messages:
        if batch.append(key=key, value=value, timestamp=None) is None:  # full
            sent.append(await _send(producer, batch, topic, partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    sent.append(await _send(producer, batch, topic, partition))
    return sent


async def _send(producer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> SentBatch:
    batch.close()  # an open batch would wait out the producer's linger
    records = batch.record_count()
    return SentBatch(await producer.send_batch(batch, topic, partition=partition), records)
