"""Fetched records in; blocks of whole records out; pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.records.codec import UndecodableError
from sinks.clickhouse.rows import Item
from sinks.clickhouse.streams import Stream


@dataclass(slots=True)
class Span:
    """The records of one partition in a block: offsets, and the first one's time."""

    first: int
    last: int
    time_ms: int


@dataclass(slots=True)
class Block:
    """A contiguous run of decoded records of each partition; ``broken`` are undecodable records."""

    topic: str
    spans: dict[int, Span] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    broken: list[tuple[Any, UndecodableError]] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    """Timestamps of all records of the block."""
    traced: list[Any] = field(default_factory=list)
    """The records that carry a trace."""

    @property
    def oldest_ms(self) -> int:
        """The time of its first record."""
        return min(span.time_ms for span in self.spans.values())

    @property
    def next_offsets(self) -> dict[int, int]:
        return {partition: span.last + 1 for partition, span in self.spans.items()}

    def add(self, record: Any, stream: Stream) -> None:
        self.times_ms.append(record.timestamp)
        if record.headers:
            self.traced.append(record)
        span = self.spans.get(record.partition)
        if span is None:
            self.spans[record.partition] = Span(record.offset, record.offset, record.timestamp)
        else:
            span.last = record.offset
        if record.value is None:
            return  # a tombstone deletes no rows
        try:
            data = stream.decode(record.value)
        except UndecodableError as error:
            self.broken.append((record, error))
            return
        partition, offset = record.partition, record.offset
        self.items += [Item(partition, offset, i, datum) for i, datum in enumerate(data)]


class Buffer:
    """Records that wait, per partition in order; the next block is cut from their front."""

    def __init__(self, stream: Stream, topic: str) -> None:
        self._stream = stream
        self._topic = topic
        self._waiting: dict[int, deque[Any]] = {}
        self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def oldest_ms(self) -> int | None:
        """The time of the first record that waits."""
        return min((waiting[0].timestamp for waiting in self._waiting.values()), default=None)

    def put(self, partition: int, records: Iterable[Any]) -> None:
        waiting = self._waiting.setdefault(partition, deque())
        for record in records:
            waiting.append(record)
            self.bytes += len(record.value or b"")

    def cut(self, rows: int) -> Block:
        """A block of at least ``rows`` rows where there are so many, taken from all partitions in turn."""
        block = Block(self._topic)
        while self._waiting and len(block.items) < rows:
            for partition in list(self._waiting):
                waiting = self._waiting[partition]
                record = waiting.popleft()
                self.bytes -= len(record.value or b"")
                if not waiting:
                    del self._waiting[partition]
                block.add(record, self._stream)
        return block


def halves(items: list[Item]) -> tuple[list[Item], list[Item]]:
    middle = len(items) // 2
    return items[:middle], items[middle:]
