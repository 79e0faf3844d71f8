"""Records of one topic in; their rows stored, their receipts sent, and the offsets that may be committed, out.

1. Rows are stored, then receipts are sent, then the offsets may be committed. A crash between any two repeats work;
   the stored places and the tables' keys make that harmless.
2. A single event is stored at once. Under load the next block gathers while a block is stored, and then for four times
   as long as that took, so a stream keeps the database busy a fifth of the time. Storing and waiting take ``block_ms``
   at most, but the wait is at least half of the storing: a slow database gets fewer and larger blocks, and other
   processes of its machine keep their pace.
3. Refused rows are halved until the bad row is found; it goes to quarantine, and the other rows are stored.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from schemas.control.erasure import Erased
from schemas.records.codec import UnknownSchemaError
from schemas.records.sameness import id_in
from schemas.service import clock
from schemas.settings import Settings
from schemas.tracing.spans import Tracer, traced
from sinks.clickhouse.block import Block, Buffer, halves
from sinks.clickhouse.outcome_rows import passed_over
from sinks.clickhouse.publish import SinkPublisher
from sinks.clickhouse.rows import QUARANTINE, Item, Table
from sinks.clickhouse.streams import Part, Stream
from sinks.clickhouse.writer import RowsRefusedError, Writer

log = logging.getLogger(__name__)

ROW_BYTES = 200
"""Bytes of an ordinary event in Kafka: they convert the rows of a block to bytes in the buffer."""
GATHER, REST = 4.0, 0.5


class TooManyRefusedError(Exception):
    """So many records are refused that the data are hardly at fault; the sink stops for a person to look."""


class DlqLimit:
    """Limits refused records: a hundred at first, and one more for every thousand stored rows."""

    def __init__(self, most: int = 100, rows_each: int = 1000) -> None:
        self._most = most
        self._each = rows_each
        self._left = float(most)

    def stored(self, rows: int) -> None:
        self._left = min(self._most, self._left + rows / self._each)

    def refused(self, what: str) -> None:
        """Counts a refused record; raises ``TooManyRefusedError`` over the limit."""
        self._left -= 1
        if self._left < 0:
            raise TooManyRefusedError(f"over {self._most} records refused, the last one: {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkContext:
    """The shared context of all inserters."""

    settings: Settings
    writer: Writer
    publisher: SinkPublisher
    dlq_limit: DlqLimit
    on_space: Callable[[], None]
    """Called when a lane can take records again."""
    erased: Erased
    """Erasures, whose contacts' earlier records are skipped."""
    tracer: Tracer | None = None


