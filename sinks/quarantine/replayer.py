"""Jobs of `control` in; records of quarantine sent again or discarded, and their outcomes in ClickHouse, out.

1. One process does all jobs, one after the other, oldest first.
2. The process announces a replay in `quarantine_outcomes` with the end of its topic, sends the record, then notes its
   place. After a crash it searches Kafka, from that end on, for announced records without a note, by their header: it
   notes those that it finds, and sends the others. So no record is sent twice.
3. A record that cannot be replayed stays as it is; the job counts such records by reason.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas import topics
from schemas.control.control_state import encode
from schemas.control.erasure import Erased
from schemas.control.quarantine_jobs import DISCARD, KIND, QuarantineFilter, QuarantineJob, QuarantineJobs, id_of
from schemas.retry import repeated
from schemas.service import clock
from schemas.service.exposition import Sample
from schemas.service.kafka import started_producer
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from sinks.clickhouse.connect import FOREVER_S, writing
from sinks.quarantine import entries
from sinks.quarantine.announced import Announced, found_in
from sinks.quarantine.decision import QuarantineEntry, judge

log = logging.getLogger(__name__)

HEADER = "headwater-replay-of"
"""Header of a replayed record: the id of its record in quarantine."""
IDS, AT_ONCE = 500, 20
"""Records of a page of a job, and of one query for their bytes, which are up to 1 MB each."""
LOOK_S = 0.1
COUNT_EVERY_S = 60.0
RETRY_S, LONGEST_RETRY_S = 0.5, 30.0
COLUMNS = (
    *("topic", "partition", "offset", "index", "workspace", "outcome", "job", "replays"),
    *("replay_partition", "replay_offset", "at", "step"),
)


class QuarantineReplayer:
    """Carries out replays and discards; runs in the first sink."""

    def __init__(self, settings: Settings, jobs: QuarantineJobs, erased: Erased) -> None:
        self._settings = settings
        self._jobs = jobs
        self._erased = erased
        self._is_clean = False
        """Whether every announced replay has its outcome."""
        self._counted: tuple[int, int] | None = None
        self._count_at = 0.0

    def samples(self) -> Iterator[Sample]:
        """Yields no samples before the first query."""
        if self._counted is not None:
            count, oldest_ms = self._counted
            age_s = max(0.0, (clock.now_ms() - oldest_ms) / 1000) if count else 0.0
            yield Sample("headwater_quarantine_open_records", (), count)
            yield Sample("headwater_quarantine_open_oldest_seconds", (), age_s)

    async def run(self) -> None:
        """Runs for ever; logs errors and retries."""
        self._client: AsyncClient = await writing(self._settings, FOREVER_S)

        def report(error: Exception, pause_s: float) -> None:
            self._is_clean = False
            log.warning("quarantine: retrying in %.1f s: %s", pause_s, str(error)[:500])

        errors = (ClickHouseError, KafkaError, TimeoutError)
        try:
            await repeated(self._turn, LOOK_S, errors, report, retry_s=(RETRY_S, LONGEST_RETRY_S))
        finally:
            await self._client.close()

    async def _turn(self) -> None:
        jobs, is_count_due = self._jobs.open(), time.monotonic() >= self._count_at
        if is_count_due:
            jobs += self._jobs.outdated(clock.now_ms())
        if jobs:
            producer = await started_producer(self._settings)
            try:
                await self._do(producer, jobs)
            finally:
                # a record that was handed over and not acknowledged must not arrive after the search for it
                await producer.stop()
        if is_count_due or time.monotonic() >= self._count_at:
            self._counted = (await self._client.query(entries.OLDEST)).result_rows[0]  # type: ignore[assignment]
            self._count_at = time.monotonic() + COUNT_EVERY_S

    async def _do(self, producer: AIOKafkaProducer, jobs: Sequence[QuarantineJob]) -> None:
        for job in jobs:
            if job.done_ms:
                await self._put(producer, job, None)
                continue
            refused: Counter[str] = Counter()
            if job.action == DISCARD:
                await self._client.command(entries.DISCARD, self._parameters(job) | {"job": job.id})
            else:
                refused = await self._replay(producer, job)
            rows = (await self._client.query(entries.DONE, {"job": job.id})).result_rows
            counts: dict[str, int] = {outcome: count for outcome, count in rows}  # noqa: C416 - rows are typed loosely
            done = {"counts": counts, "refused": dict(refused), "done_ms": clock.now_ms()}
            await self._put(producer, job, job.model_copy(update=done))
            self._count_at = 0.0
            log.info("quarantine: %s %s is done: %s, refused %s", job.action, job.id, counts, dict(refused))

    async def _put(self, producer: AIOKafkaProducer, job: QuarantineJob, now: QuarantineJob | None) -> None:
        key, value = encode(KIND, now or job)
        await producer.send_and_wait(topics.name(topics.CONTROL, self._settings), value if now else None, key=key)
        self._jobs.apply(key, value if now else None)

    async def _replay(self, producer: AIOKafkaProducer, job: QuarantineJob) -> Counter[str]:
        """Send the replayable records; returns the number of refused ones by reason."""
        consumer = AIOKafkaConsumer(**connection(self._settings), enable_auto_commit=False)
        await consumer.start()
        refused: Counter[str] = Counter()
        try:
            if not self._is_clean:
                await self._note_announced(consumer)
                self._is_clean = True
            after = (0, "")
            while page := await self._ids(job, after):
                for at in range(0, len(page), AT_ONCE):
                    entries_of = await self._entries(job, [record_id for _, record_id in page[at : at + AT_ONCE]])
                    verdicts = [judge(entry, self._erased, self._settings.partitions) for entry in entries_of]
                    refused.update(verdict.code for verdict in verdicts if not verdict.replays)
                    sends = [entry for entry, verdict in zip(entries_of, verdicts, strict=True) if verdict.replays]
                    if sends:
                        await self._send(producer, consumer, job, sends)
                after = page[-1]
        finally:
            await consumer.stop()
        return refused

    async def _ids(self, job: QuarantineJob, after: tuple[int, str]) -> list[tuple[int, str]]:
        parameters = self._parameters(job) | {"after_ms": after[0], "after_id": after[1], "limit": IDS}
        rows = (await self._client.query(entries.OPEN_IDS, parameters)).result_rows
        return [(at_ms, record_id) for at_ms, record_id in rows]

    async def _entries(self, job: QuarantineJob, ids: Sequence[str]) -> list[QuarantineEntry]:
        result = await self._client.query(entries.ONE, self._parameters(job, ids))
        return [entries.entry_of(dict(row)) for row in result.named_results()]

    async def _send(
        self,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        job: QuarantineJob,
        sends: Sequence[QuarantineEntry],
    ) -> None:
        ends = await consumer.end_offsets({self._place(entry) for entry in sends})
        await self._note(job, sends, [ends[self._place(entry)] for entry in sends], "replaying")
        places = await asyncio.gather(*[await self._sent(producer, entry) for entry in sends])
        await self._note(job, sends, [place.offset for place in places], "replayed")

    async def _sent(self, producer: AIOKafkaProducer, entry: QuarantineEntry) -> "asyncio.Future[Any]":
        tp = self._place(entry)
        sent: asyncio.Future[Any] = await producer.send(
            tp.topic,
            entry.payload,
            key=entry.key or None,
            partition=tp.partition,
            headers=[(HEADER, id_of(entry.id).encode())],
        )
        return sent

    async def _note(
        self, job: QuarantineJob, sends: Sequence[QuarantineEntry], offsets: Sequence[int], outcome: str
    ) -> None:
        at, step = clock.now_ms(), 1 + (outcome == "replayed")
        rows = [
            [*send.id, send.workspace, outcome, job.id, send.replays + 1, send.id[1], offset, at, step]
            for send, offset in zip(sends, offsets, strict=True)
        ]
        await self._client.insert("quarantine_outcomes", rows, column_names=COLUMNS)

    async def _note_announced(self, consumer: AIOKafkaConsumer) -> None:
        """Look for announced records in Kafka, and note the places of those found."""
        rows = (await self._client.query(entries.ANNOUNCED)).result_rows
        announced = [Announced((row[0], row[1], row[2], row[3]), *row[4:]) for row in rows]
        offsets = await found_in(consumer, announced, HEADER, self._name)
        at = clock.now_ms()
        noted = [
            [
                *record.id,
                record.workspace,
                "replayed",
                record.job,
                record.replays,
                record.partition,
                offsets[record.id],
                at,
                2,
            ]
            for record in announced
            if record.id in offsets
        ]
        if noted:
            log.warning("quarantine: %d replays of before stand in Kafka and are not sent again", len(noted))
            await self._client.insert("quarantine_outcomes", noted, column_names=COLUMNS)

    def _place(self, entry: QuarantineEntry) -> TopicPartition:
        return TopicPartition(self._name(entry.id[0]), entry.id[1])

    def _name(self, topic: str) -> str:
        return self._settings.topic_prefix + topic

    @staticmethod
    def _parameters(job: QuarantineJob, ids: Sequence[str] | None = None) -> dict[str, Any]:
        chosen: QuarantineFilter = job.filter
        if ids is not None:
            chosen = chosen.model_copy(update={"ids": tuple(ids)})
        return entries.parameters(chosen, job.workspace, unowned=job.unowned)
