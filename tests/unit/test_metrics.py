"""One catalogue names every metric: what processes expose, what the documentation says, what labels may be."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingest.dialects import OPERATIONS
from schemas.service.counts import Histogram
from schemas.service.exposition import Exposition, Sample, merged
from schemas.service.metric import COUNTER, DIALECTS, EVERY, HISTOGRAM, TABLES, WEBHOOKS
from schemas.service.metrics import BY_NAME, CATALOGUE, markdown_table
from schemas.settings import Settings
from sinks.clickhouse.streams import STREAMS
from sinks.delivery.backoff import AttemptOutcome, class_of
from sinks.webhooks.dispatch import _made_ms
from sinks.webhooks.messages import of_event
from tests.support.builders import NOW_MS, event
from tests.support.edge import PUBLIC, SECRET, MemoryLog, client_of, memory_edge
from tests.support.exposition import numbers
from tests.support.services import ROOT

EVENT = {"type": "order_completed", "user_id": "u1"}


def test_a_metric_says_what_it_means_and_what_to_do() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    for metric in CATALOGUE:
        assert metric.meaning.endswith(".")
        assert metric.remedy
        assert metric.name.endswith("_total") == (metric.kind == COUNTER)
        assert metric.kind != HISTOGRAM or metric.name.endswith("_seconds")


def test_the_closed_sets_are_those_of_the_code() -> None:
    assert set(DIALECTS) == {operation.source for operation in OPERATIONS}
    assert set(TABLES) == {table.name for stream in STREAMS for table in stream.tables}


def test_the_table_of_metrics_is_the_generated_one() -> None:
    """`python -m schemas.service.metrics` prints what belongs there."""
    assert markdown_table() in (ROOT / "deploy" / "README.md").read_text()


@pytest.mark.parametrize(
    ("value", "bucket"), [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.0025"), (30.0, "30.0"), (31.0, "+Inf")]
)
def test_a_value_lies_in_the_first_bucket_that_holds_it(value: float, bucket: str) -> None:
    histogram = Histogram()
    histogram.observe(value)
    assert next(bound for bound, count in histogram.cumulated() if count) == bucket
    assert histogram.cumulated()[-1] == ("+Inf", 1.0)
    histogram.observe(0.25, 3)
    assert histogram.cumulated()[-1] == ("+Inf", 4.0)
    assert histogram.sum == value + 0.75


def test_a_metric_without_a_number_is_there_by_its_name(tmp_path: Path) -> None:
    text = Exposition(Settings(home=tmp_path), "webhooks", (WEBHOOKS,), tuple).text().decode()
    expected = {metric.name for metric in CATALOGUE if metric.of in (EVERY, WEBHOOKS)}
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} == expected
    assert numbers(text)["process_start_time_seconds",] > 0
    assert numbers(text)["headwater_disk_free_bytes",] > 0


def test_texts_of_several_processes_are_one_text(tmp_path: Path) -> None:
    def text(process: str, files: int) -> bytes:
        own = [Sample("headwater_webhook_waiting", (), files)]
        return Exposition(Settings(home=tmp_path), process, (WEBHOOKS,), lambda: own).text()

    merged_text = merged([text("a", 1), b"", text("b", 2), text("c", 3)]).decode()
    assert (
        merged_text.count("# HELP headwater_webhook_waiting ")
        == merged_text.count("# TYPE headwater_webhook_waiting ")
        == 1
    )
    families = {family.name: family for family in text_string_to_metric_families(merged_text)}
    waiting = families["headwater_webhook_waiting"].samples
    assert [(s.labels["process"], s.value) for s in waiting] == [("a", 1), ("b", 2), ("c", 3)]
    assert merged([]) == b""


async def test_an_edge_counts_requests_events_and_reasons(tmp_path: Path) -> None:
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    batch = {"events": [EVENT, {"type": ""}, {**EVENT, "user_id": "u2"}]}
    async with client_of(edge) as client:
        for _ in range(2):
            assert (await client.post("/v1/events", json=EVENT, headers=SECRET)).status_code == 202
        await client.post("/v1/events/batch", json=batch, headers=SECRET)
        assert (await client.post("/v1/events", json=EVENT)).status_code == 401
        assert (await client.post("/v1/events", content=b"{", headers=SECRET)).status_code in (400, 415)
        log.down = True
        assert (await client.post("/v1/events", json=EVENT, headers=SECRET)).status_code == 503
        metrics = await client.get("/metrics", headers=SECRET)
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    figures = numbers(metrics.text)
    requests = {
        key[2]: value for key, value in figures.items() if key[:2] == ("headwater_edge_requests_total", "altacee")
    }
    assert requests == {
        "accepted": 3,
        "refused": 1,
        "unauthorized": 1,
        "limited": 0,
        "unavailable": 1,
        "failed": 0,
    }
    assert figures["headwater_edge_events_total", "altacee", "accepted"] == 4
    assert figures["headwater_edge_events_total", "altacee", "refused"] == 1
    assert figures["headwater_edge_refusals_total", "altacee", "missing_key"] == 1
    assert figures["headwater_edge_publish_ack_seconds_count",] == len(log.records)
    assert figures["headwater_edge_inflight_bytes",] == 0
    assert figures["headwater_edge_inflight_limit_bytes",] == edge.settings.publish_buffer_bytes


@pytest.mark.parametrize(("headers", "status"), [({}, 401), (PUBLIC, 403), ({"Authorization": "Bearer sk_x"}, 401)])
async def test_metrics_are_shown_to_keys_of_the_instance_alone(
    headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        refused = await client.get("/metrics", headers=headers)
    assert refused.status_code == status
    assert "headwater_" not in refused.text


@pytest.mark.parametrize(
    ("code", "expired", "expected"),
    [
        *((code, False, expected) for code, expected in ((200, "2xx"), (302, "3xx"), (410, "4xx"), (999, "5xx"))),
        *((0, expired, expected) for expired, expected in ((False, "no_answer"), (True, "expired"))),
    ],
)
def test_the_class_of_an_attempt_is_one_of_a_few(code: int, expired: bool, expected: str) -> None:
    assert class_of(AttemptOutcome(code=code, error="", duration_ms=1, expired=expired)) == expected


@pytest.mark.parametrize("event_id", ["evt_1", '"created_at":"2001-01-01T00:00:00.000Z"', "é"])
def test_the_age_of_a_delivery_counts_from_what_its_message_is_about(event_id: str) -> None:
    [message] = of_event(event("external_id:u1", event_id=event_id, properties={"created_at": "2002-01-01"}))
    assert _made_ms(message.body()) == NOW_MS
    assert _made_ms(b"{}") is None
    assert _made_ms(b'{"created_at":"x') is None
