"""A frozen broker, a frozen database, a frozen worker and one that keeps dying: all told, within seconds, by all.

One stack for all of it. Bounds are wide: what is promised is 5 s on a machine that has room.
"""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest

from tests.support.stack import LocalStack, command, local_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.faults
TOLD_S = 20.0
EVENT = {"type": "seen", "user_id": "u"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("health"), read_deadline_s=3.0) as running:
        yield running


@pytest.fixture
def client(stack: LocalStack) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer sk_dev_local"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=40, trust_env=False) as connected:
        yield connected


@contextmanager
def frozen(stack: LocalStack, name: str) -> Iterator[None]:
    process = psutil.Process(stack.pid(name))
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def ready(client: httpx.Client, **query: str) -> tuple[int, dict[str, Any]]:
    began = time.monotonic()
    answer = client.get("/health/ready", params=query)
    assert time.monotonic() - began < 10, "it hangs"
    return answer.status_code, answer.json()


def status(stack: LocalStack) -> "subprocess.CompletedProcess[str]":
    return command(stack.settings, "status")


def all_is_well(stack: LocalStack, client: httpx.Client) -> None:
    wait_until(lambda: ready(client)[1]["status"] == "ready", "not ready again", 60)
    wait_until(lambda: status(stack).returncode == 0, f"status is not well: {status(stack).stdout}", 60)


def test_a_stack_that_is_well_says_so_of_each_process(stack: LocalStack, client: httpx.Client) -> None:
    output = status(stack)
    assert output.returncode == 0, f"it has just come up: {output.stdout}"
    code, body = ready(client)
    assert (code, body["events"], body["reads"], body["status"]) == (200, True, True, "ready")
    expected = {"identity", "segments", "clickhouse-sink", "query", "webhooks", "ingest", "kafka", "clickhouse"}
    assert expected | {"disk", "reads"} <= body["components"].keys()
    assert {component["state"] for component in body["components"].values()} == {"ok"}
    listed = status(stack).stdout
    assert all(f"\n{name} " in f"\n{listed}" for name in expected)
    assert "MB free" in listed


def test_a_frozen_broker_is_told_and_nothing_hangs(stack: LocalStack, client: httpx.Client) -> None:
    all_is_well(stack, client)
    with frozen(stack, "kafka"):
        wait_until(lambda: ready(client)[0] == 503, "a frozen broker", TOLD_S)
        code, only = ready(client, **{"for": "events"})
        assert (code, only["events"], only["components"]["kafka"]["state"]) == (503, False, "away")
        rule = {"name": "x", "rule": {"event": "seen", "count": {"op": "gte", "value": 1}}}
        for method, path, body in (
            ("POST", "/v1/events", EVENT),
            ("POST", "/v1/segments", rule),
            ("POST", "/v1/keys", {"name": "k", "scopes": ["contacts:read"]}),
            ("DELETE", "/v1/keys/key_local_public", None),
            ("GET", "/v1/segments", None),
        ):
            began = time.monotonic()
            answer = client.request(method, path, json=body)
            assert (answer.status_code, path) == (503, path), answer.text
            assert answer.headers["retry-after"] == "1"
            assert time.monotonic() - began < 12, path
        output = status(stack)
        assert output.returncode == 1
        assert "stopped: a signal has stopped it" in output.stdout
        wait_until(lambda: "waiting: kafka" in status(stack).stdout, "the stages do not say what they wait for", TOLD_S)
    all_is_well(stack, client)
    assert client.post("/v1/events", json=EVENT).status_code == 202


def test_a_frozen_database_is_told_and_events_are_still_taken(stack: LocalStack, client: httpx.Client) -> None:
    all_is_well(stack, client)
    with frozen(stack, "clickhouse"):
        wait_until(lambda: ready(client)[0] == 503, "a frozen database", TOLD_S)
        code, body = ready(client, **{"for": "events"})
        assert (code, body["events"], body["reads"]) == (200, True, False)
        assert "clickhouse" in body["components"]["reads"]["reason"]
        assert client.post("/v1/events", json=EVENT).status_code == 202
        began = time.monotonic()
        answer = client.get("/v1/contacts")
        assert (answer.status_code, answer.headers.get("retry-after")) == (503, "1"), answer.text
        answer = client.post("/v1/contacts?timeout_ms=500", json={"user_id": "u"})
        assert (answer.status_code, "task_id" in answer.json()) == (202, True), answer.text
        assert time.monotonic() - began < 24
        named = {"name": "made meanwhile", "rule": {"event": "seen", "count": {"op": "gte", "value": 1}}}
        answer = client.post("/v1/segments", json=named)
        assert (answer.status_code, "it is saved" in answer.text) == (503, True), answer.text
        assert status(stack).returncode == 1
    all_is_well(stack, client)
    assert client.get("/v1/contacts").status_code == 200
    assert [row["name"] for row in client.get("/v1/segments").json()["data"]].count("made meanwhile") == 1


def test_a_frozen_worker_is_told_by_its_silence(stack: LocalStack, client: httpx.Client) -> None:
    all_is_well(stack, client)
    with frozen(stack, "segments"):
        wait_until(lambda: ready(client)[1]["components"]["segments"]["state"] == "silent", "a frozen worker", TOLD_S)
        code, body = ready(client)
        assert (code, body["status"]) == (200, "degraded")
        assert status(stack).returncode == 1
    all_is_well(stack, client)


def test_a_worker_that_keeps_dying_is_told_with_its_reason(stack: LocalStack, client: httpx.Client) -> None:
    all_is_well(stack, client)
    for _ in range(2):
        before = stack.pid("webhooks")
        psutil.Process(before).kill()
        wait_until(lambda before=before: stack.pid("webhooks") != before, "it is not started again", TOLD_S)  # type: ignore[misc]
    wait_until(lambda: ready(client)[1]["components"]["webhooks"]["state"] == "restarting", "a crash loop", TOLD_S)
    assert ready(client)[1]["status"] == "degraded"
    output = status(stack)
    assert output.returncode == 1
    (line,) = [line for line in output.stdout.splitlines() if line.startswith("webhooks")]
    assert "it ended 2 times: was killed by signal 9" in line
    recorded = json.loads((stack.settings.home / "run" / "stack.json").read_text())
    assert recorded["webhooks"]["restarts"] == 2
