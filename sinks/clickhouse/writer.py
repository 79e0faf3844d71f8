"""Blocks of rows in, inserts into ClickHouse out; and the places in Kafka of the last stored rows.

1. The writer repeats an insert until ClickHouse has it. After an error it queries the table for the rows of these
   places, and sends them again if they are missing. It sends no deduplication token: a plain MergeTree logs a token
   before the part is in place, so a server that is killed in between accepts the repeat without the rows.
   An unnecessary repeat, the driver's own too, collapses by the table's key.
2. In a cluster the rows are sent again without a query: one replica that has them may be the only one, after an insert
   that failed because most others were away.
3. Only an error about the rows themselves, of ClickHouse or the driver, is a refusal. Every other error is temporary.
"""

import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from clickhouse_connect.driver import options
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError
from clickhouse_connect.driver.insert import InsertContext

from schemas.control.definitions import TypedColumn
from schemas.errors import ApiError
from schemas.records.sameness import key_from
from schemas.retry import retried
from schemas.service import clock
from schemas.service.counts import SinkCounts
from schemas.settings import Settings
from schemas.typed.values import COLUMNS, values_of
from sinks.clickhouse.connect import FOREVER_S, code_of, provisioned, writing
from sinks.clickhouse.dedupe import EventPosition
from sinks.clickhouse.outcome_rows import OUTCOMES
from sinks.clickhouse.rows import EVENTS, PLACE, Columns, Item, Table, UnusableError, fill

log = logging.getLogger(__name__)
T = TypeVar("T")

BAD_DATA = frozenset({6, 27, 38, 41, 69, 70, 72, 117, 131, 321, 349, 407, 469, 691})
"""ClickHouse's codes for rows that no repetition makes better: unparsable, out of range, against a constraint."""
WAITS_S = (0.1, 5.0)
INSERT = {
    "max_threads": "1",  # a block is written by one; more would only wait for each other
    "async_insert": "0",  # an answer means written
    "insert_deduplicate": "0",
}
QUORUM = {"insert_quorum": "auto", "insert_quorum_parallel": "1", "insert_quorum_timeout": "60000"}
"""Settings for a cluster: an insert returns when most replicas have the rows, or fails after this many ms."""


# The driver loads NumPy and pandas, if installed, to recognise their types: 60 MB and half a second.
vars(options).update(np=None, pd=None)


TYPED_EVENTS = replace(EVENTS, columns=(*COLUMNS.values(), *EVENTS.columns))
"""The table of events with the typed columns, for blocks that have values for them."""
TypedColumns = Mapping[tuple[str, str], Mapping[str, TypedColumn]]
"""Properties of events by workspace and environment; its owner may change it."""


def _places(columns: Columns) -> list[EventPosition]:
    """Returns the sorted places (partition, offset, index) of the rows of a block."""
    return sorted(set(zip(*columns[-len(PLACE) + 1 :], strict=True)))


class RowsRefusedError(Exception):
    """These rows cannot be stored as they are."""


