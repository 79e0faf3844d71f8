"""The edge's shared parts, wired once; canonical events in, durable ones (or a 503) out."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from ingest.events.ack_cache import EventAckCache
from ingest.events.batching import BatchAccumulator
from ingest.events.merge_map import MergeMapReplica
from ingest.events.publish import Publisher
from ingest.events.receipts import Receipts, Waiter
from ingest.events.replay_cache import RequestReplayCache
from ingest.http.idempotency import IdempotencyStore
from ingest.http.rate_limit import RateLimiter
from ingest.http.refusals import RefusalLog
from ingest.trial.rejected import RejectedCalls
from schemas import topics
from schemas.api import parameters
from schemas.control.access import Principal, key_of
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.record_batches import Headers
from schemas.records.codec import encode_event
from schemas.records.identity import partition_of
from schemas.records.records import Event
from schemas.records.sameness import event_key
from schemas.service import clock
from schemas.service.counts import RequestCounts
from schemas.service.web import authorise
from schemas.settings import Settings
from schemas.times import MINUTE_MS
from schemas.tracing.spans import Tracer

SMALL_FIELDS: Final = 32 * 1024
"""Bytes assumed for all fields but properties, context, profile and the values of identifiers."""


@dataclass(slots=True)
class Edge:
    """The edge's parts; ``clock`` gives epoch ms."""

    settings: Settings
    instance: str
    control: ControlState
    publisher: Publisher
    accumulator: BatchAccumulator
    receipts: Receipts
    merge_map: MergeMapReplica
    ack_cache: EventAckCache
    rate_limiter: RateLimiter
    idempotency: IdempotencyStore
    replay_cache: RequestReplayCache
    clock: Callable[[], int] = clock.now_ms
    refusals: RefusalLog = field(default_factory=RefusalLog)
    counts: defaultdict[str, RequestCounts] = field(default_factory=lambda: defaultdict(RequestCounts))
    """Counts of requests with events, by dialect."""
    rejected: RejectedCalls = field(default_factory=RejectedCalls)
    """Refused requests of test environments, with their bodies."""
    tracer: Tracer | None = None
    forget: Callable[[tuple[str, str], str, Callable[[], Awaitable[Any]]], Awaitable[None]] | None = None
    """(home, own contact id, function that reads the contact's ids): erases the contact; set by ``Erasures``."""

    def authorise(self, request: Request, scope: str | None) -> Principal:
        """The key's principal, after its rate limit; raises ``ApiError`` (401, 403, 422, 429)."""
        now_ms, headers = self.clock(), dict(request.scope["headers"])
        principal = authorise(self.control, headers, request.query_params, scope, now_ms)
        self.rate_limiter.admit(request.scope, headers, principal, now_ms)
        parameters.check(request.method, request.url.path, request.scope["query_string"])
        return principal

    def throttle(self, request: Request) -> None:
        """Rate-limit a proxied request. Without a valid key it passes: the read API refuses it."""
        key = key_of(dict(request.scope["headers"]), request.query_params)
        if key and self.control.key(key, self.clock()) is not None:
            self.authorise(request, None)

    def check_size(self, event: Event, place: str) -> None:
        """Raises ``ApiError`` if ``submit`` might refuse the event as too large: assumes the largest small fields."""
        size = len(event["properties"]) + len(event["context"]) + len(event["profile"])
        size += sum(len(identifier["value"].encode()) for identifier in event["identifiers"])
        if size + SMALL_FIELDS > self.settings.max_event_bytes:
            raise _too_large(self.settings, event).at(place)

    async def applied(self, task_id: str, events: list[Event], within_s: float, *, trace: str = "") -> Waiter | None:
        """Publishes the events and returns when all are durable: with their receipts, or ``None`` if one is late."""
        waiter = self.receipts.expect(task_id, [event_key(event) for event in events])
        try:
            for future in {self.submit(event, trace) for event in events}:
                await future
        except BaseException:
            self.receipts.forget(task_id)
            raise
        return waiter if await self.receipts.wait(task_id, within_s) else None

    def submit(self, event: Event, trace: str = "") -> asyncio.Future[None]:
        """Adds an event to its partition's batch; ``trace`` is the ``traceparent`` of a traced request.

        Raises ``ApiError`` if the event is too large or too many bytes are waiting.
        """
        item = encode_event(event)
        if len(item) > self.settings.max_event_bytes:
            raise _too_large(self.settings, event)
        # an event without an identifier has no contact to partition by
        partition = partition_of(event["contact_id"] or event["event_id"], self.settings.partitions)
        traced = (event["event_id"], trace) if trace else None
        origin = event["workspace"], event["environment"], event["source"], event["received_ms"] // MINUTE_MS
        return self.accumulator.add(partition, item, origin, traced)


def _too_large(settings: Settings, event: Event) -> ApiError:
    largest = max(("properties", "context", "profile"), key=lambda name: len(event[name]))  # type: ignore[literal-required]
    return ApiError("too_large", f"an event is larger than {settings.max_event_bytes} bytes", largest)


def accumulator(settings: Settings, publisher: Publisher) -> BatchAccumulator:
    """The collector in front of the `events` topic."""
    topic = topics.name(topics.EVENTS, settings)

    async def publish(partition: int, record: bytes, headers: Headers) -> None:
        await publisher.publish(topic, record, partition=partition, headers=headers)

    return BatchAccumulator(
        publish,
        settings.partitions,
        deadline_s=settings.publish_deadline_s,
        buffer_bytes=settings.publish_buffer_bytes,
    )
