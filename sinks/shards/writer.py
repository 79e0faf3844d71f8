"""Blocks of rows in; an insert into the tables of each affected shard out.

1. Each shard has its own writer to one of its replicas (`replicas.py`). A row goes straight to its shard, never through
   a ``Distributed`` table. Tables that every shard holds completely are written on the first shard.
2. An insert returns when all its shards have their rows, so Kafka's offsets mean the same as for one server. Each shard
   reports its stored rows; a shard that lacks some gets only those.
3. During a shard's outage its inserts are retried, and the next block of that topic waits.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from schemas.errors import ApiError
from schemas.settings import Settings
from sinks.clickhouse.dedupe import EventPosition
from sinks.clickhouse.rows import Item, Table
from sinks.clickhouse.writer import TypedColumns, Writer
from sinks.maintenance.cluster import wait_for_shards
from sinks.shards.placement import KEYS, shard_of
from sinks.shards.replicas import ReplicaWriter


def writer_of(settings: Settings, typed: TypedColumns) -> Writer:
    """Returns the writer of one server, or of a cluster."""
    is_cluster = settings.clickhouse_cluster or settings.clickhouse_shards > 1  # its start refuses shards alone
    return (ShardWriters if is_cluster else Writer)(settings, typed)


def configured_first(shards: Sequence[Sequence[Settings]], settings: Settings) -> list[list[Settings]]:
    """The hosts of each shard, the configured one before its neighbours, since reads ask it too; pure."""
    name = urlsplit(settings.clickhouse).hostname
    return [sorted(hosts, key=lambda host: urlsplit(host.clickhouse).hostname != name) for hosts in shards]


class ShardWriters(Writer):
    """One writer for each shard."""

    def __init__(self, settings: Settings, typed: TypedColumns | None = None) -> None:
        super().__init__(settings, typed)
        self._writers: list[Writer] = []

    async def start(self) -> None:
        """Returns after a replica of each shard answers; raises ``CannotStart``."""
        await self.open(configured_first(await wait_for_shards(self._settings), self._settings))

    async def open(self, shards: Sequence[Sequence[Settings]]) -> None:
        """Opens a writer to each shard, given by its replicas."""
        self._writers = [ReplicaWriter(replicas, self._typed) for replicas in shards]
        for writer in self._writers:
            writer.counts = self.counts
            await writer.start()

    def hosts(self) -> list[Settings]:
        return [host for writer in self._writers for host in writer.hosts()] or [self._settings]

    async def wait_for_tables(self) -> None:
        await asyncio.gather(*(writer.wait_for_tables() for writer in self._writers))

    async def stop(self) -> None:
        for writer in self._writers:
            await writer.stop()

    def lanes(self, table: str) -> int:
        return self._settings.clickhouse_shards if table in KEYS else 1

    def lane_of(self, table: str, datum: Any) -> int:
        return shard_of(table, datum, self._settings.clickhouse_shards)

    async def prepare(self, table: Table) -> None:
        await asyncio.gather(*(writer.prepare(table) for writer in self._writers[: self.lanes(table.name)]))

    async def insert(self, table: Table, topic: str, items: list[Item]) -> None:
        by_shard: dict[int, list[Item]] = defaultdict(list)
        for item in items:
            by_shard[self.lane_of(table.name, item.datum)].append(item)
        inserts = [self._writers[shard].insert(table, topic, some) for shard, some in by_shard.items()]
        # report the first refusal after all have ended: no insert continues unobserved
        for outcome in await asyncio.gather(*inserts, return_exceptions=True):
            if outcome is not None:
                raise outcome

    async def last_places(
        self, table: str, topic: str, floors: dict[int, int], lane: int = 0
    ) -> dict[int, tuple[int, int]]:
        return await self._writers[lane].last_places(table, topic, floors)

    async def highest_origins(self, topic: str, floors: dict[int, int]) -> list[tuple[int, EventPosition]]:
        results = await asyncio.gather(*(writer.highest_origins(topic, floors) for writer in self._writers))
        return [place for places in results for place in places]

    async def recent_ids(self, topic: str, minutes: int, limit: int) -> list[tuple[int, str, str, str]]:
        each = limit // len(self._writers)
        results = await asyncio.gather(*(writer.recent_ids(topic, minutes, each) for writer in self._writers))
        return [row for rows in results for row in rows]

    async def stored_places(self, places: Sequence[EventPosition]) -> dict[EventPosition, str]:
        stored: dict[EventPosition, str] = {}
        for some in await asyncio.gather(*(writer.stored_places(places) for writer in self._writers)):
            stored |= some
        return stored

    @property
    def is_holding(self) -> bool:
        return any(writer.is_holding for writer in self._writers)

    async def check(self) -> None:
        """Raises ``ApiError`` with the number of the shard, counted from 1, and ClickHouse's error."""
        for number, writer in enumerate(self._writers, start=1):
            try:
                await writer.check()
            except ApiError as error:
                raise ApiError("unavailable", f"shard {number}: {error}") from error
