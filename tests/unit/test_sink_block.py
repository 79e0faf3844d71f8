"""Blocks of records: contiguous per partition, never cut inside a record."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import codec
from sinks.clickhouse.block import Block, Buffer, halves
from sinks.clickhouse.inserter import DlqLimit, TooManyRefusedError
from sinks.clickhouse.rows import Item
from sinks.clickhouse.streams import STREAMS
from tests.support.builders import event

RESOLVED = next(stream for stream in STREAMS if stream.remembers)


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    value: bytes | None
    timestamp: int = 1
    headers: tuple[tuple[str, bytes], ...] = ()


def of(partition: int, offset: int, events: int) -> Record:
    return Record(partition, offset, codec.encode_events([event(event_id=f"evt_{n}") for n in range(events)]))


def buffer_of(sizes: dict[int, list[int]]) -> Buffer:
    buffer = Buffer(RESOLVED, "t.resolved")
    for partition, counts in sizes.items():
        if counts:
            buffer.put(partition, [of(partition, 10 + n, count) for n, count in enumerate(counts)])
    return buffer


@given(st.dictionaries(st.integers(0, 3), st.lists(st.integers(1, 5), max_size=8)), st.integers(1, 12))
def test_blocks_are_contiguous_and_keep_records_whole(sizes: dict[int, list[int]], rows: int) -> None:
    buffer, blocks = buffer_of(sizes), []
    while buffer:
        blocks.append(buffer.cut(rows))
    expected = [
        (p, 10 + n, i) for p, counts in sorted(sizes.items()) for n, count in enumerate(counts) for i in range(count)
    ]
    items = [(i.partition, i.offset, i.nth) for block in blocks for i in block.items]
    assert sorted(items) == expected
    assert buffer.bytes == 0
    following = dict.fromkeys(sizes, 10)
    for block in blocks:
        for partition, span in block.spans.items():
            assert span.first == following[partition]
            following[partition] = block.next_offsets[partition]
        offsets = {(i.partition, i.offset) for i in block.items}
        assert all((p, o) in offsets for p, span in block.spans.items() for o in range(span.first, span.last + 1))
        assert len(block.items) < rows + 4 * 5, "it ends with the round of records that fills it"


def test_a_block_names_what_is_in_it() -> None:
    buffer = buffer_of({0: [2, 1], 3: [1]})
    block = buffer.cut(100)
    assert {p: (span.first, span.last) for p, span in block.spans.items()} == {0: (10, 11), 3: (10, 10)}
    assert block.next_offsets == {0: 12, 3: 11}


def test_what_is_no_record_is_put_aside_and_counts_as_read() -> None:
    block = Block("t")
    for record in (of(0, 1, 1), Record(0, 2, b"poison"), Record(0, 3, None), of(0, 4, 1)):
        block.add(record, RESOLVED)
    assert [(i.offset, i.nth) for i in block.items] == [(1, 0), (4, 0)]
    assert [record.offset for record, _ in block.broken] == [2]
    assert block.next_offsets == {0: 5}


@given(st.integers(2, 50))
def test_halving_ends_at_single_items(count: int) -> None:
    items = [Item(0, n // 3, n % 3, {}) for n in range(count)]
    waiting, single = [items], []
    while waiting:
        some = waiting.pop()
        if len(some) == 1:
            single.append(some[0])
            continue
        both = halves(some)
        assert [*both[0], *both[1]] == some
        waiting += both
    assert sorted(single, key=lambda item: (item.offset, item.nth)) == items


def test_an_allowance_ends_and_grows_with_what_is_stored() -> None:
    allowance = DlqLimit(most=2, rows_each=10)
    for _ in range(2):
        allowance.refused("x")
    allowance.stored(10)
    allowance.refused("x")
    allowance.stored(9)
    with pytest.raises(TooManyRefusedError, match="the last one: y"):
        allowance.refused("y")
    rich = DlqLimit(most=1, rows_each=1)
    rich.stored(1000)
    rich.refused("x")
    with pytest.raises(TooManyRefusedError):
        rich.refused("x")
