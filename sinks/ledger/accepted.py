"""The topic `events` in; the number of events in each minute, by tenant and source, as rows of `accepted` out.

1. Accepted events are the events on `events`: a 2xx means that, and the pipeline also processes a record whose edge
   died before its answer. So the edges keep no count, and a crash of an edge loses none.
2. A record of many events has their number by origin in a header. Other records are read.
3. The ledger has a consumer of its own, independent of the stages that it checks. It must not hold up the sink, so it
   reads every few seconds, and slowly when there is much to read.
4. The table holds the position: a round's rows are one insert, which is stored as a whole or not at all, and a repeated
   insert has the same keys. Nothing is committed to Kafka.
5. If a part of the table breaks, or the table is gone, the ledger counts again from all records that Kafka has.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas import topics
from schemas.record_batches import Origin, origins_in
from schemas.records import codec
from schemas.records.codec import UndecodableError
from schemas.records.outcomes import LATEST_MS
from schemas.service import clock
from schemas.service.kafka import started
from schemas.service.kafka_auth import METADATA_MAX_AGE_MS, connection
from schemas.settings import Settings
from schemas.times import MINUTE_MS

log = logging.getLogger(__name__)

ROUND_S = 5.0
RECENT = 24 * 60
"""Minutes."""
RECORDS = 200
"""The records of one turn; a pause as long as the turn follows, in which the sink's lanes run."""
COLUMNS = ("workspace", "environment", "minute", "source", "events", "_partition", "_first", "_last")
SETTINGS = {"async_insert": "0"}
TABLE = "accepted"
_ORIGIN = itemgetter("workspace", "environment", "source", "received_ms")
_LAST = "SELECT _partition, max(_last) FROM accepted GROUP BY _partition"
CHECK_S = 15.0
_BROKEN = "SELECT name FROM system.detached_parts WHERE database = currentDatabase() AND table = {table:String}"


