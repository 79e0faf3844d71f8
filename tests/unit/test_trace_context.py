"""Trace contexts in Kafka headers, and when a process traces at all."""

import logging
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import codec
from schemas.tracing.context import (
    EVENTS,
    MOST_BYTES,
    MOST_EVENTS,
    TRACEPARENT,
    carried,
    headers_of,
    parse,
    trace_id_of,
    traceparent,
    traceparent_in,
    traces_in,
)
from schemas.tracing.start import started
from tests.support.builders import event

CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("header", "is_sampled"),
    [(CONTEXT, True), (CONTEXT[:-1] + "0", False), (" " + CONTEXT + " ", True), ("cc" + CONTEXT[2:] + "-what", True)],
)
def test_a_context_is_read_as_the_specification_says(header: str, is_sampled: bool) -> None:
    context_id = parse(header.encode())
    assert context_id is not None
    assert (context_id.trace_id, context_id.span_id) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    assert context_id.is_sampled is is_sampled


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        "ff" + CONTEXT[2:],
        CONTEXT.upper(),
        CONTEXT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        CONTEXT.replace("b7ad6b7169203331", "0" * 16),
        CONTEXT + "0",
        CONTEXT + "-" + "x" * 10_000,
    ],
)
def test_a_malformed_context_is_none(header: str) -> None:
    assert parse(header.encode()) is None


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
CONTEXTS = st.builds(traceparent, st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))


@given(st.dictionaries(IDS, CONTEXTS, max_size=MOST_EVENTS + 6))
def test_headers_carry_the_first_traces(traces: dict[str, str]) -> None:
    headers = headers_of(traces)
    result = traces_in(headers)
    assert list(result.items()) == list(traces.items())[: len(result)]
    assert len(result) == min(len(traces), MOST_EVENTS)
    assert dict(headers).get(TRACEPARENT, b"").decode() == next(iter(traces.values()), "")
    assert trace_id_of(result) == next((text[3:35] for text in traces.values()), "")


def test_headers_of_long_ids_are_bounded() -> None:
    traces = {f"{n:02}" + "€" * 1000: CONTEXT for n in range(MOST_EVENTS)}
    assert 0 < len(traces_in(headers_of(traces))) < MOST_EVENTS
    assert len(dict(headers_of(traces))[EVENTS]) <= MOST_BYTES


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(0, 9), st.lists).map(orjson.dumps))
def test_headers_of_another_writer_are_passed_over(value: bytes) -> None:
    assert traces_in([("other", b"x"), (EVENTS, value)]) == {}


def test_a_malformed_context_costs_no_other_one() -> None:
    value = orjson.dumps({"a": "00-no", "b": CONTEXT, "c": 3})
    assert traces_in([(EVENTS, value)]) == {"b": CONTEXT}
    assert traces_in(None) == traces_in([(EVENTS, b"{" * MOST_BYTES * 2)]) == {}


def test_a_record_carries_the_traces_of_its_own_events() -> None:
    record = codec.encode_events([event(event_id="evt_1"), event(event_id="evt_22")])
    traces = dict.fromkeys(("evt_1", "evt_2", "vt_22", "evt_22", "evt_222"), CONTEXT)
    assert list(carried(traces, record)) == ["evt_1", "evt_22"]


def test_a_body_tells_its_event_by_the_whole_id() -> None:
    body = orjson.dumps({"data": {"event_id": 'evt_"é'}})
    assert traceparent_in({'evt_"': "other", 'evt_"é': CONTEXT}, body) == CONTEXT
    assert not traceparent_in({"evt": CONTEXT}, body)


def test_a_process_traces_where_an_endpoint_is_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert started("ingest") is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert started("ingest") is None
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    with caplog.at_level(logging.WARNING), monkeypatch.context() as without:
        without.setitem(sys.modules, "opentelemetry.sdk.trace", None)
        assert started("ingest") is None
    assert "pip install 'headwater[otel]'" in caplog.text


def test_clients_cannot_have_every_request_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    monkeypatch.setattr("schemas.tracing.otel.time.monotonic", lambda: 1.0)
    tracer = started("ingest")
    assert tracer is not None
    spans = [tracer.request("POST", "/v1/events", CONTEXT.encode()) for _ in range(1000)]
    assert sum(span is not None for span in spans) == 50
    assert tracer.request("POST", "/v1/events", b"") is None
