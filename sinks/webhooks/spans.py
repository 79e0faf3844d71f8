"""Traced records and their deliveries in; a span for each attempt, and its ``traceparent`` for the endpoint, out.

Memory holds the trace of a delivery: attempts after a restart have none.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from schemas.records.deliveries import WebhookDelivery
from schemas.tracing.context import TRACEPARENT, traceparent_in
from schemas.tracing.spans import KafkaRecord, Tracer, traced
from sinks.delivery.backoff import AttemptOutcome

MOST = 10_000
"""Deliveries whose trace is remembered."""


class DeliveryTraces:
    """``tracer`` is ``None`` if tracing is off; then no trace is kept."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer
        self._of_delivery: LRUCache[str, str] = LRUCache(MOST)

    def planned(self, record: KafkaRecord, deliveries: Iterable[WebhookDelivery]) -> None:
        """Keeps, for each delivery of the record, the trace of its causing event."""
        if not record.headers:
            return
        with traced(self._tracer, [record]) as traces:
            for delivery in deliveries:
                if traceparent := traceparent_in(traces, delivery["body"]):
                    self._of_delivery[delivery["id"]] = traceparent

    @contextmanager
    def attempt(
        self, url: str, delivery: WebhookDelivery, headers: dict[str, str]
    ) -> Iterator[Callable[[AttemptOutcome], None]]:
        """Opens a span around a request: adds ``traceparent`` to ``headers``; yields a setter of the outcome."""
        parent = self._of_delivery.get(delivery["id"], "")
        span = None
        if self._tracer is not None and parent:
            span = self._tracer.attempt(parent, url, delivery["id"], delivery["attempts"])
        if span is None:
            yield _pass
            return
        headers[TRACEPARENT] = span.traceparent
        try:
            yield lambda outcome: span.answered(outcome.code, outcome.error)
        finally:
            span.end()


def _pass(_outcome: AttemptOutcome) -> None:
    """Does nothing: tracing is off."""
