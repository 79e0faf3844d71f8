"""Encoded events in, micro-batches on `events` out; a future per batch tells when it is durable.

The first event opens a batch; it closes when the record before it is acknowledged, or at 500 events or 256 KiB.
So a single event does not wait, and batches grow under load.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.errors import ApiError
from schemas.record_batches import Headers, Origin, origins_header
from schemas.records.codec import join_events
from schemas.service.counts import Histogram
from schemas.tracing.context import MOST_EVENTS as MOST_TRACED
from schemas.tracing.context import Traces, headers_of

MAX_EVENTS: Final = 500
MAX_BYTES: Final = 256 * 1024
Publish = Callable[[int, bytes, Headers], Awaitable[None]]
"""(partition, record, its headers) -> returns when all replicas have it; else raises ``ApiError`` (503)."""


class _OpenBatch:
    __slots__ = ("done", "items", "origins", "owners", "size", "traces")

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.items: list[bytes] = []
        self.owners: dict[str, int] = {}
        """Bytes of each workspace in it."""
        self.origins: dict[Origin, int] = {}
        """Events of each origin in it."""
        self.size = 0
        self.done = done
        self.traces: Traces = {}

    def headers(self) -> Headers:
        return [*headers_of(self.traces), *origins_header(self.origins)]


class BatchAccumulator:
    """Per partition one record is in flight and one batch is open; ``buffer_bytes`` bounds all waiting events.

    A workspace may use as many bytes as it leaves free: a single workspace fills half, and others find room.
    """

    def __init__(self, publish: Publish, partitions: int, *, deadline_s: float, buffer_bytes: int) -> None:
        self._publish = publish
        self._deadline_s = deadline_s
        self._buffer_bytes = buffer_bytes
        self._waiting: list[deque[_OpenBatch]] = [deque() for _ in range(partitions)]
        self._senders: list[asyncio.Task[None] | None] = [None] * partitions
        self._pending: dict[str, int] = {}
        self.pending_bytes = 0
        self.ack_seconds = Histogram()

    def add(
        self, partition: int, item: bytes, origin: Origin, trace: tuple[str, str] | None = None
    ) -> asyncio.Future[None]:
        """Put an event on its way; ``trace`` is its id and the trace that it belongs to.

        The future is done when it is durable; ``ApiError`` (503) at the deadline. All events of the batch share it,
        so a request must not cancel it.
        """
        owner = origin[0]
        pending = self._pending.get(owner, 0)
        if self.pending_bytes + pending > self._buffer_bytes:
            raise ApiError("unavailable", "too much is waiting for Kafka; try again")
        queue = self._waiting[partition]
        batch = queue[-1] if queue else None
        if batch is None or len(batch.items) >= MAX_EVENTS or batch.size + len(item) > MAX_BYTES:
            batch = self._open(partition)
        batch.items.append(item)
        batch.size += len(item)
        batch.owners[owner] = batch.owners.get(owner, 0) + len(item)
        batch.origins[origin] = batch.origins.get(origin, 0) + 1
        if trace is not None and len(batch.traces) < MOST_TRACED:
            batch.traces[trace[0]] = trace[1]
        self._pending[owner] = pending + len(item)
        self.pending_bytes += len(item)
        return batch.done

    def _give_back(self, batch: _OpenBatch) -> None:
        self.pending_bytes -= batch.size
        for owner, size in batch.owners.items():
            left = self._pending[owner] - size
            if left:
                self._pending[owner] = left
            else:
                del self._pending[owner]

    def _open(self, partition: int) -> _OpenBatch:
        loop = asyncio.get_running_loop()
        batch = _OpenBatch(loop.create_future())
        batch.done.add_done_callback(_retrieve)
        loop.call_later(self._deadline_s, _expire, batch.done)
        self._waiting[partition].append(batch)
        if self._senders[partition] is None:
            self._senders[partition] = asyncio.create_task(self._send(partition))
        return batch

    async def _send(self, partition: int) -> None:
        queue = self._waiting[partition]
        # let every request that is ready in this turn of the loop join the first batch
        await asyncio.sleep(0)
        while queue:
            batch = queue.popleft()
            try:
                if not batch.done.done():  # else its clients have had their 503: the batch need not be sent
                    began = time.perf_counter()
                    await self._publish(partition, join_events(batch.items), batch.headers())
                    self.ack_seconds.observe(time.perf_counter() - began)
                    if not batch.done.done():
                        batch.done.set_result(None)
            except ApiError as refused:
                if not batch.done.done():
                    batch.done.set_exception(refused)
            finally:
                self._give_back(batch)
        self._senders[partition] = None


def _expire(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_exception(ApiError("unavailable", "not durable yet; send it again with the same event id"))


def _retrieve(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()
