"""Records of one partition in, messages to send and state to keep out: the contract of a stage, free of I/O.

Invariants that a stage may rely on, and its duties:

1. The records of one topic partition come in the order of the log and without a hole; the ones last
   processed before a crash come again.
2. Inputs, timers and background work of one partition number never run at the same time.
3. The outputs of ``process`` are durable before the rows that it ``put``; a crash in between repeats the step with
   the old state. So an output's id must follow from its cause, and a state must show which inputs it has applied.
4. Rows are durable one by one: a crash can keep one key of a step and lose the other until the repeat.
5. A stage's memory beside its tables is rebuilt by ``on_assigned`` and forgotten by ``on_revoked``.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.caches.recent_rows import Read
from schemas.record_batches import Headers
from schemas.topics import Topic

Rows = Iterator[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class InputRecord:
    """A record of an input; ``topic`` is its name in the catalogue, a tombstone's value is ``b""``.

    ``index``: the record holds only the datum at this index of Kafka's record; -1: it is the whole record.
    ``headers``: those of Kafka's record, where requests are traced.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    timestamp_ms: int
    index: int = -1
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """A message to an output; ``topic`` is its name in the catalogue, a value of ``b""`` is a tombstone."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes


class Tables(Protocol):
    """The layer below a ``PartitionState``: the durable rows of all partitions."""

    def reader(self, table: str, partition: int) -> Read: ...

    def scan(self, table: str, partition: int, after: bytes | None = None) -> Rows:
        """All rows of a partition whose key is greater than ``after``, in the order of their keys."""
        ...


class PartitionState:
    """The tables of one partition as a step sees them, its own writes included; nothing is durable yet."""

    __slots__ = ("_readers", "_tables", "partition", "received", "writes")

    def __init__(self, partition: int, tables: Tables) -> None:
        self.partition = partition
        self.writes: dict[str, dict[bytes, bytes | None]] = {}
        self.received: list[int] = []
        """When the edge received the events of this step (epoch ms), for the metric of their age."""
        self._tables = tables
        self._readers: dict[str, Read] = {}

    def get(self, table: str, key: bytes) -> bytes | None:
        written = self.writes.get(table)
        if written is not None and key in written:
            return written[key]
        reader = self._readers.get(table)
        if reader is None:
            reader = self._readers[table] = self._tables.reader(table, self.partition)
        return reader(key)

    def put(self, table: str, key: bytes, value: bytes | None) -> None:
        """The last value of a key wins; ``None`` deletes it."""
        self.writes.setdefault(table, {})[key] = value

    def scan(self, table: str, after: bytes | None = None) -> Rows:
        """Rows in the order of their keys, as they were before this step: for work in chunks."""
        return self._tables.scan(table, self.partition, after)


class Stage(Protocol):
    """A processor without its I/O. Every method is synchronous and returns soon.

    ``app`` names the consumer group and the changelogs, as in ``schemas.topics``. ``process`` gets 1 to 200
    records of one topic partition. A step that raises has no effect and is repeated record by record; the
    record that raises alone goes to quarantine: a stage's memory must survive that.
    """

    @property
    def app(self) -> str: ...

    @property
    def inputs(self) -> tuple[Topic, ...]: ...

    @property
    def tables(self) -> tuple[str, ...]: ...

    def process(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> Iterable[OutputRecord]: ...

    def on_timer(self, state: PartitionState, now_ms: int) -> Iterable[OutputRecord]:
        """Run the timers due by ``now_ms``; may leave some for the next call if ``next_timer`` returns them."""
        ...

    def next_timer(self, partition: int) -> int | None:
        """The earliest moment (epoch ms) at which ``on_timer`` has something to do, asked after every step."""
        ...

    def on_assigned(self, partition: int, rows: Callable[[str], Rows]) -> None:
        """A partition is ours and its tables are complete; called before its first step."""
        ...

    def on_revoked(self, partition: int) -> None:
        """The partition may belong to another worker now; ``on_assigned`` comes first if it returns."""
        ...

    def has_work(self, partition: int) -> bool:
        """Whether ``on_idle`` has work; cheap, as it is called after every step and once a second."""
        ...

    def on_idle(self, state: PartitionState, now_ms: int) -> Iterable[OutputRecord]:
        """Run a chunk of background work, caused by no record and no timer; called between groups of records."""
        ...


Quarantine = Callable[[InputRecord, str], OutputRecord]
"""A record that cannot be processed and the reason in; the message that keeps it out."""
