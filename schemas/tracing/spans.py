"""The interface of a tracer: the pipeline's calls for a traced request, record or attempt; pure."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Protocol

from schemas.record_batches import Headers
from schemas.tracing.context import NO_TRACES, Traces

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
"""ASGI's."""


class KafkaRecord(Protocol):
    """The parts of a Kafka record that a span needs."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def headers(self) -> Headers: ...


class RequestSpan(Protocol):
    """The span of an incoming or outgoing HTTP request; ``traceparent`` is the context of its effects."""

    traceparent: str

    def answered(self, status: int, error: str = "") -> None:
        """``status``: that of HTTP, 0 where there was no answer; ``error``: why it failed, empty where it did not."""
        ...

    def end(self) -> None: ...


class RecordSpans(Protocol):
    """The traced events of one unit of work; ``traces`` are their contexts, for the records that it sends."""

    traces: Traces

    def end(self, error: str = "") -> None: ...


class Tracer(Protocol):
    """Makes the spans of one process; no method waits for a collector."""

    def request(self, method: str, route: str, header: bytes) -> RequestSpan | None:
        """Starts the span of an incoming request with this ``traceparent``; ``None`` if it is not sampled.

        ``route``: the request's path, or empty for a path with parameters, which may be personal data.
        """
        ...

    def attempt(self, parent: str, url: str, delivery_id: str, attempt: int) -> RequestSpan | None:
        """The span of a webhook's request to ``url``; ``parent``: a ``traceparent``."""
        ...

    def process(self, records: Iterable[KafkaRecord], operation: str) -> RecordSpans | None:
        """A span for each traced event of the records; ``None`` without traced events."""
        ...

    def flush(self) -> None:
        """Sends the waiting spans, within a second; once, at the end of the process."""
        ...


@contextmanager
def traced(tracer: Tracer | None, records: Iterable[KafkaRecord], operation: str = "process") -> Iterator[Traces]:
    """Around the work on records: the contexts of their traced events, for the records that it sends."""
    spans = None if tracer is None else tracer.process(records, operation)
    if spans is None:
        yield NO_TRACES
        return
    error = ""
    try:
        yield spans.traces
    except BaseException as caught:
        error = type(caught.__cause__ or caught).__name__
        raise
    finally:
        spans.end(error)


def watching(span: RequestSpan, send: Send) -> Send:
    """Returns a ``send`` that also reports the answer's status to the span."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            span.answered(status, str(status) if status >= 500 else "")
        await send(message)

    return sending
