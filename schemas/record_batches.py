"""Messages for one partition in; full batches handed to an aiokafka producer, and their acknowledgements, out.

A record of many events names in a header how many came from each origin, so that the ledger need not read them.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaProducer

Headers = Sequence[tuple[str, bytes]]
"""Headers of a Kafka record."""
Message = tuple[bytes | None, bytes | None, *tuple[Headers, ...]]
"""Key, value, and headers if it has any; a value of ``None`` deletes the key from a compacted topic."""


Origin = tuple[str, str, str, int]
"""Workspace, environment, source and minute of receipt (since 1970) of events."""
ORIGINS = "headwater-origins"
"""Name of the Kafka header: a JSON array with an array for each origin, its four fields and its number of events."""
MOST_ORIGINS = 16
LEAST_EVENTS = 8
"""Fewer events cost the ledger less than the header's bytes cost Kafka."""
_TYPES = [str, str, str, int, int]


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


def origins_header(origins: Mapping[Origin, int]) -> list[tuple[str, bytes]]:
    """The header for a record with so many events of each origin; none for few events or for many origins."""
    if len(origins) > MOST_ORIGINS or sum(origins.values()) < LEAST_EVENTS:
        return []
    return [(ORIGINS, orjson.dumps([[*origin, events] for origin, events in origins.items()]))]


def origins_in(headers: Headers | None) -> dict[Origin, int] | None:
    """The number of events of each origin; ``None`` without the header, or if it is malformed."""
    for name, value in headers or ():
        if name == ORIGINS:
            try:
                rows = orjson.loads(value)
            except orjson.JSONDecodeError:
                return None
            if not isinstance(rows, list) or any(not isinstance(r, list) or [*map(type, r)] != _TYPES for r in rows):
                return None
            return {
                (workspace, environment, source, minute): events
                for workspace, environment, source, minute, events in rows
            }
    return None
