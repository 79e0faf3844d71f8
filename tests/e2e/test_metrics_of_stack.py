"""Metrics as Prometheus would fetch them: over sockets, and of a stack that works: exactly the catalogue."""

import asyncio
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.figures import figures_of
from ingest.metrics import Metrics
from schemas.service.exposition import Exposition, Sample, exposed
from schemas.service.metric import EDGE, EVERY, PHASES, STAGES, WEBHOOKS
from schemas.service.metrics import BY_NAME, CATALOGUE
from schemas.service.processes import SOCKET, states
from schemas.settings import Settings
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge
from tests.support.exposition import declared, numbers, processes
from tests.support.services import free_port
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


async def test_the_public_port_answers_for_the_processes_beside_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    edge = memory_edge(tmp_path, MemoryLog(), ready_file=str(run / "ingest.ready"))  # type: ignore[arg-type]
    beside = Settings(home=tmp_path, ready_file=str(run / "webhooks.ready"))
    (run / "gone.sock").touch()
    samples = [Sample("headwater_webhook_waiting", (), 7)]
    async with exposed(beside, Exposition(beside, "", (WEBHOOKS,), lambda: samples)):
        assert (run / f"webhooks{SOCKET}").stat().st_mode & 0o077 == 0
        async with client_of(edge) as client:
            text = (await client.get("/metrics", headers=SECRET)).text
        figures = await asyncio.to_thread(figures_of, run)
    assert numbers(text)["headwater_webhook_waiting",] == 7
    assert list(figures) == ["webhooks"], "one that does not answer is left out"
    assert processes(text) == {"ingest", "webhooks"}


async def test_a_port_of_its_own_answers_without_a_key_and_one_that_is_taken_stops_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, metrics_port=(port := free_port()))
    edge = memory_edge(tmp_path, MemoryLog())
    async with exposed(settings, Metrics(edge).exposition), exposed(settings, Metrics(edge).exposition):
        paths = [f"http://127.0.0.1:{port}{path}" for path in ("/metrics", "/")]
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = [await client.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 404]
    assert set(declared(answers[0].text)) == {metric.name for metric in CATALOGUE if metric.of in (EVERY, EDGE)}


async def test_a_path_too_long_for_a_socket_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 120)
    folder.mkdir()
    settings = Settings(home=tmp_path, ready_file=str(folder / "ingest.ready"))
    async with exposed(settings, Exposition(settings, "", (), tuple)):
        assert list(folder.glob(f"*{SOCKET}")) == []


def has_each_activity(text: str) -> bool:
    figures = numbers(text)
    return all(
        figures.get(("headwater_stage_seconds_total", phase, stage), 0) > 0 for phase in PHASES for stage in STAGES
    )


async def test_a_stack_exposes_exactly_the_catalogue(stack: LocalStack) -> None:
    async with stack.client() as client:
        event = {"type": "order_completed", "user_id": "metrics-1"}
        sent = await client.post("/v1/events", json=event, params={"sync": "true"})
        assert sent.status_code in (200, 202), sent.text
        assert (await client.post("/v1/events", json={"type": ""})).status_code == 422

        async def exposition() -> str:
            return (await client.get("/metrics")).text

        # offsets are committed a few times a second
        text = await eventually(exposition, "each activity of each stage", meets=has_each_activity)
    assert sorted(declared(text)) == sorted(BY_NAME)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            metric = BY_NAME.get(sample.name) or BY_NAME[sample.name.rpartition("_")[0]]
            for label, values in metric.labels.items():
                assert not values or sample.labels[label] in values, sample
            assert set(sample.labels) == {
                *metric.labels,
                "process",
                *(["le"] if sample.name.endswith("_bucket") else []),
            }
    ours = {state.name for state in states(stack.settings.home / "run")}
    assert processes(text) == ours
    figures = numbers(text)
    named = {name for name, *_ in figures}
    assert [m.name for m in CATALOGUE if m.name not in named and f"{m.name}_count" not in named] == []
    assert figures["headwater_edge_events_total", "altacee", "accepted"] >= 1
    assert figures["headwater_edge_refusals_total", "altacee", "missing_field"] >= 1
    assert figures["headwater_sink_rows_total", "events"] >= 1
    for stage, topic in (("identity", "events"), ("segments", "resolved"), ("clickhouse", "resolved")):
        assert figures["headwater_stage_records_total", "done", stage, topic] >= 1
        assert figures["headwater_stage_latency_seconds_count", stage, topic] >= 1
    for moment in ("resolved", "member", "stored"):
        assert figures["headwater_event_age_seconds_count", moment] >= 1
    assert figures["headwater_event_age_seconds_count", "delivered"] >= 0
    assert figures["headwater_event_age_seconds_sum", "stored"] > 0
    assert figures["headwater_stage_partitions", "identity", "open"] == stack.settings.partitions


async def test_what_is_owed_goes_back_to_nothing(stack: LocalStack) -> None:
    async with stack.client() as client:

        async def is_caught_up() -> bool:
            figures = numbers((await client.get("/metrics")).text)
            owed = [
                v
                for (name, *_), v in figures.items()
                if name.startswith(("headwater_stage_oldest", "headwater_stage_behind"))
            ]
            return len(owed) > 10 and not any(owed)

        events = [{"type": "page_viewed", "user_id": f"metrics-{n}"} for n in range(300)]
        assert (await client.post("/v1/events/batch", json={"events": events})).is_success
        await eventually(is_caught_up, "every stage has finished what came")
