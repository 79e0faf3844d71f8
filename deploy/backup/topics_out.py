"""Topics under load in, one file of records a partition out, cut at a state that a crash could have left.

1. A first pass reads all present records in any order. A second pass reads the rest, up to ends that are queried in an
   order: those of the changelogs at once, then each topic's before those of its source topics. So the copy has no
   state and no record without its causes, and no state without its effects, as after a crash.
2. The rest is short and lies in segments that are still written, which a broker does not compact: no record of a
   compacted topic is replaced by one that comes after the end.
"""

from collections.abc import Iterable
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.backup.manifest import PartitionCopy
from deploy.backup.record_files import RecordFile
from schemas import topics
from schemas.service.kafka import started
from schemas.service.kafka_auth import connection
from schemas.settings import Settings

ORDER = (
    topics.ATTEMPTS,
    topics.DELIVERIES,
    topics.CHANGES,
    topics.ABSORBS,
    topics.RESOLVED,
    topics.MERGES,
    topics.LINKS,
    topics.EVENTS,
    topics.LAUNCHES,
    topics.QUARANTINE,
    topics.CONTROL,
)
"""Causes after what follows from them. `receipts`, `refusals` and `webhook-tests` are kept for an hour: left out."""
LITTLE, MOST_ROUNDS = 20_000, 5


def changelogs(settings: Settings) -> list[str]:
    """Their names on the cluster."""
    return [topics.changelog(app, table, settings) for app, tables in topics.TABLES.items() for table in tables]


def names(settings: Settings) -> list[str]:
    """Of every topic that is backed up, on the cluster."""
    return [*changelogs(settings), *(topics.name(topic, settings) for topic in ORDER)]


class TopicsReader:
    """Reads each partition from where it stopped up to the given end."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._files: dict[TopicPartition, RecordFile] = {}
        self._first: dict[TopicPartition, int] = {}
        self._end: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Raises ``KafkaError`` where a topic is missing."""
        options = {**connection(self._settings), "enable_auto_commit": False, "fetch_max_bytes": 8 << 20}
        self._consumer = await started(self._settings, lambda: AIOKafkaConsumer(**options))
        parts = [tp for name in names(self._settings) for tp in await self._parts(name)]
        self._consumer.assign(parts)
        self._first = await self._consumer.beginning_offsets(parts)
        for tp in parts:
            self._consumer.seek(tp, self._first[tp])
            self._files[tp] = RecordFile(self._folder / self._file(tp))

    async def stop(self) -> None:
        for file in self._files.values():
            file.close()
        await self._consumer.stop()

    async def read_most(self) -> None:
        """Until little is left, or more comes than can be read."""
        for _ in range(MOST_ROUNDS):
            ends = await self._consumer.end_offsets(list(self._files))
            left = sum([ends[tp] - await self._consumer.position(tp) for tp in ends])
            await self._read_to(ends)
            if left < LITTLE:
                return

    async def read_rest(self) -> None:
        """Up to ends that agree with each other."""
        logs = [tp for name in changelogs(self._settings) for tp in await self._parts(name)]
        self._end = await self._consumer.end_offsets(logs)
        for topic in ORDER:
            self._end |= await self._consumer.end_offsets(await self._parts(topics.name(topic, self._settings)))
        await self._read_to(self._end)

    def copies(self) -> dict[str, list[PartitionCopy]]:
        """By the topics' names without the prefix."""
        copies: dict[str, list[PartitionCopy]] = {}
        for tp in sorted(self._files):
            copy = PartitionCopy(
                first=self._first[tp], end=self._end[tp], records=self._files[tp].count, file=self._file(tp)
            )
            copies.setdefault(tp.topic.removeprefix(self._settings.topic_prefix), []).append(copy)
        return copies

    async def _parts(self, name: str) -> list[TopicPartition]:
        partitions = await self._consumer._client._wait_on_metadata(name)  # noqa: SLF001 - the public call knows no new topic
        return [TopicPartition(name, partition) for partition in sorted(partitions)]

    def _file(self, tp: TopicPartition) -> str:
        return f"topics/{tp.topic.removeprefix(self._settings.topic_prefix)}/{tp.partition}.avro"

    async def _read_to(self, ends: dict[TopicPartition, int]) -> None:
        waiting = {tp for tp in ends if await self._consumer.position(tp) < ends[tp]}
        self._consumer.pause(*(tp for tp in self._files if tp not in waiting))
        self._consumer.resume(*waiting)
        while waiting:
            for tp, records in (await self._consumer.getmany(timeout_ms=500)).items():
                self._keep(tp, (record for record in records if tp in waiting and record.offset < ends[tp]))
            # by the position, which passes over what was compacted away
            for tp in [tp for tp in waiting if await self._consumer.position(tp) >= ends[tp]]:
                waiting.discard(tp)
                self._consumer.seek(tp, ends[tp])
                self._consumer.pause(tp)

    def _keep(self, tp: TopicPartition, records: Iterable[object]) -> None:
        for record in records:
            self._files[tp].add(record)
