"""State rows of one partition number in; durable on the changelog first, then in the local store.

Answers: Faust's tables can only be written while a stream has a current event, so neither by a timer nor
by an agent that acknowledges for itself; each write is a message of its own (60-120 microseconds); the
local store is ahead of the changelog until the producer is flushed, and ``Producer.flush`` gives up after
100 ms (``faust/transport/producer.py``), so that a source offset can be committed whose state is lost.

Here the changelog is acknowledged before the local store changes, and the store takes rows and changelog
offset in one write. So local <= changelog at all times: a crash leaves at most a tail that Faust's
recovery, which is untouched, reads again.
"""

# ruff: noqa: SLF001 - Faust and aiokafka offer no other way in; what is reached for is pinned by version

import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any, Protocol

import faust
from faust.types import TP
from rocksdict import WriteBatch

from processors.runtime.client import QUIET
from processors.runtime.publish import publish
from processors.runtime.stage import Rows
from schemas.caches.recent_rows import Read, RecentRows

Writes = Mapping[bytes, bytes | None]

# Faust's defaults are 3 x 64 MiB to write and 2 GiB to read for each partition of each table.
STORE_OPTIONS = {
    "write_buffer_size": 2 * 1024 * 1024,
    "max_write_buffer_number": 2,
    "target_file_size_base": 16 * 1024 * 1024,
    "block_cache_size": 2 * 1024 * 1024,
    "max_open_files": 128,
    "bloom_filter_size": 10,  # most look-ups of an event, and of a contact that never merged, find nothing
}
RECENT_BYTES = 16 * 1024 * 1024
"""Memory for recently used rows of a table, all its partitions together."""


class _Store(Protocol):
    """Access by partition that both of Faust's stores offer; their own interface needs a current event."""

    def read(self, partition: int, key: bytes) -> bytes | None: ...
    def scan(self, partition: int, after: bytes | None) -> Rows: ...
    def apply(self, partition: int, writes: Writes, offset: int) -> None: ...
    def drop(self, partition: int) -> None: ...


class _Rocks:
    def __init__(self, store: Any) -> None:
        self._store = store

    def read(self, partition: int, key: bytes) -> bytes | None:
        value: bytes | None = self._store._db_for_partition(partition).get(key)
        return value

    def scan(self, partition: int, after: bytes | None) -> Rows:
        database = self._store._db_for_partition(partition)
        rows = database.items() if after is None else database.items(from_key=after)
        return ((k, v) for k, v in rows if k not in (self._store.offset_key, after))

    def apply(self, partition: int, writes: Writes, offset: int) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in writes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self._store.offset_key, str(offset).encode())
        self._store._db_for_partition(partition).write(batch)

    def drop(self, partition: int) -> None:
        database = self._store._dbs.pop(partition, None)
        if database is not None:
            database.close()
        shutil.rmtree(self._store.partition_path(partition), ignore_errors=True)


class _Memory:
    def __init__(self, store: Any) -> None:
        self._store = store

    def read(self, partition: int, key: bytes) -> bytes | None:
        return self._store.data.get(key) if self._store._key_partition.get(key) == partition else None

    def scan(self, partition: int, after: bytes | None) -> Rows:
        mine = (k for k, p in self._store._key_partition.items() if p == partition)
        return ((k, self._store.data[k]) for k in sorted(mine) if after is None or k > after)

    def apply(self, partition: int, writes: Writes, offset: int) -> None:
        for key, value in writes.items():
            if value is None:
                self._store.data.pop(key, None)
                self._store._key_partition.pop(key, None)
            else:
                self._store.data[key] = value
                self._store._key_partition[key] = partition

    def drop(self, partition: int) -> None:
        self.apply(partition, dict.fromkeys([k for k, _ in self.scan(partition, None)]), 0)


class DurableTable(faust.Table):  # type: ignore[misc]  # Faust publishes no types
    """A Faust table of bytes whose partition is named by the writer.

    Its changelog has the same partition numbers as its inputs.
    """

    logger = QUIET

    def __init__(self, app: Any, *, name: str, partitions: int) -> None:
        super().__init__(
            app,
            name=name,
            partitions=partitions,
            key_type=bytes,
            value_type=bytes,
            options=dict(STORE_OPTIONS),  # the store takes entries out of it
        )
        self._generation = RECENT_BYTES // 2 // partitions
        self._recent: dict[int, RecentRows] = {}

    @cached_property
    def _rows(self) -> _Store:
        return _Rocks(self.data) if hasattr(self.data, "offset_key") else _Memory(self.data)

    def _cache_of(self, partition: int) -> RecentRows:
        cache = self._recent.get(partition)
        if cache is None:
            cache = self._recent[partition] = RecentRows(self._generation, partial(self._rows.read, partition))
        return cache

    def reader(self, partition: int) -> Read:
        """Reads a partition's rows by key, for one unit of work: a rebalance and a recovery end what it remembers."""
        return self._cache_of(partition).read

    def scan(self, partition: int, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        return self._rows.scan(partition, after)

    async def flush(self, partition: int, writes: Writes) -> int:
        """Durable on the changelog when it returns; the offset of the last row."""
        place = (self.changelog_topic_name, partition)
        last = await publish(self.app.producer.client, {place: list(writes.items())})
        return last[place]

    def apply(self, partition: int, writes: Writes, offset: int) -> None:
        """Applies writes to the local store; call it only after ``flush``, with the offset that ``flush`` returned."""
        self._rows.apply(partition, writes, offset)
        self._cache_of(partition).update(writes)

    def apply_changelog_batch(self, batch: Any) -> None:
        self._recent.clear()
        super().apply_changelog_batch(batch)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        # A copy that is not kept up to date must not stay: when the partition comes back after the
        # changelog's tombstones are gone, its deleted rows would rise again.
        self._recent.clear()
        ours = {tp.partition for tp in assigned if tp.topic == self.changelog_topic_name}
        for partition in set(range(self.partitions)) - ours:
            self._rows.drop(partition)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
