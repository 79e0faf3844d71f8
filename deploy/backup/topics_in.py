"""Files of records in; topics whose records have the offsets that they had, and the groups' commits, out.

Rows, state and commits name records by their offsets, so offsets must not change. An empty record takes the place of a
record that Kafka no longer had; records before the first one are then deleted, or compacted away.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from deploy.backup.manifest import CommittedOffset, Manifest, PartitionCopy
from deploy.backup.record_files import SavedRecord, records_in
from schemas import topics
from schemas.errors import CannotStart
from schemas.service.kafka import compression_of, started
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from sinks.webhooks.planner import GROUP as PLANNER_GROUP

FILLER_KEY = b"headwater-restored"
BATCHES = 8
"""That are under way at once."""


async def refuse_records(settings: Settings, manifest: Manifest) -> None:
    """Raise ``CannotStart`` where a topic holds, or held, something."""
    consumer = await started(settings, lambda: AIOKafkaConsumer(**connection(settings), enable_auto_commit=False))
    try:
        for name, copies in manifest.topics.items():
            parts = [TopicPartition(settings.topic_prefix + name, p) for p in range(len(copies))]
            if any((await consumer.end_offsets(parts)).values()):
                raise CannotStart(
                    f"the topic {settings.topic_prefix + name} is not empty: restore into a new cluster, or with "
                    "another HEADWATER_TOPIC_PREFIX and HEADWATER_CLICKHOUSE_DATABASE"
                )
    finally:
        await consumer.stop()


async def write_topics(settings: Settings, folder: Path, manifest: Manifest) -> int:
    """How many records were written; raises ``CannotStart`` where one got another offset."""
    compacted = {topic.name for topic in topics.catalogue(settings) if topic.retention_ms is None}
    producer = await started(
        settings,
        lambda: AIOKafkaProducer(
            **connection(settings),
            acks="all",
            enable_idempotence=True,
            compression_type=compression_of(settings),
            max_batch_size=1 << 20,
            max_request_size=2 << 20,
        ),
    )
    written = 0
    gone: dict[TopicPartition, int] = {}
    try:
        for name, copies in manifest.topics.items():
            for partition, copy in enumerate(copies):
                tp = TopicPartition(settings.topic_prefix + name, partition)
                filler_key = FILLER_KEY if tp.topic in compacted else None
                await _write(producer, tp, filled(records_in(folder / copy.file), copy, filler_key))
                written += copy.records
                if copy.first and filler_key is None:
                    gone[tp] = copy.first
    finally:
        await producer.stop()
    await _delete(settings, gone)
    return written


def filled(records: Iterable[SavedRecord], copy: PartitionCopy, filler_key: bytes | None) -> Iterator[SavedRecord]:
    """A message for each offset below the end."""
    value = b"" if filler_key is None else None
    expected, timestamp = 0, 0
    for record in records:
        timestamp = record.timestamp
        while expected < record.offset:
            yield SavedRecord(expected, timestamp, filler_key, value, [])
            expected += 1
        yield record
        expected += 1
    while expected < copy.end:
        yield SavedRecord(expected, timestamp, filler_key, value, [])
        expected += 1


async def _write(producer: AIOKafkaProducer, tp: TopicPartition, records: Iterable[SavedRecord]) -> None:
    under_way: deque[tuple[int, Any]] = deque()

    async def settle(most: int) -> None:
        while len(under_way) > most:
            records, future = under_way.popleft()
            got = (await future).offset
            if got != records:
                raise CannotStart(f"{tp.topic}/{tp.partition}: {got} instead of {records}; does something else write?")

    batch, first = producer.create_batch(), 0
    for record in records:
        fields = {"key": record.key, "value": record.value, "timestamp": record.timestamp, "headers": record.headers}
        if batch.append(**fields) is None:
            batch.close()
            under_way.append((first, await producer.send_batch(batch, tp.topic, partition=tp.partition)))
            await settle(BATCHES)
            batch, first = producer.create_batch(), record.offset
            batch.append(**fields)
    if batch.record_count():
        batch.close()
        under_way.append((first, await producer.send_batch(batch, tp.topic, partition=tp.partition)))
    await settle(0)


async def _delete(settings: Settings, before: dict[TopicPartition, int]) -> None:
    if not before:
        return
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(before_offset=offset) for tp, offset in before.items()})
    finally:
        await admin.close()


async def commit(settings: Settings, groups: Iterable[CommittedOffset]) -> None:
    """Commit the offsets of each group; no member of the group may run."""
    by_group: dict[str, dict[TopicPartition, OffsetAndMetadata]] = {}
    for committed in groups:
        place = TopicPartition(settings.topic_prefix + committed.topic, committed.partition)
        offsets_of = by_group.setdefault(settings.topic_prefix + committed.group, {})
        offsets_of[place] = OffsetAndMetadata(committed.offset, committed.note)
    for group, offsets in by_group.items():
        options = {**connection(settings), "group_id": group, "enable_auto_commit": False}
        consumer = await started(settings, partial(AIOKafkaConsumer, **options))
        try:
            consumer.assign(list(offsets))
            await consumer.commit(offsets)
        finally:
            await consumer.stop()


async def commits(settings: Settings) -> list[CommittedOffset]:
    """The offsets that every group has committed."""
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        committed = []
        for app in (*topics.TABLES, topics.CLICKHOUSE_GROUP, PLANNER_GROUP):
            answer = await admin.list_consumer_group_offsets(topics.app_id(app, settings))
            committed += [
                CommittedOffset(
                    group=app,
                    topic=tp.topic.removeprefix(settings.topic_prefix),
                    partition=tp.partition,
                    offset=place.offset,
                    note=place.metadata,
                )
                for tp, place in answer.items()
                if place.offset >= 0
            ]
        return committed
    finally:
        await admin.close()
