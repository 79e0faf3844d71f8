"""A stack that is broken in each way of the runbook: the doctor finds it, and names the command that mends it."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from deploy.local.stack import environment
from schemas import topics
from schemas.service import kafka
from tests.support.services import ROOT
from tests.support.stack import SECRET, LocalStack, local_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.faults
PATIENCE_S = 90.0
SESSION_S = 15.0
"""A process that stands still leaves its group after it; the usual time is three times as long."""
FROZEN = pytest.mark.full("what the doctor says of a frozen database and a frozen edge")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    home = tmp_path_factory.mktemp("ill")
    with local_stack(home, webhook_allow_private=True, session_timeout_s=SESSION_S) as running:
        yield running


def examined(stack: LocalStack) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status, and the findings by check."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "doctor", "--json"],
        cwd=ROOT,
        env={**os.environ, **environment(stack.settings)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {row["check"]: row for row in rows}


def until(stack: LocalStack, is_met: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
    """The findings once they say so."""
    status, findings = wait_until(
        lambda: examined(stack), "findings", PATIENCE_S, meets=lambda answer: is_met(answer[1])
    )
    assert (status == 0) == all(row["state"] in ("ok", "skip") for row in findings.values())
    return dict(findings)


def well(findings: dict[str, dict[str, Any]], *but: str) -> bool:
    """Nothing fails; what this machine has left, and what an earlier test left, is not looked at."""
    passing = {"disk", "inodes", "memory", "open files", "restarts", "quarantine", "webhooks", "canary", *but}
    return all(row["state"] in ("ok", "skip") for name, row in findings.items() if name not in passing)


@contextlib.contextmanager
def frozen(stack: LocalStack, process: str) -> Iterator[int]:
    pid = stack.pid(process)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_stack_that_is_well_is_found_well(stack: LocalStack) -> None:
    findings = until(stack, well)
    assert len(findings) >= 25
    assert "stored after" in findings["canary"]["what"]


@pytest.mark.parametrize(
    ("process", "checks"),
    [
        ("kafka", ("broker", "processes", "canary")),
        pytest.param("clickhouse", ("database", "processes", "ready"), marks=FROZEN),
        pytest.param("ingest", ("api", "processes", "canary"), marks=FROZEN),
    ],
)
def test_a_frozen_process_is_named_with_its_pid(stack: LocalStack, process: str, checks: tuple[str, ...]) -> None:
    with frozen(stack, process) as pid:
        findings = until(stack, lambda findings: all(findings[name]["state"] == "fail" for name in checks))
    assert process in findings["processes"]["what"]
    assert findings["processes"]["remedy"] == f"kill -CONT {pid}"
    until(stack, well)


def test_a_sink_that_stands_still_is_missed(stack: LocalStack) -> None:
    with frozen(stack, "clickhouse-sink"):
        body = {"type": "seen", "user_id": "late"}
        httpx.post(f"{stack.url}/v1/events", json=body, headers=SECRET, trust_env=False).raise_for_status()
        findings = until(
            stack, lambda findings: findings["lag"]["state"] == "fail" or findings["members"]["state"] == "fail"
        )
        assert topics.CLICKHOUSE_GROUP in findings["lag"]["what"] + findings["members"]["what"]
    until(stack, well)


async def test_a_record_that_nobody_can_read_is_in_quarantine(stack: LocalStack) -> None:
    producer = await kafka.started_producer(stack.settings)
    await producer.send_and_wait(topics.name(topics.EVENTS, stack.settings), b"\xffpoison", key=b"x")
    await producer.stop()
    findings = await asyncio.to_thread(until, stack, lambda findings: findings["quarantine"]["state"] == "warn")
    assert findings["quarantine"]["remedy"] == "headwater quarantine list"


def test_a_webhook_that_fails(stack: LocalStack) -> None:
    kind = f"seen_{secrets.token_hex(4)}"
    hook = {"url": "http://127.0.0.1:9/hook", "types": [kind]}
    made = httpx.post(f"{stack.url}/v1/webhooks", json=hook, headers=SECRET, trust_env=False)
    assert made.status_code == 201, made.text
    body = {"type": kind, "user_id": "w"}
    httpx.post(f"{stack.url}/v1/events", json=body, headers=SECRET, trust_env=False).raise_for_status()
    findings = until(stack, lambda findings: findings["webhooks"]["state"] == "warn")
    assert made.json()["id"] in findings["webhooks"]["what"]
    assert f"/v1/webhooks/{made.json()['id']}/deliveries" in findings["webhooks"]["remedy"]


def test_a_worker_that_ends_again_and_again(stack: LocalStack) -> None:
    def kill_and_look(findings: dict[str, dict[str, Any]]) -> bool:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, IndexError):
            os.kill(stack.pid("segments"), signal.SIGKILL)
        return bool(findings["restarts"]["state"] == "fail")

    findings = until(stack, kill_and_look)
    assert "segments" in findings["restarts"]["what"]
    assert "logs/segments.log" in findings["restarts"]["remedy"]
    until(stack, well)


async def test_a_table_that_is_gone_and_a_schema_of_another_version(stack: LocalStack) -> None:
    client = await stack.database()
    with frozen(stack, "clickhouse-sink"):  # it would make the view again
        await client.command("DROP VIEW events_resolved")
        await client.command(
            "ALTER TABLE _migrations UPDATE digest = 'x' WHERE name LIKE '0005%' SETTINGS mutations_sync = 1"
        )
        findings = await asyncio.to_thread(until, stack, lambda findings: findings["tables"]["state"] == "fail")
        assert (findings["tables"]["what"], findings["tables"]["remedy"]) == (
            "not there: events_resolved",
            "python -m deploy.provision",
        )
        assert "0005_events_resolved.sql" in findings["schema"]["what"]
    await client.close()
