"""The unit of work in memory: its order, its timers, its background work, and what it does when it must not go on."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import pytest

from processors.runtime.crash_trigger import CrashTrigger
from processors.runtime.executor import PACE_S, QUARANTINE_LIMIT, PartitionExecutor, next_turn
from processors.runtime.stage import InputRecord, OutputRecord, PartitionState, Rows, Stage
from schemas.records.codec import UndecodableError, decode_events, encode_events
from schemas.topics import EVENTS, MERGES, Topic
from tests.support.builders import MemoryTables, event
from tests.support.waiting import eventually

DEADLINE_S = 5.0


class Ended(BaseException):
    """The process has ended."""


class MemoryOutside(MemoryTables):
    """Notes in ``effects`` what becomes durable, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.effects: list[tuple[str, Any]] = []
        self.lease = True
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def publish(self, messages: Mapping[tuple[str, int], Sequence[Any]]) -> None:
        await asyncio.sleep(0)
        self.effects.append(("sent", dict(messages)))

    async def flush(self, partition: int, writes: Mapping[str, Any]) -> dict[str, int]:
        await asyncio.sleep(0)
        self.effects.append(("logged", {table: dict(rows) for table, rows in writes.items()}))
        return dict.fromkeys(writes, 0)

    def apply(self, partition: int, writes: Any, offsets: Any = None) -> None:
        super().apply(partition, writes)
        self.effects.append(("stored", partition))

    def done(self, record: InputRecord) -> None:
        self.effects.append(("done", record.offset))

    def holds_lease(self) -> bool:
        return self.lease

    def abort(self, reason: str) -> NoReturn:
        if not self.ended.done():
            self.ended.set_result(reason)
        raise Ended(reason)

    def done_offsets(self) -> list[int]:
        return [what for kind, what in self.effects if kind == "done"]