@dataclass(slots=True)
class Run:
    """Records of one partition that follow each other."""

    first: int
    last: int
    events: Counter[Origin] = field(default_factory=Counter)

    def add(self, record: Any) -> None:
        """Counts the events of a record; an undecodable record has no workspace to count for."""
        self.last = record.offset
        counted = origins_in(record.headers)
        if counted is not None:
            self.events.update(counted)
            return
        try:
            events = codec.skim_events(record.value or b"")
        except UndecodableError:
            return  # the identity stage puts it into quarantine
        # the events of a request came at the same time
        for (workspace, environment, source, received_ms), count in Counter(map(_ORIGIN, events)).items():
            minute = min(max(received_ms, 0), LATEST_MS) // MINUTE_MS
            self.events[workspace, environment, source, minute] += count

    @property
    def is_recent(self) -> bool:
        """Whether a row of it stays in the table for days."""
        return any(minute > clock.now_ms() // MINUTE_MS - RECENT for *_, minute in self.events)


def rows_of(runs: dict[int, Run]) -> list[tuple[Any, ...]]:
    """Values of ``COLUMNS``."""
    return [
        (workspace, environment, minute * 60, source, events, partition, run.first, run.last)
        for partition, run in runs.items()
        for (workspace, environment, source, minute), events in run.events.items()
    ]


class AcceptedReader:
    """Counts accepted events; runs in the first sink."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = topics.name(topics.EVENTS, settings)
        self._parts = [TopicPartition(self._name, p) for p in range(settings.partitions)]
        self._counted: dict[int, int] = {}
        """The last offset of each partition that has rows in the table."""

    async def run(self, client: AsyncClient) -> None:
        """Run for ever; a failure is logged, and counting resumes from the position in the table."""
        while True:
            consumer = None
            try:
                await _remove_broken(client)
                consumer = await self._opened(client)
                checked = time.monotonic()
                while True:
                    await self._round(client, consumer)
                    await asyncio.sleep(ROUND_S)
                    if time.monotonic() - checked > CHECK_S:
                        checked = time.monotonic()
                        if not await self._is_whole(client):
                            break
            except (ClickHouseError, KafkaError) as error:
                log.warning("counting accepted events waits: %s", str(error)[:300])
                await asyncio.sleep(ROUND_S)
            finally:
                if consumer is not None:
                    await consumer.stop()

    async def _is_whole(self, client: AsyncClient) -> bool:
        """Whether the table has every counted row: no part is put aside, nor is the table missing."""
        if (await client.query(_BROKEN, {"table": TABLE})).result_rows:
            return False
        lasts = await _lasts(client)
        return all(lasts.get(partition, -1) >= last for partition, last in self._counted.items())

    async def _opened(self, client: AsyncClient) -> AIOKafkaConsumer:
        consumer = await started(
            self._settings,
            lambda: AIOKafkaConsumer(
                **connection(self._settings),
                auto_offset_reset="none",
                enable_auto_commit=False,
                # fetched records wait here until the next round, so this bounds their memory
                fetch_max_bytes=2 << 20,
                max_partition_fetch_bytes=1 << 20,
                fetch_max_wait_ms=5000,
                metadata_max_age_ms=METADATA_MAX_AGE_MS,
            ),
        )
        try:
            consumer.assign(self._parts)
            for tp, offset in (await self._positions(client, consumer)).items():
                consumer.seek(tp, offset)
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    async def _positions(self, client: AsyncClient, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        lasts = await _lasts(client)
        first = await consumer.beginning_offsets(self._parts)
        end = await consumer.end_offsets(self._parts)
        self._counted = {}
        positions, is_whole = {}, True
        for tp in self._parts:
            following = lasts.get(tp.partition, -1) + 1
            if following > end[tp]:
                log.error("%s/%d was made again; it is counted from its beginning", self._name, tp.partition)
                following = first[tp]
            is_whole &= following >= first[tp]
            positions[tp] = max(following, first[tp])
        if not is_whole:
            times = await consumer.offsets_for_times(dict.fromkeys(self._parts, 0))
            await self._begin(client, max((offset.timestamp for offset in times.values() if offset), default=0))
        return positions

    async def _begin(self, client: AsyncClient, since_ms: int) -> None:
        """Note that minutes before the next one cannot be counted any more."""
        minute = since_ms // MINUTE_MS + 2
        log.warning("Kafka has the beginning of %s no longer: the ledger begins with what it has", self._name)
        await _insert(client, [("", "", minute * 60, "", 0, -1, 0, 0)])

    async def _round(self, client: AsyncClient, consumer: AIOKafkaConsumer) -> None:
        """Counts up to the present end of the topic."""
        ends = await consumer.end_offsets(self._parts)
        while any([await consumer.position(tp) < ends[tp] for tp in self._parts]):
            began = time.monotonic()
            fetched = await consumer.getmany(timeout_ms=1000, max_records=RECORDS)
            runs = {tp.partition: await _run_of(records) for tp, records in fetched.items() if records}
            if rows := rows_of(runs):
                await _insert(client, rows)
                self._counted |= {partition: run.last for partition, run in runs.items() if run.is_recent}
            await asyncio.sleep(time.monotonic() - began)


async def _run_of(records: Iterable[Any]) -> Run:
    run: Run | None = None
    for record in records:
        run = run or Run(record.offset, record.offset)
        run.add(record)
        await asyncio.sleep(0)  # the sink's lanes share this loop
    assert run is not None  # noqa: S101 - there is a record
    return run


async def _lasts(client: AsyncClient) -> dict[int, int]:
    """The last offset of each partition that has rows."""
    return {int(partition): int(last) for partition, last in (await client.query(_LAST)).result_rows}


async def _remove_broken(client: AsyncClient) -> None:
    """Empty the table if some of its rows are unreadable: the lost minutes are unknown."""
    broken = [name for (name,) in (await client.query(_BROKEN, {"table": TABLE})).result_rows]
    if not broken:
        return
    log.error("parts of %s broke (%s): counting accepted events again", TABLE, ", ".join(broken))
    await client.command(f"TRUNCATE TABLE {TABLE}")
    for name in broken:
        drop = f"ALTER TABLE {TABLE} DROP DETACHED PART {{part:String}} SETTINGS allow_drop_detached = 1"
        await client.command(drop, {"part": name})


async def _insert(client: AsyncClient, rows: list[tuple[Any, ...]]) -> None:
    await client.insert(TABLE, rows, column_names=COLUMNS, settings=SETTINGS)
