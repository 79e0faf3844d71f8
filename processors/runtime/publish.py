"""Messages in; their offsets out, once all in-sync replicas have them.

The producer is idempotent and waits for all replicas. Batches are sent whole: a group of messages
costs one future and not one each. A message that the broker would refuse is refused before it is sent:
one refused batch leaves a gap in the producer's sequence, and nothing is accepted from it any more.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn, Protocol

from aiokafka import AIOKafkaProducer

from processors.runtime.stage import InputRecord, OutputRecord, Tables
from schemas.record_batches import Message, send_batches
from schemas.service.kafka import MAX_RECORD_BYTES
from schemas.tracing.context import Traces, carried, headers_of

TopicPartition = tuple[str, int]
"""A topic by its name on the cluster, and a partition."""
BATCH_BYTES = 512 * 1024
IDEMPOTENT = {"acks": "all", "enable_idempotence": True}


class StageIO(Tables, Protocol):
    """The executor's connection to the world. An exception here ends the process."""

    async def publish(self, messages: Mapping[TopicPartition, Sequence[Message]]) -> None:
        """Places by their catalogue names. Waits as long as the broker is away."""
        ...

    async def flush(self, partition: int, writes: Mapping[str, Mapping[bytes, bytes | None]]) -> dict[str, int]:
        """State by table to the changelogs; the offset of the last row of each."""
        ...

    def apply(
        self, partition: int, writes: Mapping[str, Mapping[bytes, bytes | None]], offsets: Mapping[str, int]
    ) -> None: ...

    def done(self, record: InputRecord) -> None: ...

    def holds_lease(self) -> bool:
        """False once another worker may own our partitions."""
        ...

    def abort(self, reason: str) -> NoReturn: ...


class RecordTooLargeError(ValueError):
    """A message of ``size`` bytes for ``topic`` would never be accepted."""

    def __init__(self, topic: str, size: int) -> None:
        super().__init__(f"a message of {size} bytes for {topic} is over the limit of {MAX_RECORD_BYTES}")
        self.topic, self.size = topic, size


def check_size(topic: str, key: bytes | None, value: bytes | None) -> None:
    size = len(key or b"") + len(value or b"")
    if size > MAX_RECORD_BYTES:
        raise RecordTooLargeError(topic, size)


def by_place(sends: Iterable[OutputRecord], traces: Traces) -> dict[TopicPartition, list[Message]]:
    """Messages of a unit of work; those that hold a traced event carry its trace."""
    places: dict[TopicPartition, list[Message]] = {}
    for send in sends:
        check_size(send.topic, send.key, send.value)
        message: Message = (send.key, send.value or None)
        if traces and (headers := headers_of(carried(traces, send.value))):
            message = (*message, headers)
        places.setdefault((send.topic, send.partition), []).append(message)
    return places


async def publish(
    producer: AIOKafkaProducer, messages: dict[TopicPartition, Sequence[Message]]
) -> dict[TopicPartition, int]:
    """The offset of the last message of each place; raises the broker's error if it refused a message."""
    if len(messages) == 1:
        ((place, rows),) = messages.items()
        return {place: await _publish_to(producer, place, rows)}
    last = await asyncio.gather(*(_publish_to(producer, place, rows) for place, rows in messages.items()))
    return dict(zip(messages, last, strict=True))


async def _publish_to(producer: AIOKafkaProducer, place: TopicPartition, rows: Iterable[Message]) -> int:
    sent = await send_batches(producer, *place, rows)
    metadata = await asyncio.gather(*(batch.acknowledged for batch in sent))
    return int(metadata[-1].offset) + sent[-1].records - 1  # an acknowledgement tells its batch's first offset
