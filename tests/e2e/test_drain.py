"""An edge that is told to stop: balancers see it first, requests are answered meanwhile, a second signal ends it."""

import signal
from pathlib import Path

import pytest

from tests.support.stack import LocalStack, edge_beside
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_it_is_not_ready_first_and_ends_later(stack: LocalStack, tmp_path: Path) -> None:
    with edge_beside(stack, tmp_path, drain_s=2) as (process, http):
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: http.get("/health/ready").status_code == 503, "unready", 2)
        assert http.get("/health/ready?for=events").json() == {"status": "draining"}
        assert http.get("/health/live").status_code == 200
        assert http.post("/v1/events", json={"type": "seen", "external_id": "drained"}).status_code == 202
        assert process.poll() is None
        assert process.wait(30) in (0, -signal.SIGTERM)


def test_a_second_signal_ends_it_at_once(stack: LocalStack, tmp_path: Path) -> None:
    with edge_beside(stack, tmp_path, drain_s=120) as (process, http):
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: http.get("/health/ready").status_code == 503, "unready", 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
