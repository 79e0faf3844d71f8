"""Requests for history in, stored events out: all events accepted before a request are stored before they are read.

A failed request is repeated from its beginning: an event may be applied any number of times.
"""

import asyncio
import importlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from processors.backfill.queue import (
    BackfillChunk,
    BackfillQueue,
    BackfillRequest,
    ContactRebuild,
    SegmentBackfill,
    Tenant,
)
from processors.backfill.sink_progress import SinkProgress
from schemas import topics
from schemas.records.records import Event
from schemas.service import clock
from schemas.service.clickhouse_auth import database_connection, read_database, read_settings_of
from schemas.settings import Settings

log = logging.getLogger(__name__)

AGAIN_S = 1.0
GRACE_S = 0.25
"""Until then every worker has seen a new rule: an event that one passes on to another is counted or covered."""
BUCKET, CHUNK = 20_000, 1_000
"""Events of one query, about, and of one chunk."""

_COLUMNS = """
SELECT event_id, _kind AS kind, type, contact_id, own_contact_id, identifiers,
       toUnixTimestamp64Milli(timestamp) AS timestamp_ms,
       toUnixTimestamp64Milli(received_at) AS received_ms, properties, _profile AS profile
FROM events
"""
_KEY = ("event_id", "type", "own_contact_id")
"""The identity of a contact's event; two rows of one event have the same."""
_HOME = "WHERE workspace = {workspace:String} AND environment = {environment:String}"
_BACK_FILL = f"""{_HOME}
    AND type IN {{types:Array(String)}} AND _kind = 'track' AND contact_id != ''
    AND _topic = {{topic:String}} AND _partition = {{partition:Int32}}
    AND timestamp >= fromUnixTimestamp64Milli({{since_ms:Int64}})
"""
_SIZE = "SELECT uniqExact(contact_id) AS contacts, count() AS events FROM events "
_BUCKET = " AND cityHash64(contact_id) % {buckets:UInt32} = {bucket:UInt32} ORDER BY contact_id"
_REBUILD = f"""{_HOME}
    AND own_contact_id IN {{ids:Array(String)}}
    AND (event_id, type, own_contact_id) > ({{event_id:String}}, {{type:String}}, {{own_contact_id:String}})
ORDER BY event_id, type, own_contact_id
LIMIT {{limit:UInt32}}
"""


