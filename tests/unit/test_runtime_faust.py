"""What plain Faust 0.15.3 does, beside what ours does: when a plain half fails, its override may go."""

import asyncio
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import ConsumerRecord
from faust.tables.recovery import Recovery as PlainRecovery
from faust.transport.drivers.aiokafka import Consumer as PlainConsumer
from faust.transport.producer import ProducerBuffer
from faust.types import TP
from intervaltree import IntervalTree  # type: ignore[import-untyped]

from processors.runtime import table
from processors.runtime.consumer import Consumer
from processors.runtime.offset_tracker import OffsetOrder
from processors.runtime.recovery import Recovery
from processors.runtime.table import DurableTable
from schemas.caches.recent_rows import ENTRY_BYTES

TP0 = TP("numbers", 0)


def bare(kind: type[Any], **attributes: Any) -> Any:
    """The arithmetic alone: no application, no threads."""
    made = object.__new__(kind)
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def plain_consumer(committed: int | None) -> Any:
    return bare(
        PlainConsumer,
        _acked=defaultdict(list),
        _acked_index=defaultdict(set),
        _gap=defaultdict(IntervalTree),
        _committed_offset=defaultdict(lambda: None, {TP0: committed}),
    )


def our_consumer(committed: int, fetched: list[int], done: list[int]) -> Any:
    consumer = bare(
        Consumer, _buffered_partitions=set(), _committed_offset={}, seconds=defaultdict(float), flow_active=True
    )
    consumer.rewound(1, {TP0: committed})
    consumer.trackers[TP0].fetched((offset, 1, 0) for offset in fetched)
    for offset in fetched:
        assert handed_on(consumer, offset, rewinds=1) == [OffsetOrder.NEXT]
    for offset in done:
        consumer.done(TP0, offset)
    return consumer


def handed_on(consumer: Any, offset: int, *, rewinds: int) -> list[OffsetOrder]:
    """The orders with which the runtime receives a record that was fetched after so many rewinds."""
    orders: list[OffsetOrder] = []
    consumer.on_record = lambda _tp, _record, order: orders.append(order)
    consumer._hand_on(TP0, [ConsumerRecord("numbers", 0, offset, 0, 0, None, b"", None, 0, 0, ())], rewinds)
    return orders


def test_nothing_is_committed_past_one_unfinished_record() -> None:
    plain = plain_consumer(committed=2585)
    plain._acked[TP0] = [2586, 2587, 2588, 2589]
    assert plain._new_offset(TP0) == 2590

    ours = our_consumer(2585, fetched=[2585, 2586, 2587, 2588, 2589], done=[2586, 2587, 2588, 2589])
    assert ours._new_offset(TP0) == 2585
    ours.done(TP0, 2585)
    assert ours._new_offset(TP0) == 2590


@pytest.mark.parametrize("committed", [0, None])
def test_nothing_is_committed_past_it_while_nothing_is_committed_yet(committed: int | None) -> None:
    plain = plain_consumer(committed)
    plain._acked[TP0] = [1, 2, 3]
    assert plain._new_offset(TP0) == 4

    ours = our_consumer(0, fetched=[0, 1, 2, 3], done=[1, 2, 3])
    assert ours._new_offset(TP0) == 0


async def test_the_record_behind_a_gap_is_no_part_of_it() -> None:
    plain = plain_consumer(committed=10)
    await plain._add_gap(TP0, 11, 15)  # 11 to 14 were never delivered, 15 is in hand
    plain._acked[TP0] = [16]
    assert plain._new_offset(TP0) == 17

    ours = our_consumer(10, fetched=[10, 15, 16], done=[10, 16])
    assert ours._new_offset(TP0) == 15


def test_what_was_fetched_before_a_rewind_is_void_after_it() -> None:
    ours = our_consumer(5, fetched=[5, 6], done=[])
    ours.rewound(2, {TP0: 5})
    assert handed_on(ours, 5, rewinds=1) == []
    ours.done(TP0, 5)
    ours.done(TP0, 6)
    assert ours._new_offset(TP0) == 5

    ours.trackers[TP0].fetched([(5, 1, 0), (6, 1, 0), (7, 1, 0)])
    assert handed_on(ours, 5, rewinds=2) == [OffsetOrder.NEXT]
    assert handed_on(ours, 5, rewinds=2) == [OffsetOrder.STALE], "it came twice"


def test_nothing_is_processed_past_a_record_that_was_fetched_and_never_came() -> None:
    ours = our_consumer(5, fetched=[5], done=[5])
    ours.trackers[TP0].fetched([(6, 1, 0), (7, 1, 0)])
    assert handed_on(ours, 7, rewinds=1) == [OffsetOrder.GAP]
    ours.flow_active = False
    assert handed_on(ours, 6, rewinds=1) == [], "a rewind follows"


async def test_a_commit_that_fails_is_not_taken_for_done() -> None:
    ours = our_consumer(5, fetched=[5], done=[5])
    ours.assignment = lambda: {TP0}

    async def refused(_offsets: object) -> bool:
        return False

    ours._commit = refused
    assert not await ours._commit_offsets({TP0: 6})
    assert ours._should_commit(TP0, 6)


