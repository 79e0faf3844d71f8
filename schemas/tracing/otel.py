"""Requests, records and attempts in; spans of OpenTelemetry out, which a thread of its SDK sends to a collector.

Names of attributes are those of the semantic conventions for HTTP and for messaging, which are still in development:
https://opentelemetry.io/docs/specs/semconv/messaging/kafka/. Spans name places, ids and times, nothing of a person.
"""

import threading
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from schemas.tracing.context import MOST_EVENTS, TraceContext, Traces, parse, traceparent, traces_in
from schemas.tracing.spans import KafkaRecord

MOST_A_SECOND = 50
"""Requests whose own ``traceparent`` says that they are sampled: clients decide that."""
FLUSH_S = 1.0
"""How long the end of a process waits for a collector."""


class OtelRequestSpan:
    """See ``RequestSpan``."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.traceparent = _traceparent(span)

    def answered(self, status: int, error: str = "") -> None:
        if status:
            self._span.set_attribute("http.response.status_code", status)
        if error:
            _fail(self._span, error)

    def end(self) -> None:
        self._span.end()


class OtelRecordSpans:
    """See ``RecordSpans``."""

    def __init__(self, spans: dict[str, Span]) -> None:
        self._spans = spans
        self.traces: Traces = {event: _traceparent(span) for event, span in spans.items()}

    def end(self, error: str = "") -> None:
        for span in self._spans.values():
            if error:
                _fail(span, error)
            span.end()


class OtelTracer:
    """See ``Tracer``. ``group``: the consumer group of the process, or its name."""

    def __init__(self, provider: TracerProvider, group: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("headwater")
        self._group = group
        self._second, self._followed = 0, 0
        self._is_ending, self._is_flushed = threading.Event(), threading.Event()
        # begun here, because from Python 3.12 on the end of a process starts no thread
        threading.Thread(target=self._flush_at_end, name="flush spans", daemon=True).start()

    def request(self, method: str, route: str, header: bytes) -> OtelRequestSpan | None:
        parent = parse(header) if header else None
        if parent is not None and parent.is_sampled and not self._may_follow():
            parent = None
        attributes: dict[str, AttributeValue] = {"http.request.method": method}
        if route:
            attributes["http.route"] = route
        return self._of_request(f"{method} {route}".strip(), parent, SpanKind.SERVER, attributes)

    def attempt(self, parent: str, url: str, delivery_id: str, attempt: int) -> OtelRequestSpan | None:
        attributes: dict[str, AttributeValue] = {
            "http.request.method": "POST",
            "http.request.resend_count": attempt,
            "server.address": urlsplit(url).hostname or "",
            "headwater.delivery_id": delivery_id,
        }
        return self._of_request("POST", parse(parent.encode()), SpanKind.CLIENT, attributes)

    def process(self, records: Iterable[KafkaRecord], operation: str) -> OtelRecordSpans | None:
        spans: dict[str, Span] = {}
        for record in records:
            for event, text in traces_in(record.headers).items():
                if len(spans) < MOST_EVENTS and event not in spans:
                    spans[event] = self._of_record(record, event, text, operation)
        return OtelRecordSpans(spans) if spans else None

    def flush(self) -> None:
        self._is_ending.set()
        self._is_flushed.wait(FLUSH_S)

    def _flush_at_end(self) -> None:
        self._is_ending.wait()
        try:
            self._provider.force_flush()
        finally:
            self._is_flushed.set()

    def _may_follow(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._followed = second, 0
        self._followed += 1
        return self._followed <= MOST_A_SECOND

    def _of_request(
        self, name: str, parent: TraceContext | None, kind: SpanKind, attributes: dict[str, AttributeValue]
    ) -> OtelRequestSpan | None:
        span = self._tracer.start_span(name, _remote(parent), kind, attributes)
        return OtelRequestSpan(span) if span.is_recording() else None

    def _of_record(self, record: KafkaRecord, event: str, text: str, operation: str) -> Span:
        attributes: dict[str, AttributeValue] = {
            "messaging.system": "kafka",
            "messaging.operation.name": operation,
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._group,
            "headwater.event_id": event,
        }
        name, parent = f"{operation} {record.topic}", _remote(parse(text.encode()))
        return self._tracer.start_span(name, parent, SpanKind.CONSUMER, attributes)


def _remote(parent: TraceContext | None) -> Context:
    """The context of the parent's span; an empty context without a parent."""
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.is_sampled else TraceFlags.DEFAULT)
    remote = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(remote), Context())


def _traceparent(span: Span) -> str:
    context = span.get_span_context()
    return traceparent(context.trace_id, context.span_id)


def _fail(span: Span, error: str) -> None:
    span.set_attribute("error.type", error[:200])
    span.set_status(Status(StatusCode.ERROR))