class StreamInserter:
    """Inserts the rows of a stream, from the assignment of its partitions on."""

    def __init__(self, stream: Stream, topic: str, context: SinkContext) -> None:
        self._stream = stream
        self._topic = topic
        self._counts = context.writer.counts
        self._writer = context.writer
        self._publisher = context.publisher
        self._dlq_limit = context.dlq_limit
        self._on_space = context.on_space
        self._erased = context.erased
        self._tracer = context.tracer
        self._rows = context.settings.block_rows
        self._block_s = context.settings.block_ms / 1000
        self._parts: dict[int, Part] = {}
        self._expected: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._buffer = Buffer(stream, topic)
        self._filled = asyncio.Event()
        self._enough = asyncio.Event()
        self._busy = asyncio.Lock()
        self._refused: set[str] = set()
        self._storing: Block | None = None
        self.done: dict[int, int] = {}
        """The next offset of each partition: everything before it is stored."""

    def begin(self, partition: int, offset: int, part: Part) -> None:
        self._parts[partition] = part
        self._expected[partition] = self._first[partition] = offset

    def place(self, partition: int) -> int:
        """Everything before this offset is stored, or need not be."""
        return self.done.get(partition, self._first.get(partition, 0))

    def put(self, partition: int, records: Iterable[Any]) -> None:
        """Take records; skips those that come twice around a seek."""
        fresh = [r for r in records if r.offset >= self._expected[partition]]
        if not fresh:
            return
        self._expected[partition] = fresh[-1].offset + 1
        self._buffer.put(partition, fresh)
        self._filled.set()
        if self._buffer.bytes >= self._rows * ROW_BYTES:
            self._enough.set()

    @property
    def topic(self) -> str:
        """Its name in the catalogue."""
        return self._stream.topic.name

    @property
    def topic_on_cluster(self) -> str:
        return self._topic

    @property
    def oldest_ms(self) -> int | None:
        """The time of the oldest record that is taken and not stored, or ``None``."""
        times = (self._buffer.oldest_ms, None if self._storing is None else self._storing.oldest_ms)
        return min((at for at in times if at is not None), default=None)

    @property
    def is_full(self) -> bool:
        return self._buffer.bytes >= 2 * self._rows * ROW_BYTES

    async def run(self) -> None:
        """Runs for ever; raises an error if going on would lose data."""
        while True:
            with clock.timing(self._counts.seconds, "wait"):
                await self._filled.wait()
            began = time.perf_counter()
            await self._next()
            took = time.perf_counter() - began
            with clock.timing(self._counts.seconds, "wait"):
                await self._gather(max(REST * took, min(GATHER * took, self._block_s - took)))

    async def _next(self) -> None:
        async with self._busy:
            with clock.timing(self._counts.seconds, "decide"):
                block = self._buffer.cut(self._rows)
            if not self._buffer:
                self._filled.clear()
            if not self.is_full:
                self._on_space()
            self._storing = block
            with traced(self._tracer, block.traced, "store"):
                await self._store(block)
            self._storing = None

    async def end(self) -> None:
        """Return when the block that is being stored is done; no other one begins."""
        await self._busy.acquire()

    async def _gather(self, seconds: float) -> None:
        if self._buffer.bytes < self._rows * ROW_BYTES:
            self._enough.clear()
            try:
                async with asyncio.timeout(max(0.0, seconds)):
                    await self._enough.wait()
            except TimeoutError:
                return

    async def _store(self, block: Block) -> None:
        for record, error in block.broken:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            if isinstance(error, UnknownSchemaError):
                self._allow(place, str(error))
            else:  # one producer of invalid bytes must not stop the others
                log.error("%s/%s/%s refused: %s", *place.values(), error, extra=place)
            await self._publisher.record(self.topic, record, str(error))
            self._counts.records[self.topic, "quarantined"] += 1
        kept = self._kept(block.items)
        with clock.timing(self._counts.seconds, "decide"):
            work = await self._stream.sort(kept, self._parts, self._writer.stored_places)
        if self._stream.remembers and len(kept) < len(block.items):
            work.inserts.insert(0, passed_over([item for item in block.items if self._erased.covers(item.datum)]))
        for item, reason in work.unusable:
            await self._refuse(item, reason)
        for group in work.inserts:
            with clock.timing(self._counts.seconds, "state"):
                async with asyncio.TaskGroup() as inserts:
                    for table, items in group.items():
                        if items:
                            inserts.create_task(self._insert(table, items))
        for waiting in work.receipts.values():
            waiting[:] = [r for r in waiting if id_in(r["event_id"]) not in self._refused]
        self._refused.clear()
        with clock.timing(self._counts.seconds, "publish"):
            await self._publisher.receipts(work.receipts)
        self.done.update(block.next_offsets)
        self._note(block)

    def _note(self, block: Block) -> None:
        """Count a block that is stored, and how long its records and events took."""
        counts, now_ms = self._counts, time.time() * 1000
        counts.records[self.topic, "done"] += len(block.times_ms)
        for at_ms in block.times_ms:
            counts.latency[self.topic].observe(max(0.0, now_ms - at_ms) / 1000)
        if self._stream.remembers:  # the stream of events
            # the events of a request came at the same time
            for at_ms, events in Counter([item.datum["received_ms"] for item in block.items]).items():
                counts.event_age.observe(max(0.0, now_ms - at_ms) / 1000, events)

    def _kept(self, items: list[Item]) -> list[Item]:
        if not self._erased:
            return items
        return [item for item in items if not self._erased.covers(item.datum)]

    async def _insert(self, table: Table, items: list[Item]) -> None:
        try:
            await self._writer.insert(table, self._topic, items)
        except RowsRefusedError as error:
            if len(items) == 1:
                await self._refuse(items[0], f"{table.name}: {error}")
                return
            for half in halves(items):
                await self._insert(table, half)
        else:
            self._dlq_limit.stored(len(items))

    async def _refuse(self, item: Item, reason: str) -> None:
        place = {"topic": self._topic, "partition": item.partition, "offset": item.offset}
        fields = {name: item.datum.get(name, "") for name in ("workspace", "event_id")}
        self._allow({**place, "index": item.nth}, reason, **fields)
        self._refused.add(item.datum.get("event_id", ""))
        self._counts.records[self.topic, "quarantined"] += 1
        if self._stream.remembers:
            self._parts[item.partition].seen.forget(item.datum)
        if QUARANTINE not in self._stream.tables:  # else it would come round for ever; the topic keeps it
            await self._publisher.item(self.topic, item, self._stream.encode(item.datum), reason)

    def _allow(self, place: dict[str, Any], reason: str, **fields: str) -> None:
        where = "/".join(map(str, place.values()))
        log.error("%s refused: %s", where, reason[:500], extra={**place, **fields})
        self._dlq_limit.refused(f"{where}: {reason[:500]}")