class Echo:
    """Sends and keeps every value; fails on ``!``; has a due time and background work when told so."""

    app = "echo"
    inputs: tuple[Topic, ...] = (EVENTS, MERGES)
    tables = ("seen",)

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.due_ms: int | None = None
        self.work = 0

    def process(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> Iterable[OutputRecord]:
        self.groups.append([record.offset for record in records])
        for record in records:
            if record.value == b"!":
                raise ValueError("asked to")
            state.put("seen", record.value, b"%d" % record.offset)
            yield OutputRecord("out", 0, record.key, record.value)

    def on_timer(self, state: PartitionState, now_ms: int) -> Iterable[OutputRecord]:
        self.due_ms = None
        state.put("seen", b"due", b"1")
        return [OutputRecord("out", 0, None, b"due")]

    def next_timer(self, partition: int) -> int | None:
        return self.due_ms

    def has_work(self, partition: int) -> bool:
        return self.work > 0

    def on_idle(self, state: PartitionState, now_ms: int) -> Iterable[OutputRecord]:
        self.work -= 1
        return [OutputRecord("out", 0, None, b"idle %d" % self.work)]

    def on_assigned(self, partition: int, rows: Callable[[str], Rows]) -> None:
        self.restored = dict(rows("seen"))

    def on_revoked(self, partition: int) -> None:
        self.revoked = partition


def shell_of(stage: Stage, io: MemoryOutside) -> PartitionExecutor:
    executor = PartitionExecutor(
        stage, io, lambda record, reason: OutputRecord("quarantine", 0, None, reason.encode()), CrashTrigger("")
    )
    executor.open([0])
    return executor


def record(offset: int, value: bytes = b"v", topic: Topic = EVENTS) -> InputRecord:
    return InputRecord(topic.name, 0, offset, b"k", value, 0)


async def reason_of_the_end(executor: PartitionExecutor, io: MemoryOutside) -> str:
    reason = await asyncio.wait_for(io.ended, DEADLINE_S)
    await asyncio.gather(*(lane._task for lane in executor.tasks.values()), return_exceptions=True)
    return reason


async def test_outputs_then_changelog_then_store_then_done() -> None:
    io = MemoryOutside()
    executor = shell_of(Echo(), io)
    executor.take(record(4, b"x"))
    await eventually(lambda: io.done_offsets() == [4], "the partition is done", DEADLINE_S, every_s=0.001)
    assert io.effects == [
        ("sent", {("out", 0): [(b"k", b"x")]}),
        ("logged", {"seen": {b"x": b"4"}}),
        ("stored", 0),
        ("done", 4),
    ]
    await executor.close()


async def test_what_has_gathered_is_one_group_but_of_one_topic_and_at_most_200() -> None:
    io, stage = MemoryOutside(), Echo()
    executor = shell_of(stage, io)
    for offset in range(250):
        executor.take(record(offset))
    executor.take(record(7, topic=MERGES))
    await eventually(lambda: len(io.done_offsets()) == 251, "the partition is done", DEADLINE_S, every_s=0.001)
    assert stage.groups == [list(range(200)), [7], list(range(200, 250))]
    await executor.close()


async def test_a_group_with_a_bad_record_is_repeated_one_by_one_and_only_that_is_quarantined() -> None:
    io, stage = MemoryOutside(), Echo()
    executor = shell_of(stage, io)
    for offset, value in enumerate([b"a", b"!", b"b"]):
        executor.take(record(offset, value))
    await eventually(lambda: io.done_offsets() == [0, 1, 2], "the partition is done", DEADLINE_S, every_s=0.001)
    sent = [place for kind, what in io.effects if kind == "sent" for place in what.items()]
    assert sent == [
        (("out", 0), [(b"k", b"a")]),
        (("quarantine", 0), [(None, b"ValueError: asked to")]),
        (("out", 0), [(b"k", b"b")]),
    ]
    await executor.close()


async def test_one_bad_event_of_a_record_costs_no_other_event_of_it() -> None:
    class Picky(Echo):
        """It fails on events of the type ``bad``, and says which place it was given for each."""

        def process(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> Iterable[OutputRecord]:
            events = [(record.index, event) for record in records for event in decode_events(record.value)]
            if any(event["type"] == "bad" for _, event in events):
                raise ValueError("asked to")
            return [OutputRecord("out", 0, None, f"{index}:{event['event_id']}".encode()) for index, event in events]

    io = MemoryOutside()
    executor = shell_of(Picky(), io)
    kinds = ["good", "bad", "good", "bad"]
    events = [event("external_id:u1", event_id=f"evt_{n}", type=kind) for n, kind in enumerate(kinds)]
    executor.take(record(0, encode_events(events)))
    executor.take(record(1, encode_events([event("external_id:u1", event_id="evt_9")])))
    await eventually(lambda: io.done_offsets() == [0, 1], "the partition is done", DEADLINE_S, every_s=0.001)
    sent = [(*place, value) for kind, what in io.effects if kind == "sent" for place, ((_, value),) in what.items()]
    assert sent == [
        ("out", 0, b"0:evt_0"),
        ("quarantine", 0, b"ValueError: asked to"),
        ("out", 0, b"2:evt_2"),
        ("quarantine", 0, b"ValueError: asked to"),
        ("out", 0, b"-1:evt_9"),
    ]
    assert len(executor.quarantined) == 1, "a record counts once, or a batch would end the process again and again"
    await executor.close()


async def test_too_many_bad_records_end_the_process() -> None:
    io = MemoryOutside()
    executor = shell_of(Echo(), io)
    for offset in range(QUARANTINE_LIMIT + 50):
        executor.take(record(offset, b"!"))
    assert "the stage is at fault" in await reason_of_the_end(executor, io)
    assert len(io.done_offsets()) == QUARANTINE_LIMIT


async def test_bytes_that_are_no_record_never_end_the_process() -> None:
    class Decoding(Echo):
        def process(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> Iterable[OutputRecord]:
            if any(record.value == b"!" for record in records):
                raise UndecodableError("not a record")
            return super().process(records, state, now_ms)

    io = MemoryOutside()
    executor = shell_of(Decoding(), io)
    for offset in range(QUARANTINE_LIMIT * 3):
        executor.take(record(offset, b"!"))
    executor.take(record(QUARANTINE_LIMIT * 3, b"good"))
    await eventually(
        lambda: len(io.done_offsets()) == QUARANTINE_LIMIT * 3 + 1, "the partition is done", DEADLINE_S, every_s=0.001
    )
    await executor.close()


async def test_what_fails_outside_the_stage_ends_the_process_unacknowledged() -> None:
    class Broken(MemoryOutside):
        async def flush(self, partition: int, writes: Mapping[str, Any]) -> dict[str, int]:
            raise OSError("the producer is dead")

    io = Broken()
    executor = shell_of(Echo(), io)
    executor.take(record(1))
    assert await reason_of_the_end(executor, io)
    assert io.done_offsets() == []


async def test_due_times_and_background_work_are_units_like_any_other() -> None:
    io, stage = MemoryOutside(), Echo()
    executor = shell_of(stage, io)
    stage.due_ms = 1
    stage.work = 3
    executor.wake()
    await eventually(
        lambda: stage.work == 0 and len(io.effects) == 6, "the partition is done", DEADLINE_S, every_s=0.001
    )
    assert io.effects == [
        ("sent", {("out", 0): [(None, b"due")]}),
        ("logged", {"seen": {b"due": b"1"}}),
        ("stored", 0),
        *(("sent", {("out", 0): [(None, b"idle %d" % left)]}) for left in (2, 1, 0)),
    ]
    await executor.close()


async def test_a_closed_partition_takes_nothing_and_comes_back_restored() -> None:
    io, stage = MemoryOutside(), Echo()
    executor = shell_of(stage, io)
    assert stage.restored == {}
    executor.take(record(1, b"x"))
    await eventually(lambda: io.done_offsets() == [1], "the partition is done", DEADLINE_S, every_s=0.001)
    await executor.close()
    assert stage.revoked == 0
    executor.take(record(2))
    executor.open([0])
    assert stage.restored == {b"x": b"1"}
    executor.take(record(3))
    await eventually(lambda: io.done_offsets() == [1, 3], "the partition is done", DEADLINE_S, every_s=0.001)
    await executor.close()


@pytest.mark.parametrize("regained", [True, False])
async def test_without_its_lease_a_worker_writes_nothing(*, regained: bool) -> None:
    io = MemoryOutside()
    executor = shell_of(Echo(), io)
    io.lease = False
    executor.take(record(1))
    await eventually(
        lambda: executor.tasks[0].busy_since is not None, "the partition is done", DEADLINE_S, every_s=0.001
    )
    await asyncio.sleep(0.1)  # time enough for effects that must not come
    assert io.effects == []
    if regained:
        io.lease = True
        await eventually(lambda: io.done_offsets() == [1], "the partition is done", DEADLINE_S, every_s=0.001)
    await executor.close()
    assert bool(io.effects) is regained


def test_partitions_that_began_apart_turn_together() -> None:
    for tick in (n * PACE_S for n in range(10_000, 20_000, 7)):
        following = next_turn(tick + PACE_S / 2)
        assert following == pytest.approx(tick + PACE_S)
        # a timer that fires early, as uvloop's do, has begun the turn of its tick, and not one more before it
        for began in (tick - 0.001, tick - 1e-9, tick, tick + PACE_S / 4):
            assert next_turn(began) == pytest.approx(following)
