"""A topic in; how far Kafka has it, and a request to all sinks to read that again, out."""

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.service import clock
from schemas.service.kafka import started, started_producer
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from sinks.clickhouse.rereads import Reread, encode


async def reach(settings: Settings, topic: topics.Topic) -> tuple[dict[int, int], dict[int, int], int | None]:
    """First offsets and ends of a topic's partitions, and the time of its first record; ``None``: it is empty."""
    name = topics.name(topic, settings)
    parts = [TopicPartition(name, p) for p in range(topics.partition_count(topic, settings))]
    asker = await started(settings, lambda: AIOKafkaConsumer(**connection(settings), enable_auto_commit=False))
    try:
        first, end = await asker.beginning_offsets(parts), await asker.end_offsets(parts)
        times = [
            first_record.timestamp
            for first_record in (await asker.offsets_for_times(dict.fromkeys(parts, 0))).values()
            if first_record
        ]
    finally:
        await asker.stop()
    return (
        {tp.partition: offset for tp, offset in first.items()},
        {tp.partition: offset for tp, offset in end.items()},
        min(times, default=None),
    )


async def ask_again(settings: Settings, topic: topics.Topic, reason: str, parts: tuple[str, ...] = ()) -> Reread:
    """Have all sinks read all that Kafka has of a topic now."""
    _, until, _ = await reach(settings, topic)
    reread = Reread(id=clock.now_ms(), topic=topic.name, until=until, reason=reason, parts=parts)
    key, value = encode(reread)
    producer = await started_producer(settings)
    try:
        await producer.send_and_wait(topics.name(topics.CONTROL, settings), value, key=key)
    finally:
        await producer.stop()
    return reread
