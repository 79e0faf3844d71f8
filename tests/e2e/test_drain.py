"""An edge that is told to stop: balancers see it first, requests are answered meanwhile, a second signal ends it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.local.stack import environment
from tests.support.services import child, free_port
from tests.support.stack import SECRET, LocalStack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


@contextmanager
def edge(stack: LocalStack, home: Path, drain_s: float) -> Iterator[tuple["subprocess.Popen[bytes]", httpx.Client]]:
    settings = stack.settings.model_copy(update={"home": home, "port": free_port(), "drain_s": drain_s})
    with httpx.Client(
        base_url=f"http://127.0.0.1:{settings.port}", headers=SECRET, timeout=30, trust_env=False
    ) as http:

        def is_ready() -> bool:
            try:
                return http.get("/health/ready").status_code == 200
            except httpx.HTTPError:
                return False

        command = (sys.executable, "-m", "ingest")
        with child(command, log=home / "edge.log", ready=is_ready, env=environment(settings)) as process:
            yield process, http


def test_it_is_not_ready_first_and_ends_later(stack: LocalStack, tmp_path: Path) -> None:
    with edge(stack, tmp_path, drain_s=2) as (process, http):
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: http.get("/health/ready").status_code == 503, "unready", 2)
        assert http.get("/health/ready?for=events").json() == {"status": "draining"}
        assert http.get("/health/live").status_code == 200
        assert http.post("/v1/events", json={"type": "seen", "external_id": "drained"}).status_code == 202
        assert process.poll() is None
        assert process.wait(30) in (0, -signal.SIGTERM)


def test_a_second_signal_ends_it_at_once(stack: LocalStack, tmp_path: Path) -> None:
    with edge(stack, tmp_path, drain_s=120) as (process, http):
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: http.get("/health/ready").status_code == 503, "unready", 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
