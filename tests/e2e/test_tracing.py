"""Spans of a request's way, from the client's ``traceparent`` to the one that an endpoint is sent."""

import secrets

import pytest

from schemas.tracing.context import parse
from tests.e2e.test_one_event import unique
from tests.support.otlp_collector import OtlpCollector
from tests.support.stack import LocalStack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Got, receiver

pytestmark = pytest.mark.e2e
WAY = {
    ("headwater-ingest", "POST /v1/events"),
    ("headwater-identity", "process events"),
    ("headwater-segments", "process resolved"),
    ("headwater-clickhouse-sink", "store resolved"),
    ("headwater-clickhouse-sink", "store changes"),
    ("headwater-webhooks", "process resolved"),
    ("headwater-webhooks", "process changes"),
    ("headwater-webhooks", "POST"),
}


def context(*, sampled: bool) -> tuple[str, str, dict[str, str]]:
    """Trace id, span id, and the header that a client sends."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, {"traceparent": f"00-{trace}-{span}-{sampled:02x}"}


async def test_a_sampled_request_is_followed_to_the_webhooks(stack: LocalStack, collector: OtlpCollector) -> None:
    kind, user = unique("traced"), unique("u")
    trace, root, headers = context(sampled=True)
    unsampled, _, other = context(sampled=False)
    async with receiver() as endpoint, stack.client() as client:
        segment = {"name": "Traced", "rule": {"event": kind}}
        made = (await client.post("/v1/segments", json=segment)).json()
        webhook = {"url": endpoint.url("/hook"), "types": [kind, "segment.entered"], "segments": [made["id"]]}
        assert (await client.post("/v1/webhooks", json=webhook)).status_code == 201
        silent = {"type": kind, "user_id": unique("u")}
        assert (await client.post("/v1/events", json=silent, headers=other)).status_code == 202
        event = {"type": kind, "user_id": user, "event_id": unique("evt")}
        assert (await client.post("/v1/events", json=event, headers=headers)).status_code == 202

        def names() -> list[tuple[str, str]]:
            return sorted((span.service, span.name) for span in collector.of(trace))

        def attempts() -> set[str]:
            return {span.id for span in collector.of(trace) if span.name == "POST"}

        def is_whole(rows: list[tuple[str, str]]) -> bool:
            return {*rows} >= WAY and len(asked()) == 2

        def asked() -> list[Got]:
            """Other webhooks of the stack may be told of the event, too."""
            return [got for got in endpoint.of("/hook") if attempts() >= {got.headers.get("traceparent", "")[36:52]}]

        await eventually(names, "spans of every process", meets=is_whole)
        spans = collector.of(trace)
        sent = asked()

    by_id = {span.id: span for span in spans}
    assert {span.parent for span in spans} <= {root, *by_id}
    [first] = [span for span in spans if span.parent == root]
    assert first.attributes["http.response.status_code"] == 202
    stored = next(span for span in spans if span.name == "store resolved")
    assert by_id[stored.parent].name == "process events"
    assert stored.attributes["headwater.event_id"] == event["event_id"]
    assert {got.json["type"] for got in sent} == {kind, "segment.entered"}
    for got in sent:
        parent = parse(got.headers["traceparent"].encode())
        assert parent is not None
        attempt = by_id[f"{parent.span_id:016x}"]
        assert (attempt.name, attempt.attributes["http.response.status_code"]) == ("POST", 200)
    assert user not in repr(spans)
    assert collector.of(unsampled) == []
