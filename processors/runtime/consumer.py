"""Fetched records in, records in strict order out, and the offsets that are safe to commit.

Answers, with their places in ``faust/transport/consumer.py``:

a. ``_new_offset`` compares ``min(acked) - committed > 1``: it commits past one unfinished record, and past
   any number while nothing is committed yet.
b. ``_add_gap`` counts the record behind a gap as part of the gap, and so as finished.
c. Around a rebalance records that were fetched are skipped (generation or flow changed, buffer cleared)
   and nothing seeks back; offsets that come again after a seek can be dropped as seen (``_read_offset``).
d. Acknowledgements are forgotten before the last commit of a rebalance; a failed commit counts as done.

Here records fetched before a rewind are void after it, and records fetched after it are handed on in
turn or not at all (``tracker``). Records of the inputs go straight to the runtime: Faust's streams and agents took a
tenth of a stage's CPU. Records of changelogs take Faust's way.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import uvloop
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from processors.runtime.client import QUIET, ConsumerThread
from processors.runtime.offset_tracker import OffsetOrder, OffsetTracker
from processors.runtime.publish import BATCH_BYTES, IDEMPOTENT
from schemas.service import clock

FULL_RECORDS, FULL_BYTES = 1000, 4 * 1024 * 1024
"""A partition with this much in hand is not fetched from until half of it is done."""


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer with a ledger per source partition."""

    logger = QUIET

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.trackers: dict[TP, OffsetTracker] = {}
        self.rewinds = 0
        self.revocations = 0
        self.delivered_at = 0.0
        """When a record was last handed on: recovery is over when the changelogs run dry."""
        self.before_revoke: Callable[[], Awaitable[None]] | None = None
        self.on_record: Callable[[TP, ConsumerRecord[Any, Any], OffsetOrder], None]
        """Receives each record of an input."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """Time spent on fetches and commits, by phase."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon, thread_loop=uvloop.new_event_loop())

    # --- positions

    async def perform_seek(self) -> None:
        tps = {tp for tp in self.assignment() if self.app.topics.acks_enabled_for(tp.topic)}
        if tps:
            await self._thread.rewind(tps)

    def rewound(self, rewinds: int, offsets: Mapping[TP, int]) -> None:
        self.rewinds = rewinds
        self.trackers = {TP(*tp): OffsetTracker(offset) for tp, offset in offsets.items()}
        self._committed_offset.update({TP(*tp): offset for tp, offset in offsets.items()})

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._thread.last_beat = time.monotonic()  # the group has just answered
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.revocations += 1
        self.stop_flow()
        if self.before_revoke is not None:
            await self.before_revoke()
        await self.force_commit()
        self.trackers = {}
        await super().on_partitions_revoked(revoked)

    # --- records

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if self.flow_active:
                    await self._drain_once()
                else:
                    await self.wait(self.can_resume_flow)
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def _drain_once(self) -> None:
        # Partitions that are full again soon must not wait for the timeout of a fetch without them.
        wait_s = 0.05 if self._buffered_partitions else 1.0
        try:
            with clock.timing(self.seconds, "poll"):
                rewinds, records = await self._thread.fetch(self._get_active_partitions(), wait_s)
        except IllegalStateError:  # unassigned in between
            return
        if not records:
            await asyncio.sleep(0)
            return
        for tp, rows in records.items():
            tracker = self._tracker(tp, rewinds)
            if tracker is not None:
                tracker.fetched((row.offset, len(row.value or b""), row.timestamp) for row in rows)
                if tracker.pending >= FULL_RECORDS or tracker.bytes >= FULL_BYTES:
                    self.on_buffer_full(tp)
        for tp, rows in records.items():
            if self.app.topics.acks_enabled_for(tp.topic):
                self._hand_on(tp, rows, rewinds)
            else:
                await self._recover(tp, rows)
            await asyncio.sleep(0)  # a fetch may hold thousands

    def _tracker(self, tp: TP, rewinds: int) -> OffsetTracker | None:
        return self.trackers.get(tp) if rewinds == self.rewinds else None

    def _hand_on(self, tp: TP, rows: Sequence[ConsumerRecord[Any, Any]], rewinds: int) -> None:
        tracker = self._tracker(tp, rewinds)
        if tracker is None or not self.flow_active:
            return  # a rewind follows, or has come
        self.delivered_at = time.monotonic()
        for row in rows:
            self.on_record(tp, row, tracker.take(row.offset))

    async def _recover(self, tp: TP, rows: Sequence[ConsumerRecord[Any, Any]]) -> None:
        for row in rows:
            if not self.flow_active:
                break
            self.delivered_at = time.monotonic()
            await self.callback(self._message(tp, row))

    def _message(self, tp: TP, row: ConsumerRecord[Any, Any]) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            row.offset,
            row.timestamp / 1000.0,
            row.timestamp_type,
            row.headers,
            row.key,
            row.value,
            row.checksum,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def done(self, tp: TP, offset: int) -> None:
        tracker = self.trackers.get(tp)
        if tracker is None:
            return
        tracker.done(offset)
        if tracker.pending <= FULL_RECORDS // 2 and tracker.bytes <= FULL_BYTES // 2:
            self.on_buffer_drop(tp)

    # --- commits

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> list[TP]:
        return [tp for tp in self.trackers if topics is None or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: TP) -> int | None:
        tracker = self.trackers.get(tp)
        return None if tracker is None else tracker.committable

    def _should_commit(self, tp: TP, offset: int) -> bool:
        committed = self._committed_offset[tp]
        return committed is None or offset > committed

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        assigned = self.assignment()
        ours = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        if not ours:
            return False
        # Nothing is left to flush: a record is done after its outputs and its state are durable.
        with clock.timing(self.seconds, "commit"):
            is_committed = await self._commit(ours)
        if not is_committed:
            return False
        self._committed_offset.update(ours)
        return True

    def holds_lease(self) -> bool:
        """Whether the group still counts us in: after its session time-out others may own our partitions."""
        age = time.monotonic() - self._thread.last_beat
        return bool(age < self.app.conf.broker_session_timeout)

    async def verify_all_partitions_active(self) -> None:
        """Left to the watchdog: Faust's version compares two different clocks."""


class Producer(driver.Producer):  # type: ignore[misc]
    """Idempotent and acknowledged by all replicas; see ``publish``."""

    logger = QUIET

    def _settings_extra(self) -> Mapping[str, Any]:
        return {**IDEMPOTENT, "max_batch_size": BATCH_BYTES, "linger_ms": 0}

    @property
    def client(self) -> AIOKafkaProducer:
        return self._ensure_producer()


class Transport(driver.Transport):  # type: ignore[misc]
    Consumer = Consumer
    Producer = Producer
