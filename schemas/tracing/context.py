"""Trace contexts in W3C's form in, the Kafka headers that carry them out, and back; pure.

1. A context is the value of a ``traceparent`` header (https://www.w3.org/TR/trace-context/#traceparent-header).
2. A record holds the events of many requests. So its header names the context of each traced event; the plain
   ``traceparent`` beside it has the first one, for tools that know nothing else.
3. Only sampled traces travel, and at most ``MOST_EVENTS`` with a record.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from schemas.records.varint import size

TRACEPARENT = "traceparent"
EVENTS = "headwater-traces"
"""Name of the Kafka header whose value is a JSON object: event id to ``traceparent``."""
TRACE = "headwater.trace"
"""Name in a request's scope: the ``traceparent`` of the span of a traced request."""
MOST_EVENTS = 64
MOST_BYTES = 32 * 1024
"""The largest value of that header: event ids are at most 256 bytes long."""
_FORM = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.{0,256})?")

Traces = dict[str, str]
"""The traced events of a record: event id -> ``traceparent``."""


NO_TRACES: Traces = {}


class TraceContext(NamedTuple):
    trace_id: int
    span_id: int
    is_sampled: bool


def parse(traceparent: bytes) -> TraceContext | None:
    """``None`` for what is not W3C's form."""
    match = _FORM.fullmatch(traceparent.strip()) if len(traceparent) < 512 else None
    if match is None:
        return None
    return TraceContext(int(match[1], 16), int(match[2], 16), bool(int(match[3], 16) & 1))


def traceparent(trace_id: int, span_id: int) -> str:
    """A sampled context in W3C's form."""
    return f"00-{trace_id:032x}-{span_id:016x}-01"


def trace_id_of(traces: Traces) -> str:
    """The first trace's id, 32 hex digits; empty without a trace."""
    return next(iter(traces.values()))[3:35] if traces else ""


def headers_of(traces: Traces) -> list[tuple[str, bytes]]:
    """Kafka headers; none for no traces."""
    if not traces:
        return []
    kept = dict(list(traces.items())[:MOST_EVENTS])
    value = orjson.dumps(kept)
    while len(value) > MOST_BYTES:
        kept.popitem()
        value = orjson.dumps(kept)
    return [(TRACEPARENT, next(iter(traces.values())).encode()), (EVENTS, value)]


def traces_in(headers: Iterable[tuple[str, bytes]] | None) -> Traces:
    """The traces that Kafka headers carry; malformed ones are skipped, whatever wrote them."""
    for name, value in headers or ():
        if name == EVENTS and value is not None and len(value) <= MOST_BYTES:
            try:
                texts = orjson.loads(value)
            except orjson.JSONDecodeError:
                return {}
            if not isinstance(texts, dict):
                return {}
            entries = list(texts.items())[:MOST_EVENTS]
            return {name: text for name, text in entries if isinstance(text, str) and parse(text.encode()) is not None}
    return {}


def carried(traces: Traces, value: bytes) -> Traces:
    """The traces whose event id is a text of its own in an Avro record: its length, then its bytes."""
    return {event: text for event, text in traces.items() if _avro(event) in value}


def traceparent_in(traces: Traces, body: bytes) -> str:
    """The context of the first event whose id is a text of its own in a JSON body; empty without such an event."""
    return next((text for event, text in traces.items() if orjson.dumps(event) in body), "")


def _avro(text: str) -> bytes:
    encoded = text.encode()
    return size(len(encoded)) + encoded