class Writer:
    """A ClickHouse client that writes each table by one insert at a time."""

    def __init__(self, settings: Settings, typed: TypedColumns | None = None) -> None:
        self._settings = settings
        self.counts = SinkCounts()
        self._typed = {} if typed is None else typed
        self._contexts: dict[tuple[str, tuple[str, ...]], InsertContext] = {}
        """Insert contexts, by the table's name and columns."""
        self._waiting: dict[str, str] = {}
        """Calls that are being retried, with ClickHouse's error."""

    async def start(self) -> None:
        """Returns when ClickHouse answers."""
        self._client: AsyncClient = await writing(self._settings, FOREVER_S)

    async def wait_for_tables(self) -> None:
        """Returns when this release's tables are there."""
        await provisioned(self._client, self._settings)

    async def stop(self) -> None:
        await self._client.close()

    def hosts(self) -> list[Settings]:
        """Returns the settings of each host that rows go to now."""
        return [self._settings]

    async def watched(self, call: Awaitable[T]) -> T:
        """The result of a call to ClickHouse; to one server it lasts until the driver gives up."""
        return await call

    async def sync(self, table: str) -> None:
        """Returns when rows that the table has cannot be lost with one host; raises ``ClickHouseError``."""

    async def recover(self, failed: AsyncClient, error: Exception) -> None:
        """Called before a call that failed is repeated: one server can only be waited for."""

    def lanes(self, table: str) -> int:
        """Returns the number of lanes with inserts of their own for the table: one for each shard."""
        return 1

    def lane_of(self, table: str, datum: Any) -> int:
        """Returns the lane, counted from 0, that stores the row of a datum."""
        return 0

    async def prepare(self, table: Table) -> None:
        """Learn the table's types; waits until it is there."""
        if (table.name, table.columns) not in self._contexts:
            made = await self._until_done(f"{table.name}'s types", self._context, table)
            self._contexts[table.name, table.columns] = made

    async def insert(self, table: Table, topic: str, items: list[Item]) -> None:
        """Return when the rows are stored, in the tables of views too; raises ``RowsRefusedError``."""
        try:
            columns = fill(table, topic, items)
        except UnusableError as error:
            raise RowsRefusedError(str(error)) from error
        if table is EVENTS and self._typed and (typed := _typed_columns(items, self._typed)):
            table, columns = TYPED_EVENTS, [*typed, *columns]
            await self.prepare(table)
        was_sent = False

        async def attempt() -> None:
            nonlocal was_sent
            # rows of views are unknown here: a block with views is sent again in any case
            can_ask = was_sent and not table.views and not self._settings.clickhouse_cluster
            if can_ask and await self._has(table.name, topic, _places(columns)):
                return
            was_sent = True
            await self._insert(table, columns)

        began = time.perf_counter()
        await self._until_done(f"insert into {table.name}", attempt)
        self.counts.inserts[table.name].observe(time.perf_counter() - began)
        self.counts.rows[table.name] += len(items)

    async def _insert(self, table: Table, columns: list[list[Any]]) -> None:
        context = self._contexts[table.name, table.columns]
        context.settings = INSERT | QUORUM if self._settings.clickhouse_cluster else INSERT
        if self._stamps(table):
            columns = [*columns, [clock.now_ms()] * len(columns[0])]
        await self._client.insert(data=columns, context=context)

    def _stamps(self, table: Table) -> bool:
        """Whether the sink's clock gives `_stored_at`: in a cluster each replica's clock would differ."""
        return bool(self._settings.clickhouse_cluster) and table is not OUTCOMES

    async def _has(self, table: str, topic: str, places: Sequence[EventPosition]) -> bool:
        """Whether each of these places (partition, offset, index) of a topic has a row."""
        spans = {partition: [offset for p, offset, _ in places if p == partition] for partition, _, _ in places}
        bounds = " OR ".join(
            f"(_partition = {{p{p}:Int32}} AND _offset BETWEEN {{f{p}:Int64}} AND {{l{p}:Int64}})" for p in spans
        )
        parameters: dict[str, Any] = {"topic": topic}
        for partition, offsets in spans.items():
            named = {f"p{partition}": partition, f"f{partition}": min(offsets), f"l{partition}": max(offsets)}
            parameters |= named
        sql = f"SELECT DISTINCT _partition, _offset, _index FROM {table} WHERE _topic = {{topic:String}} AND ({bounds})"  # noqa: S608 - a name of ours
        result = await self._client.query(sql, parameters)
        return {tuple(row) for row in result.result_rows}.issuperset(places)

    async def _context(self, table: Table) -> InsertContext:
        names = [*table.columns, *PLACE, *(("_stored_at",) if self._stamps(table) else ())]
        return await self._client.create_insert_context(table.name, names, column_oriented=True)

    async def last_places(
        self, table: str, topic: str, floors: dict[int, int], lane: int = 0
    ) -> dict[int, tuple[int, int]]:
        """Returns the last stored (offset, index) of each partition in a lane; searches from the partition's floor."""
        await self._until_done("replicas", self.sync, table)
        rows = await self._by_partition(
            f"SELECT _partition, max((_offset, _index)) FROM {table} WHERE _topic = {{topic:String}} AND (",  # noqa: S608 - a name of ours
            floors,
            topic,
        )
        return {partition: (offset, index) for partition, (offset, index) in rows}

    async def highest_origins(self, topic: str, floors: dict[int, int]) -> list[tuple[int, EventPosition]]:
        """Returns, for each partition and origin partition, the highest place on `events` that has a row."""
        rows = await self._by_partition(
            "SELECT _partition, _origin_partition, max((_origin_offset, _origin_index)) FROM events"
            " WHERE _topic = {topic:String} AND (",
            floors,
            topic,
            "_partition, _origin_partition",
        )
        return [(partition, (origin, offset, index)) for partition, origin, (offset, index) in rows]

    async def recent_ids(self, topic: str, minutes: int, limit: int) -> list[tuple[int, str, str, str]]:
        """Partition, workspace, environment and key of recently stored rows, oldest first."""
        rows = await self._query(
            "SELECT _partition, workspace, environment, event_id, type, own_contact_id FROM"
            " (SELECT * FROM events WHERE _topic = {topic:String}"
            " AND _stored_at >= now64(3) - toIntervalMinute({minutes:UInt32})"
            " ORDER BY _stored_at DESC LIMIT {limit:UInt32} BY _partition) ORDER BY _stored_at",
            {"topic": topic, "minutes": minutes, "limit": limit},
        )
        return [(*row[:3], key_from(*row[3:])) for row in rows]

    async def stored_places(self, places: Sequence[EventPosition]) -> dict[EventPosition, str]:
        """Returns the event ids of the rows at these places of `events`."""
        stored: dict[EventPosition, str] = {}
        for origin in {place[0] for place in places}:
            offsets = [offset for partition, offset, _ in places if partition == origin]
            rows = await self._query(
                "SELECT _origin_partition, _origin_offset, _origin_index, event_id FROM events"
                " WHERE _origin_partition = {origin:Int32}"
                " AND _origin_offset BETWEEN {first:Int64} AND {last:Int64}",
                {"origin": origin, "first": min(offsets), "last": max(offsets)},
            )
            stored |= {(partition, offset, index): event_id for partition, offset, index, event_id in rows}
        return stored

    async def _by_partition(
        self, select: str, floors: dict[int, int], topic: str, group: str = "_partition"
    ) -> list[tuple[Any, ...]]:
        if not floors:
            return []
        ranges = " OR ".join(f"(_partition = {{p{p}:Int32}} AND _offset >= {{f{p}:Int64}})" for p in floors)
        parameters: dict[str, Any] = {"topic": topic}
        for partition, floor in floors.items():
            parameters |= {f"p{partition}": partition, f"f{partition}": floor}
        return await self._query(f"{select}{ranges}) GROUP BY {group}", parameters)

    async def _query(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        # not the client's method itself: after a failure the client may be another one
        result = await self._until_done("query", lambda: self._client.query(sql, parameters))
        return [tuple(row) for row in result.result_rows]

    @property
    def is_holding(self) -> bool:
        """Whether something is tried again."""
        return bool(self._waiting)

    async def check(self) -> None:
        """Raises ``ApiError`` with ClickHouse's error, while a call is being retried."""
        for what, reason in self._waiting.items():
            raise ApiError("unavailable", f"{what} waits: {reason}")

    async def _until_done(self, what: str, call: Any, *args: Any) -> Any:
        """Retries ``call(*args)`` until it succeeds; raises ``RowsRefusedError``. ``what`` names the call in logs."""
        failure: tuple[AsyncClient, Exception] | None = None
        client = self._client

        async def attempt() -> Any:
            nonlocal client
            if failure is not None:
                await self.recover(*failure)
            client = self._client
            return await self.watched(call(*args))

        def report(error: Exception, pause_s: float) -> None:
            nonlocal failure
            failure = client, error
            if isinstance(error, DataError) or code_of(error) in BAD_DATA:
                self.counts.errors["refused"] += 1
                raise RowsRefusedError(str(error)) from error
            self.counts.errors["unavailable"] += 1
            self._waiting[what] = str(error)[:200]
            log.warning("%s: ClickHouse is unavailable, retrying in %.1f s: %s", what, pause_s, str(error)[:500])

        try:
            return await retried(attempt, ClickHouseError, report, *WAITS_S)
        finally:
            self._waiting.pop(what, None)


def _typed_columns(items: list[Item], typed: TypedColumns) -> list[list[Any]]:
    """Returns the columns of typed values; no columns if no environment of the events has typed columns."""
    names = {
        home: [(name, properties[name].type) for name in sorted(properties)]
        for home in {(item.datum["workspace"], item.datum["environment"]) for item in items}
        if (properties := typed.get(home))
    }
    if not names:
        return []
    rows = [
        values_of(item.datum["properties"], names.get((item.datum["workspace"], item.datum["environment"]), ()))
        for item in items
    ]
    return [[row[column] for row in rows] for column in COLUMNS.values()]