async def test_a_flush_of_plain_faust_gives_up_with_messages_unsent() -> None:
    """Ours waits for the broker: ``DurableTable.flush``, in ``tests/integration/test_runtime_recovery.py``."""

    class Running(ProducerBuffer):  # type: ignore[misc]  # Faust publishes no types
        state = "running"

    buffer = Running()
    buffer.app = faust.App("plain", web_enabled=False)
    buffer.pending.put_nowait("a row of state")
    await buffer.flush()
    assert buffer.size == 1


@pytest.mark.parametrize("store", ["memory://", "rocksdb://"])
async def test_a_table_can_be_written_without_a_current_event(tmp_path: Path, store: str) -> None:
    app = faust.App("tables", datadir=tmp_path, store=store, web_enabled=False)
    app._create_directories()
    plain = app.Table("plain", key_type=bytes, value_type=bytes, partitions=4)
    with pytest.raises(TypeError, match="outside of stream iteration"):
        plain[b"a"] = b"1"

    ours = DurableTable(app, name="ours", partitions=4)
    ours.apply(1, {b"a": b"1", b"b": b"2", b"c": b"3"}, 10)
    ours.apply(2, {b"d": b"4"}, 3)
    ours.apply(1, {b"b": None, b"c": b"5"}, 12)
    assert [ours.reader(1)(key) for key in (b"a", b"b", b"c", b"d")] == [b"1", None, b"5", None]
    assert list(ours.scan(1)) == [(b"a", b"1"), (b"c", b"5")]
    assert list(ours.scan(1, after=b"a")) == [(b"c", b"5")]
    assert list(ours.scan(2)) == [(b"d", b"4")]
    kept = ours.persisted_offset(TP(ours.changelog_topic_name, 1))
    assert kept == (12 if store == "rocksdb://" else None)


@pytest.mark.parametrize("recent_bytes", [0, 4 * 2 * 300, 4 * 2 * 1000, table.RECENT_BYTES])
async def test_rows_are_read_as_they_were_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recent_bytes: int
) -> None:
    monkeypatch.setattr(table, "RECENT_BYTES", recent_bytes)
    app = faust.App("tables", datadir=tmp_path, store="rocksdb://", web_enabled=False)
    app._create_directories()
    ours, expected = DurableTable(app, name="ours", partitions=4), dict[tuple[int, bytes], bytes | None]()
    random = Random(4)
    for offset in range(2000):
        partition, key = random.randrange(2), b"%d" % random.randrange(40)
        if random.random() < 0.3:
            row = random.choice([None, b"", b"x" * random.randrange(300)])
            ours.apply(partition, {key: row}, offset)
            expected[partition, key] = row
        assert ours.reader(partition)(key) == expected.get((partition, key))


async def test_recently_used_rows_are_bounded_and_forgotten_at_a_rebalance(tmp_path: Path) -> None:
    app = faust.App("tables", datadir=tmp_path, store="rocksdb://", web_enabled=False)
    app._create_directories()
    ours = DurableTable(app, name="ours", partitions=4)
    for n in range(40_000):
        assert ours.reader(1)(b"%d" % n) is None
    recent = ours._recent[1]
    large = b"x" * table.RECENT_BYTES
    ours.apply(1, {b"39998": large}, 0)
    assert ours.reader(1)(b"39998") == large
    assert large not in [*recent._new.values(), *recent._old.values()]
    assert (len(recent._new) + len(recent._old)) * ENTRY_BYTES <= table.RECENT_BYTES // 4
    assert recent._old
    ours._rows.apply(1, {b"39999": b"recovered"}, 1)
    assert ours.reader(1)(b"39999") is None
    await ours.on_rebalance({TP(ours.changelog_topic_name, 1)}, set(), set())
    assert ours.reader(1)(b"39999") == b"recovered"
    ours._rows.apply(1, {b"39999": b"recovered again"}, 2)
    ours.apply_changelog_batch([])
    assert ours.reader(1)(b"39999") == b"recovered again"


async def test_a_partition_that_is_given_away_leaves_no_rows_behind(tmp_path: Path) -> None:
    app = faust.App("tables", datadir=tmp_path, store="rocksdb://", web_enabled=False)
    app._create_directories()
    ours = DurableTable(app, name="ours", partitions=4)
    for partition in (1, 2):
        ours.apply(partition, {b"a": b"1"}, 10)
    await ours.on_rebalance({TP(ours.changelog_topic_name, 2)}, set(), set())
    assert list(ours.scan(1)) == []
    assert list(ours.scan(2)) == [(b"a", b"1")]


def test_recovery_ends_where_the_changelog_does_though_its_last_offset_holds_no_record() -> None:
    table_tp = TP("changelog", 0)
    behind = {"active_highwaters": Counter({table_tp: 5}), "active_offsets": Counter({table_tp: 4})}
    assert bare(PlainRecovery, **behind).need_recovery()

    def ours(position: int) -> Any:
        thread = SimpleNamespace(position=lambda _tp: position)
        app = SimpleNamespace(consumer=SimpleNamespace(delivered_at=0.0, _thread=thread))
        return bare(Recovery, app=app, tables=SimpleNamespace(changelog_queue=asyncio.Queue()), **behind)

    assert ours(position=5).need_recovery()
    assert not ours(position=6).need_recovery()