class BackfillReader:
    """The reader of all partitions of a worker; it connects at the first request."""

    def __init__(self, settings: Settings, queue: BackfillQueue, wake: Callable[[], None]) -> None:
        self._settings = settings
        self._queue = queue
        self._topic = topics.name(topics.RESOLVED, settings)
        self._stored = SinkProgress(settings)
        self._news = asyncio.Condition()
        self._client: Any = None
        self._ripe: dict[BackfillRequest, float] = {}
        queue.on_request, queue.on_taken = self._on_request, self._notify
        queue.on_chunk = wake
        self._notifying: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self._serve(kind), name=kind.__name__) for kind in (SegmentBackfill, ContactRebuild)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stored.close()

    def _on_request(self) -> None:
        ripe = time.monotonic() + GRACE_S
        self._ripe = {request: self._ripe.get(request, ripe) for request in self._queue.requests}
        self._notify()

    def _notify(self) -> None:
        task = asyncio.get_running_loop().create_task(self._notify_all())
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    async def _notify_all(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _serve(self, kind: type[BackfillRequest]) -> None:
        while True:
            request = await self._next(kind)
            await asyncio.sleep(self._ripe.get(request, 0.0) - time.monotonic())
            while self._queue.is_open(request):
                try:
                    await (self._back_fill(request) if isinstance(request, SegmentBackfill) else self._rebuild(request))
                    break
                except Exception:  # any failure: the contacts wait for this history
                    log.exception("reading the history of partition %d failed, retrying", request.partition)
                    await asyncio.sleep(AGAIN_S)

    async def _next(self, kind: type[BackfillRequest]) -> BackfillRequest:
        async with self._news:
            while True:
                for request in self._queue.requests:
                    if isinstance(request, kind):
                        self._queue.requests.remove(request)
                        return request
                await self._news.wait()

    # --- reading

    async def _back_fill(self, request: SegmentBackfill) -> None:
        await self._stored.wait([request.partition])
        since = 0 if request.within_ms is None else clock.now_ms() - request.within_ms
        where = {
            "types": sorted(request.types),
            "topic": self._topic,
            "partition": request.partition,
            "since_ms": since,
        }
        (size,) = await self._rows(_SIZE + _BACK_FILL, request.home, **where)
        buckets, done = max(1, -(-size["events"] // BUCKET)), 0
        for bucket in range(buckets):
            sql = _COLUMNS + _BACK_FILL + _BUCKET
            rows = await self._rows(sql, request.home, **where, buckets=buckets, bucket=bucket)
            for start in range(0, len(rows), CHUNK):
                some = rows[start : start + CHUNK]
                done += len({row["contact_id"] for row in some})
                await self._give(request, some, done=min(done, size["contacts"]), total=size["contacts"])
        await self._give(request, [], done=size["contacts"], total=size["contacts"], is_last=True)

    async def _rebuild(self, request: ContactRebuild) -> None:
        await self._stored.wait(range(self._settings.partitions))
        after = dict.fromkeys(_KEY, "")
        while True:
            ids = sorted(request.members)
            rows = await self._rows(_COLUMNS + _REBUILD, request.home, ids=ids, **after, limit=CHUNK)
            is_last = len(rows) < CHUNK
            await self._give(request, rows, is_last=is_last)
            if is_last:
                return
            after = {name: rows[-1][name] for name in _KEY}

    async def _give(
        self,
        request: BackfillRequest,
        rows: list[dict[str, Any]],
        *,
        done: int = 0,
        total: int = 0,
        is_last: bool = False,
    ) -> None:
        events = [_event(row, request.home) for row in rows]
        async with self._news:
            await self._news.wait_for(
                lambda: self._queue.has_room(request.partition) or not self._queue.is_open(request)
            )
        self._queue.give(BackfillChunk(request=request, events=events, is_last=is_last, done=done, total=total))

    # --- where it is read

    async def _rows(self, sql: str, home: Tenant, **parameters: Any) -> list[dict[str, Any]]:
        if self._client is None:
            self._client = await _connected(self._settings)
        named = {"workspace": home[0], "environment": home[1], **parameters}
        result = await self._client.query(sql, parameters=named)
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def _event(row: dict[str, Any], home: Tenant) -> Event:
    """Rebuilds the event of `resolved` from its row, with the fields that a contact's state depends on."""
    identifiers = [
        {"type": identifier[0], "value": identifier[1]} if isinstance(identifier, tuple) else identifier
        for identifier in row["identifiers"]
    ]
    return Event(
        event_id=row["event_id"],
        workspace=home[0],
        environment=home[1],
        kind=row["kind"],
        type=row["type"],
        contact_id=row["contact_id"],
        identifiers=orjson.loads(orjson.dumps(identifiers)),
        timestamp_ms=row["timestamp_ms"],
        received_ms=row["received_ms"],
        properties=row["properties"].encode(),
        context=b"",
        profile=row["profile"].encode(),
        campaign_id="",
        message_id="",
        variant="",
        channel="",
        source="",
        key_id="",
        task_id="",
        reply_to="",
    )


async def _connected(settings: Settings) -> Any:
    # a worker that never needs it does not pay for it, and the event loop does not wait for the import
    driver = await asyncio.to_thread(importlib.import_module, "clickhouse_connect")
    options = await asyncio.to_thread(importlib.import_module, "clickhouse_connect.driver.options")
    vars(options).update(np=None, pd=None)  # 60 MB for data frames that are not used
    of = {**database_connection(settings), "database": read_database(settings)}
    return await driver.get_async_client(**of, settings=read_settings_of(settings))
