"""Records, due times and background work of each partition in; outputs and state durable, then acks out.

The unit of work, one at a time per partition number, for every cause alike:

1. ``stage.process`` (or ``on_timer``, ``on_idle``) decides, over an overlay of the state.
2. Outputs are sent; all acknowledgements are awaited.
3. State is sent to the changelogs; all acknowledgements are awaited.
4. The local store takes the state.
5. The records are done: their offsets may be committed.

A crash between any two repeats from 1 with the old state (after 3: with the new one), never skips.
A record on which the stage fails goes to quarantine; anything else that fails ends the process, unacknowledged.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from processors.runtime.crash_trigger import CrashPoint, CrashTrigger
from processors.runtime.grouping import apart, group_of
from processors.runtime.publish import StageIO, TopicPartition, by_place, check_size
from processors.runtime.stage import InputRecord, OutputRecord, PartitionState, Quarantine, Stage
from schemas.record_batches import Message
from schemas.records.codec import UndecodableError, UnknownSchemaError
from schemas.service import clock
from schemas.service.counts import StageCounts
from schemas.tracing.context import NO_TRACES, Traces, trace_id_of, traces_in
from schemas.tracing.spans import Tracer, traced

log = logging.getLogger(__name__)

BACKGROUND_S = 0.1
"""The interval between chunks of background work under constant load."""
PACE_S = 0.025
"""The interval between the turns of a partition under load: ten records in one unit cost little more than one.
A record that comes alone does not wait."""
OVERDUE_MS = 20
"""Delay before the next timer run if a stage left due work."""
QUARANTINE_LIMIT, QUARANTINE_WINDOW_S = 100, 60.0
"""More than this is no bad record but a bad release: it must not drain the topics into quarantine."""

Step = Callable[[PartitionState, int], Iterable[OutputRecord]]


class Abandoned(Exception):  # noqa: N818 - it is no error: the partition is another worker's now
    """The partition is being given up; the unit in hand has no effect yet and is dropped."""


class PartitionExecutor:
    """Runs the units of work of all partitions of one worker."""

    def __init__(
        self, stage: Stage, io: StageIO, quarantine: Quarantine, crash: CrashTrigger, tracer: Tracer | None = None
    ) -> None:
        self.stage = stage
        self.io = io
        self.quarantine = quarantine
        self.crash = crash
        self.tracer = tracer
        self.tasks: dict[int, PartitionTask] = {}
        self.quarantined: deque[float] = deque()
        self.counts = StageCounts()

    def open(self, partitions: Iterable[int]) -> None:
        """The tables are complete and positions are right: restore the stage, then take records."""
        if self.tasks:
            self.io.abort(f"partitions {sorted(self.tasks)} are open already")
        for partition in sorted(partitions):
            self.stage.on_assigned(partition, lambda table, p=partition: self.io.scan(table, p))  # type: ignore[misc]
            self.tasks[partition] = PartitionTask(self, partition)

    async def close(self) -> None:
        """Finish the units in hand, begin no other; unfinished records are read again."""
        tasks, self.tasks = self.tasks, {}
        await asyncio.gather(*(task.close() for task in tasks.values()))
        for partition in tasks:
            self.stage.on_revoked(partition)

    def take(self, record: InputRecord) -> None:
        """A record whose turn it is."""
        task = self.tasks.get(record.partition)
        if task is not None:
            task.take(record)

    def wake(self) -> None:
        """There may be background work."""
        for task in self.tasks.values():
            task.wake()

    def note_quarantined(self) -> None:
        now = time.monotonic()
        self.quarantined.append(now)
        while self.quarantined[0] < now - QUARANTINE_WINDOW_S:
            self.quarantined.popleft()
        if len(self.quarantined) > QUARANTINE_LIMIT:
            self.io.abort(
                f"{len(self.quarantined)} records quarantined within {QUARANTINE_WINDOW_S:.0f} s: "
                f"the stage is at fault, not the records"
            )


class PartitionTask:
    """The task of a partition number: its inputs by topic, its timer, its background work."""

    def __init__(self, executor: PartitionExecutor, partition: int) -> None:
        self.executor, self.stage, self.partition = executor, executor.stage, partition
        self.inputs: dict[str, deque[InputRecord]] = {topic.name: deque() for topic in executor.stage.inputs}
        self.busy_since: float | None = None
        self._background_at = time.monotonic()
        self._closing = False
        self._signal = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._run(), name=f"partition-{partition}")

    def take(self, record: InputRecord) -> None:
        self.inputs[record.topic].append(record)
        self._signal.set()

    def wake(self) -> None:
        self._signal.set()

    async def close(self) -> None:
        self._closing = True
        self._signal.set()
        await self._task

    async def _run(self) -> None:
        try:
            while not self._closing:
                self._signal.clear()
                began = time.monotonic()
                worked = await self._turn()
                with clock.timing(self.executor.counts.seconds, "wait"):
                    if worked:
                        await asyncio.sleep(max(0.0, next_turn(began) - time.monotonic()))
                    else:
                        self._set_timer()
                        await self._signal.wait()
        except Abandoned:
            pass
        except Exception:  # the last stop: nothing may be acknowledged after this
            log.exception("partition %d", self.partition)
            self.executor.io.abort(f"partition {self.partition}: the unit of work failed")
        finally:
            self._cancel_timer()

    async def _turn(self) -> bool:
        """Process a batch of each input and due timers, else a background chunk. Returns whether work was done."""
        worked = False
        for waiting in self.inputs.values():
            if waiting and not self._closing:
                await self._group(group_of(waiting))
                worked = True
        now = clock.now_ms()
        due = self.stage.next_timer(self.partition)
        if due is not None and due <= now and not self._closing:
            await self._unit(self.stage.on_timer)
            # A stage that leaves its due time as it was would spin.
            return self.stage.next_timer(self.partition) != due or worked
        if self._closing or not self.stage.has_work(self.partition):
            return worked
        if not worked or time.monotonic() - self._background_at >= BACKGROUND_S:
            await self._unit(self.stage.on_idle)
            self._background_at = time.monotonic()
        return True

    async def _group(self, records: list[InputRecord]) -> None:
        outcome = "done"
        try:
            await self._traced_unit(records)
        except StepFailedError as failed:
            if len(records) > 1:
                for record in records:
                    if not self._closing:
                        await self._group([record])
                return
            outcome = await self._failed(records[0], failed.__cause__)
        self._note(records, outcome)
        for record in records:
            self.executor.io.done(record)

    def _note(self, records: list[InputRecord], outcome: str) -> None:
        counts, topic, now_ms = self.executor.counts, records[0].topic, clock.now_ms()
        counts.records[topic, outcome] += len(records)
        for record in records:
            counts.latency[topic].observe(max(0, now_ms - record.timestamp_ms) / 1000)

    async def _failed(self, record: InputRecord, cause: BaseException | None) -> str:
        """Process one event of a record without the others, which may be other workspaces'; returns its outcome."""
        outcome = "done"
        for part in (parts := apart(record)):
            try:
                await self._traced_unit([part])
            except StepFailedError as failed:
                outcome, cause = "quarantined", failed.__cause__
                await self._quarantine(part, cause)
        if not parts:
            outcome = "quarantined"
            await self._quarantine(record, cause)
        # bytes that are no record of ours are not the stage's fault; their writer must not stop the others
        if outcome != "done" and (not isinstance(cause, UndecodableError) or isinstance(cause, UnknownSchemaError)):
            self.executor.note_quarantined()
        return outcome

    async def _quarantine(self, record: InputRecord, cause: BaseException | None) -> None:
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        extra = {**where, "trace_id": trace_id_of(traces_in(record.headers))}
        log.error("quarantined %s/%d/%d", *where.values(), exc_info=cause, extra=extra)
        send = self.executor.quarantine(record, f"{type(cause).__name__}: {cause}")
        await self.executor.io.publish({(send.topic, send.partition): [(send.key, send.value)]})

    async def _traced_unit(self, records: list[InputRecord]) -> None:
        with traced(self.executor.tracer, records) as traces:
            await self._unit(lambda state, now: self.stage.process(records, state, now), traces)

    async def _unit(self, step: Step, traces: Traces = NO_TRACES) -> None:
        io, crash, seconds = self.executor.io, self.executor.crash, self.executor.counts.seconds
        self.busy_since = began = time.monotonic()
        state = PartitionState(self.partition, io)
        messages = self._decide(step, state, traces)
        decided = time.monotonic()
        if messages:
            await self._own()
            await io.publish(messages)
        sent = time.monotonic()
        crash.reach(CrashPoint.AFTER_SEND)
        if state.writes:
            await self._own()
            offsets = await io.flush(self.partition, state.writes)
            crash.reach(CrashPoint.AFTER_FLUSH)
            io.apply(self.partition, state.writes, offsets)
        crash.reach(CrashPoint.AFTER_WRITE)
        self.busy_since = None
        if state.received:
            now_ms = clock.now_ms()
            for at_ms, events in Counter(state.received).items():  # the events of a request came at the same time
                self.executor.counts.event_age.observe(max(0, now_ms - at_ms) / 1000, events)
        seconds["decide"] += decided - began
        seconds["publish"] += sent - decided
        seconds["state"] += time.monotonic() - sent

    def _decide(self, step: Step, state: PartitionState, traces: Traces) -> dict[TopicPartition, list[Message]]:
        try:
            messages = by_place(step(state, clock.now_ms()), traces)
            for table, rows in state.writes.items():
                for key, value in rows.items():
                    check_size(table, key, value)
        except Exception as error:
            raise StepFailedError from error
        return messages

    async def _own(self) -> None:
        # A worker that was away longer than its session (stopped, cut off) must not write over its successor.
        while not self.executor.io.holds_lease():
            if self._closing:
                raise Abandoned
            await asyncio.sleep(0.05)

    def _set_timer(self) -> None:
        self._cancel_timer()
        due = self.stage.next_timer(self.partition)
        if due is not None:
            delay = max(due - clock.now_ms(), OVERDUE_MS) / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self._signal.set)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class StepFailedError(Exception):
    """The stage raised, or returned a record that cannot be sent; the cause is chained. Nothing has been sent yet."""


def next_turn(began: float) -> float:
    """The monotonic second of the turn after one that began then; pure.

    The partitions of a worker turn together: the broker has their records in one request.
    """
    ticks = (began + PACE_S / 8) // PACE_S  # uvloop's timers fire up to a millisecond early
    return (ticks + 1) * PACE_S
