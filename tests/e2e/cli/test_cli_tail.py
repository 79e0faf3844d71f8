"""Events watched as they come: who it was, what it changed, what was put aside; filtered, and from a time on."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from deploy.local.stack import environment
from schemas.records import identity
from tests.e2e.cli.test_cli import headwater, lines
from tests.support.interrupts import heed_interrupts
from tests.support.services import ROOT
from tests.support.stack import SECRET, LocalStack

pytestmark = pytest.mark.e2e


def post(stack: LocalStack, path: str, body: Any) -> Any:
    answer = httpx.post(f"{stack.url}{path}", json=body, headers=SECRET, trust_env=False, timeout=30)
    assert answer.is_success, answer.text
    return answer.json()


def _watch(stack: LocalStack, process: "subprocess.Popen[bytes]", kind: str) -> list[dict[str, Any]]:
    """Send until an event and an entry were seen: whether the program listens yet cannot be told."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    received, seen = b"", list[dict[str, Any]]()
    deadline = time.monotonic() + 90
    while {"event", "entered"} - {row["kind"] for row in seen}:
        assert time.monotonic() < deadline, seen
        who = secrets.token_hex(4)  # somebody else each time: only the first event of a contact enters
        post(stack, "/v1/events", {"type": kind, "user_id": who, "properties": {"total": 7}})
        post(stack, "/v1/events", {"type": f"other_{kind}", "user_id": who})
        time.sleep(0.5)
        with contextlib.suppress(BlockingIOError):
            received += os.read(process.stdout.fileno(), 1 << 20)
        seen = [json.loads(line) for line in received.split(b"\n")[:-1]]
    return seen


def test_an_event_and_the_segment_that_it_enters(stack: LocalStack) -> None:
    kind = f"watched_{secrets.token_hex(4)}"
    segment = post(stack, "/v1/segments", {"name": kind, "rule": {"event": kind, "count": {"op": "gte", "value": 1}}})
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "tail", "--type", kind, "--json"],
        cwd=ROOT,
        env={**os.environ, **environment(stack.settings)},
        stdout=subprocess.PIPE,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - no thread of this process holds a lock that it takes
    ) as process:
        try:
            seen = _watch(stack, process, kind)
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert {row["type"] for row in seen if row["kind"] == "event"} == {kind}
    event = next(row for row in seen if row["kind"] == "event")
    assert event["properties"] == {"total": 7}
    entered = next(row for row in seen if row["kind"] == "entered")
    assert entered["segment_id"] == segment["id"]
    assert identity.is_contact_id(entered["contact_id"])


def test_what_was_a_moment_ago(stack: LocalStack) -> None:
    kind = f"before_{secrets.token_hex(4)}"
    post(
        stack, "/v1/events?sync=true&timeout_ms=10000", {"type": kind, "user_id": "u9", "properties": {"x": "\x1b[31m"}}
    )
    done = headwater(stack, "tail", "--since", "10m", "--for", "5s", "--contact", "external_id:u9", "--type", kind)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if kind in line]
    assert "external_id:u9" in line
    assert "\x1b" not in line
    nothing = headwater(stack, "tail", "--since", "10m", "--for", "2s", "--workspace", "other", "--json")
    assert [row for row in lines(nothing.stdout) if row["kind"] == "event"] == []


def test_the_same_by_the_api_of_an_address(stack: LocalStack) -> None:
    kind = f"remote_{secrets.token_hex(4)}"
    post(stack, "/v1/segments", {"name": kind, "rule": {"event": kind, "count": {"op": "gte", "value": 1}}})
    words = [sys.executable, "-m", "deploy.cli", "tail", "--url", stack.url, "--type", kind, "--json"]
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, **environment(stack.settings)}, stdout=subprocess.PIPE,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - no thread of this process holds a lock that it takes
    ) as process:  # fmt: skip
        try:
            seen = _watch(stack, process, kind)
            bad = httpx.post(f"{stack.url}/v1/events", json={"type": kind, "odd": 1}, headers=SECRET, trust_env=False)
            assert bad.status_code == 422
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    events = [row for row in seen if row["kind"] == "event"]
    assert {row["type"] for row in events} == {kind}
    assert all(identity.is_contact_id(row["contact_id"]) for row in events)
    assert len({row["event_id"] for row in events}) == len(events)
    entered = next(row for row in seen if row["kind"] == "entered")
    assert (entered["segment"], entered["contact_id"]) in {(kind, row["contact_id"]) for row in events}
    past = headwater(stack, "tail", "--url", stack.url, "--since", "10m", "--for", "4s", "--type", kind)
    assert past.returncode == 0, past.stderr
    shown = [line for line in past.stdout.splitlines() if f"{kind} " in line]
    assert len(shown) >= len(events), past.stdout
    refused = headwater(stack, "tail", "--url", stack.url, "--key", "sk_wrong", "--for", "2s")
    assert refused.returncode == 4, refused.stderr
    many = headwater(stack, "tail", "--url", stack.url, "--type", "a", "--type", "b", "--for", "2s")
    assert many.returncode == 2


@pytest.mark.parametrize(
    ("words", "status"), [(("--since", "yesterday"), 2), (("--for", "5"), 2), (("--url", "http://127.0.0.1:9"), 3)]
)
def test_wrong_words_are_refused(stack: LocalStack, words: tuple[str, ...], status: int) -> None:
    assert headwater(stack, "tail", *words).returncode == status
