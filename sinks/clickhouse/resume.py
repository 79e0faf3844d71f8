"""Offsets in Kafka and in the tables of a stream's partitions in; where to resume, and the rows stored after it, out.

While a partition is read again, nothing counts as stored: existing rows collapse with their copies.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from schemas import topics
from schemas.retry import retried
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from sinks.clickhouse.dedupe import WINDOW, Deduplicator, known_as
from sinks.clickhouse.rereads import UNMARKED, Mark
from sinks.clickhouse.rows import Table
from sinks.clickhouse.streams import START, Part, Stream
from sinks.clickhouse.writer import Writer

log = logging.getLogger(__name__)

LOOK_BACK = 100_000
"""The offsets before the last stored one to search: every origin partition in use has a row among them."""
RECENT_MINUTES = 10
RETRY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A partition in Kafka: the offset its group committed, its first one, and the one after its last."""

    committed: int | None
    first: int
    end: int
    noted: Mark = UNMARKED
    """The note of the committed offset."""
    mark: Mark = UNMARKED
    """The request to read again."""

    @property
    def again_from(self) -> int | None:
        """The offset from which to continue a repeated read; ``None``: the partition is not read again."""
        if self.mark.reread > self.noted.reread:
            return self.first
        return self.committed if self.committed is not None and self.committed < self.mark.until else None


Ends = Callable[[], Awaitable[dict[int, int]]]
"""Returns the partitions' ends in Kafka; called again after queries, as the tables may have newer records."""


async def resume(
    stream: Stream, topic: str, bounds: dict[int, Bounds], ends: Ends, writer: Writer
) -> dict[int, tuple[int, Part]]:
    """The offset to go on from, for each partition; waits for ClickHouse.

    The last stored record is read again: it may have been stored in part.
    """
    for table in stream.tables:
        await writer.prepare(table)
    floors = {p: b.committed or 0 for p, b in bounds.items() if b.end > 0 and b.again_from is None}
    stored = {
        (table.name, lane): await _last_places(table, topic, floors, writer, lane)
        for table in stream.checkpoints
        for lane in range(writer.lanes(table.name))
    }
    end = await ends()
    parts: dict[int, tuple[int, Part]] = {}
    for partition, bound in bounds.items():
        if bound.again_from is not None:
            start = max(bound.again_from, bound.first)
            log.warning("%s/%s is read again, from %d up to %d", topic, partition, start, bound.mark.until)
            parts[partition] = (start, Part(Deduplicator(WINDOW // len(bounds)), {}))
            continue
        lasts = {lane: places.get(partition, START) for lane, places in stored.items()}
        committed = bound.first if bound.committed is None else bound.committed
        start = max(committed, min(place[0] for place in lasts.values()), bound.first)
        if max(start, *(place[0] + 1 for place in lasts.values())) > end[partition]:
            # Kafka lost its end, or the topic was recreated: its present records are not the stored ones
            log.error("%s/%s: more is stored than Kafka has (%s); it is read again", topic, partition, lasts)
            lasts, start = {}, bound.first
        parts[partition] = (start, Part(Deduplicator(WINDOW // len(bounds)), lasts, writer.lane_of))
    if stream.remembers:
        await _remember(topic, {p: (start, part) for p, (start, part) in parts.items() if part.stored}, writer)
    return parts


async def _last_places(
    table: Table, topic: str, floors: dict[int, int], writer: Writer, lane: int
) -> dict[int, tuple[int, int]]:
    """Returns the last place of each partition up to which the table and its views' tables have all rows."""
    names = (table.name, *table.views)
    all_places = [await writer.last_places(name, topic, floors, lane) for name in names]
    return {p: min(places.get(p, START) for places in all_places) for p in floors}


async def _remember(topic: str, parts: dict[int, tuple[int, Part]], writer: Writer) -> None:
    floors = {p: max(0, start - LOOK_BACK) for p, (start, _) in parts.items()}
    for partition, origin in await writer.highest_origins(topic, floors):
        parts[partition][1].seen.reach(origin)
    most = WINDOW // len(parts) if parts else 0
    for partition, workspace, environment, key in await writer.recent_ids(topic, RECENT_MINUTES, most):
        if partition in parts:
            parts[partition][1].seen.recent.add(known_as(workspace, environment, key))


async def committed_of(settings: Settings) -> dict[TopicPartition, OffsetAndMetadata]:
    """The committed offsets of the sink's group, with their notes; waits for the broker."""

    async def read() -> dict[TopicPartition, OffsetAndMetadata]:
        admin = AIOKafkaAdminClient(**connection(settings))
        try:
            await admin.start()
            committed = await admin.list_consumer_group_offsets(topics.app_id(topics.CLICKHOUSE_GROUP, settings))
        finally:
            await admin.close()
        return {tp: entry for tp, entry in committed.items() if entry.offset >= 0}

    def report(error: Exception, pause_s: float) -> None:
        log.warning("reading committed offsets failed, retrying in %g s: %r", pause_s, error)

    return await retried(read, KafkaError, report, RETRY_S)
