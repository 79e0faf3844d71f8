"""Webhooks handed to a program on this machine: signed, shown, answered as it answers; gone when the listener is."""

import http.server
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from deploy.local.stack import environment
from tests.e2e.cli.test_cli import headwater
from tests.support.services import ROOT, free_port
from tests.support.stack import SECRET, LocalStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


class Program(http.server.BaseHTTPRequestHandler):
    """Somebody's receiver: it keeps what came, and answers what ``statuses`` say."""

    came: list[tuple[dict[str, str], bytes]] = []  # noqa: RUF012 - of the one that runs
    statuses: list[int] = []  # noqa: RUF012 - same

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.statuses.pop(0) if self.statuses else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def program() -> Iterator[str]:
    Program.came.clear()
    Program.statuses.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Program)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def listening(stack: LocalStack, to: str, *words: str) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "listen", "--forward-to", to, "--json", *words],
        cwd=ROOT,
        env={**os.environ, **environment(stack.settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert "listening" in first, first
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def hooks(stack: LocalStack) -> list[str]:
    answer = httpx.get(f"{stack.url}/v1/webhooks?limit=100", headers=SECRET, trust_env=False)
    return [row["url"] for row in answer.json()["data"] if "/headwater-listen/" in row["url"]]


def send(stack: LocalStack, kind: str) -> None:
    body = {"type": kind, "user_id": "u1", "properties": {"total": 1}}
    httpx.post(f"{stack.url}/v1/events", json=body, headers=SECRET, trust_env=False).raise_for_status()


def test_what_happens_reaches_the_program_until_the_listener_ends(stack: LocalStack, program: str) -> None:
    kind = f"heard_{secrets.token_hex(4)}"
    Program.statuses[:] = [500]
    with listening(stack, program, "--type", kind) as process:
        assert len(hooks(stack)) == 1
        send(stack, kind)
        wait_until(lambda: len(Program.came) >= 2, "two requests to the program", 60)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    rows = [json.loads(line) for line in out.splitlines()]
    # what the program answers is what Headwater goes by: it failed, so it was asked again
    assert [(row["type"], row["status"]) for row in rows[:2]] == [(kind, 500), (kind, 204)]
    headers, body = Program.came[0]
    assert json.loads(body)["data"]["properties"] == {"total": 1}
    assert {"webhook-id", "webhook-timestamp", "webhook-signature", "altacee-signature"} <= headers.keys()
    assert hooks(stack) == []


def test_a_listener_that_was_killed_leaves_nothing_behind_for_long(stack: LocalStack, program: str) -> None:
    with listening(stack, program) as process:
        process.kill()
    assert len(hooks(stack)) == 1
    with listening(stack, program) as process:
        assert len(hooks(stack)) == 1
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert hooks(stack) == []


def test_a_program_that_is_away_is_said_so(stack: LocalStack) -> None:
    kind = f"heard_{secrets.token_hex(4)}"
    with listening(stack, f"http://127.0.0.1:{free_port()}/hook", "--type", kind) as process:
        send(stack, kind)
        assert process.stdout is not None
        row = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert (row["type"], row["status"]) == (kind, None)
    assert "connect" in row["problem"].lower()


def test_a_request_of_somebody_else_is_not_handed_on(stack: LocalStack, program: str) -> None:
    with listening(stack, program) as process:
        (url,) = hooks(stack)
        forged = httpx.post(url, json={"type": "x"}, headers={"Altacee-Signature": "0" * 64}, trust_env=False)
        assert forged.status_code == 401
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert Program.came == []


@pytest.mark.parametrize("words", [("--forward-to", "3000"), ("--forward-to", "http://127.0.0.1:9", "--for", "soon")])
def test_wrong_words_are_refused(stack: LocalStack, words: tuple[str, ...]) -> None:
    assert headwater(stack, "listen", *words).returncode == 2
    assert hooks(stack) == []
