"""Topics in; rows to viewers out: all viewers share one consumer without a group, which runs only for viewers.

1. It starts with the first viewer, at the last few records, and stops ``LINGER_S`` after the last one.
2. Decoding has a budget of ``BUDGET_S`` CPU seconds a second; the feed counts the events beyond it without decoding
   them. Under load it decodes later stages' records only if they name a shown event, or, for viewers of duplicates,
   in half of that time.
3. Stored and judged events are those below the committed offsets of the sink and of segments.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.records import codec
from schemas.service import clock
from schemas.service.kafka import started
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from sinks.console.live import rows
from sinks.console.live.board import LiveBoard
from sinks.console.live.viewer import LiveViewer

log = logging.getLogger(__name__)

LINGER_S = 30.0
BUDGET_S = 0.15
QUIET_S = 0.005
"""If a second costs less than so much time, the feed reads every event."""
PACE_S = 0.2
"""The pause between two polls after a busy second: a fetch costs more than its records."""
LOOK_S = 0.12
AGAIN_MS = 10_000
"""A feed that broke while it had viewers begins again so far back: viewers recognise shown rows by their ids."""
MOST_RECORDS = 500
BACK = 8
"""Earlier records of each partition to read when the first viewer comes."""
MOST_BACK = 2000
WATCHED = (topics.EVENTS, topics.RESOLVED, topics.CHANGES, topics.QUARANTINE, topics.REFUSALS)


class LiveFeed:
    """``board`` holds the rows that viewers share."""

    def __init__(self, settings: Settings, linger_s: float = LINGER_S) -> None:
        self._settings = settings
        self._linger_s = linger_s
        self.board = LiveBoard()
        self.share = 1.0
        """The share of the last second's events that the feed read."""
        self._task: asyncio.Task[None] | None = None
        """The task that reads; ``None`` as soon as it has decided to end."""
        self._ending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()
        self._seq = 0
        self._incomplete = self.board.incomplete()
        self._passed_over: list[Any] = []
        self._spent_s = self._last_spent_s = self._second = 0.0
        self._read = self._skipped = 0
        self._past_until: dict[TopicPartition, int] = {}
        self._names = {topics.name(topic, settings): topic for topic in WATCHED}
        self._resolved_parts = _partitions(topics.RESOLVED, settings)
        self._coordinators: dict[str, int] = {}

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        tasks = {*self._ending, *([self._task] if self._task is not None else [])}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def watching(self, viewer: LiveViewer, since_ms: int | None) -> AsyncIterator[None]:
        """Sends rows to the viewer inside the context. ``since_ms`` adds rows that changed since then."""
        viewer.came_ms, viewer.since_ms = clock.now_ms(), since_ms
        if self.is_running:
            if since_ms is not None:
                viewer.follow_up(self._earlier(viewer, since_ms))
            for row in self.board.since(since_ms if since_ms is not None else 0):
                viewer.offer(row, clock.now_ms(), is_older=True)
        elif not self.board.viewers:
            self.board = LiveBoard()  # no viewer would get its rows again
        self.board.viewers.append(viewer)
        self._ensure(since_ms)
        try:
            yield
        finally:
            viewer.left_ms = clock.now_ms()

    def _earlier(self, viewer: LiveViewer, since_ms: int) -> LiveViewer | None:
        """Returns an earlier viewer of the same rows, present or just gone."""
        like = (other for other in self.board.viewers if other.came_ms <= since_ms and other.is_like(viewer))
        return next(like, None)

    def _ensure(self, since_ms: int | None) -> None:
        if not self.is_running:
            self._task = asyncio.create_task(self._run(since_ms), name="live feed")

    async def wait(self, within_s: float) -> None:
        """Returns after new records, or after ``within_s``; restarts a broken feed."""
        self._ensure(clock.now_ms() - AGAIN_MS)
        async with self._news:
            try:
                async with asyncio.timeout(within_s):
                    await self._news.wait()
            except TimeoutError:
                return

    async def _run(self, since_ms: int | None) -> None:
        admin: Any = None
        consumer = await started(self._settings, self._consumer)
        try:
            admin = AIOKafkaAdminClient(**connection(self._settings))
            await admin.start()
            await self._seek(consumer, since_ms)
            looked_s = 0.0
            while self.board.keep_viewers(clock.now_ms() - self._linger_s * 1000):
                busy = bool(self.board.pending)
                began = time.monotonic()
                await self._poll(consumer, timeout_ms=80 if busy else 400)
                if busy and time.monotonic() - looked_s >= LOOK_S:
                    looked_s = time.monotonic()
                    # the next round asks a moved or missing coordinator again
                    with suppress(KafkaError):
                        await self._look(admin)
                async with self._news:
                    self._news.notify_all()
                if max(self._spent_s, self._last_spent_s) >= QUIET_S:
                    await asyncio.sleep(began + PACE_S - time.monotonic())
        except KafkaError:
            log.exception("the live view stops; it starts anew with its next viewer")
        finally:
            self._end()
            await consumer.stop()
            if admin is not None:
                await admin.close()

    def _end(self) -> None:
        """Detaches the task: closing takes a while, and a new viewer must not wait for a feed that ends."""
        task = asyncio.current_task()
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            if self._task is task:
                self._task = None

    def _consumer(self) -> Any:
        return AIOKafkaConsumer(
            **connection(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=500,
            metadata_max_age_ms=60_000,
        )

    async def _seek(self, consumer: Any, since_ms: int | None) -> None:
        """Seeks to the records since then, and at least to the last few of each partition."""
        parts = [tp for topic in WATCHED for tp in _partitions(topic, self._settings)]
        consumer.assign(parts)
        first, end = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        offsets = await consumer.offsets_for_times(dict.fromkeys(parts, since_ms)) if since_ms else {}
        for tp in parts:
            at = end[tp] - BACK
            if (offset := offsets.get(tp)) is not None:
                at = min(at, max(offset.offset, end[tp] - MOST_BACK))
                if offset.offset < end[tp] - MOST_BACK:
                    self.board.tell_of_gap()
            consumer.seek(tp, max(first[tp], at))
        self._past_until = end if since_ms is None else {}

    async def _poll(self, consumer: Any, timeout_ms: int) -> None:
        fetched = await consumer.getmany(timeout_ms=timeout_ms, max_records=MOST_RECORDS)
        by_topic: dict[str, list[Any]] = {}
        for tp, records in fetched.items():
            by_topic.setdefault(tp.topic, []).extend(records)
        for name in self._names:  # events before their results
            records = by_topic.get(name, [])
            is_resolved = self._names[name] is topics.RESOLVED
            if not records and not (is_resolved and self._passed_over):
                continue
            self._incomplete = self.board.incomplete()
            if is_resolved:
                # a result may precede its event: try the skipped results once more
                records = [*(record for record in self._passed_over if self._incomplete.are_in(record.value)), *records]
                self._passed_over = []
            for record in records:
                try:
                    self._take(name, record)
                except codec.UndecodableError as error:
                    log.warning("the live view passes over a record of %s: %s", name, error)
                if self._spent_s > BUDGET_S:
                    await asyncio.sleep(0)

    def _take(self, name: str, record: Any) -> None:
        now, began = time.monotonic(), time.thread_time()
        if now - self._second >= 1:
            total = self._read + self._skipped
            self.share = self._read / total if total else 1.0
            # after a pause, the second before was a quiet one
            self._last_spent_s = self._spent_s if now - self._second < 2 else 0.0
            self._second, self._spent_s, self._read, self._skipped = now, 0.0, 0, 0
        take: Callable[[Any], None] = {
            topics.EVENTS: self._events,
            topics.RESOLVED: self._resolved,
            topics.CHANGES: self._changes,
            topics.QUARANTINE: self._quarantined,
            topics.REFUSALS: self._refusals,
        }[self._names[name]]
        take(record)
        self._spent_s += time.thread_time() - began

    def _is_past(self, record: Any) -> bool:
        return bool(record.offset < self._past_until.get(TopicPartition(record.topic, record.partition), 0))

    def _events(self, record: Any) -> None:
        now, past, watched = clock.now_ms(), self._is_past(record), self.board.watched()
        if not past and self._spent_s >= BUDGET_S:
            self._skipped += 1
            return
        self._read += 1
        for index, event in enumerate(codec.decode_events(record.value)):
            self._seq += 1
            home = (event["workspace"], event["environment"])
            if home in watched and not past and self.board.passes_over(*home, event["received_ms"], now):
                continue
            if home in watched:
                origin = (record.partition, record.offset, index)
                row = rows.of_event(event, self._seq, now, past=past, origin=origin)
                row.accepted_ms = row.since(record.timestamp)
                self.board.add(row, now)
            else:
                self.board.seen[home] += 1

    def _resolved(self, record: Any) -> None:
        now, past, wants_repeats = clock.now_ms(), self._is_past(record), self.board.wants_repeats
        # the other half is left for new events: other viewers must not lose theirs by this
        has_time = self._spent_s < (BUDGET_S / 2 if wants_repeats else QUIET_S) or (wants_repeats and past)
        if not has_time and not self._incomplete.are_in(record.value):
            self._skipped += wants_repeats
            self._passed_over.append(record)
            return
        for event in codec.decode_events(record.value):
            self.board.resolved(event, record.partition, record.offset, now, past=past, written_ms=record.timestamp)

    def _changes(self, record: Any) -> None:
        if not self._incomplete.are_in(record.value):
            return
        now = clock.now_ms()
        for change in codec.decode_changes(record.value):
            self.board.changed(change, now, record.timestamp)

    def _quarantined(self, record: Any) -> None:
        quarantined, now = codec.decode_quarantined(record.value), clock.now_ms()
        self._seq += 1
        if quarantined["event_id"]:
            self.board.quarantined(quarantined["workspace"], quarantined["event_id"], quarantined["reason"], now)
        row = rows.of_quarantined(quarantined, self._seq, now)
        row.past = self._is_past(record)
        self.board.add(row, now)

    def _refusals(self, record: Any) -> None:
        self._seq += 1
        row = rows.of_refusal(codec.decode_refusal(record.value), self._seq, clock.now_ms())
        row.past = self._is_past(record)
        self.board.add(row, clock.now_ms())

    async def _look(self, admin: Any) -> None:
        """Reads the committed offsets of the later stages."""
        judged = await self._committed(admin, topics.app_id(topics.SEGMENTS_APP, self._settings))
        stored = await self._committed(admin, topics.app_id(topics.CLICKHOUSE_GROUP, self._settings))
        self.board.committed(judged, stored, clock.now_ms())

    async def _committed(self, admin: Any, group: str) -> dict[int, int]:
        # runs eight times a second: it finds the coordinator once, and queries one topic only
        if group not in self._coordinators:
            self._coordinators[group] = await admin.find_coordinator(group)
        try:
            committed = await admin.list_consumer_group_offsets(group, self._coordinators[group], self._resolved_parts)
        except KafkaError:
            del self._coordinators[group]
            raise
        return {tp.partition: int(at.offset) for tp, at in committed.items()}


def _partitions(topic: topics.Topic, settings: Settings) -> list[TopicPartition]:
    name = topics.name(topic, settings)
    return [TopicPartition(name, p) for p in range(topics.partition_count(topic, settings))]
