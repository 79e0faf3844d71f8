"""A worker whose broker does not answer: it waits, and ends when it is told to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.services import ROOT, free_port
from tests.support.waiting import wait_until


@pytest.mark.kafka
@pytest.mark.parametrize("stage", ["identity", "segments"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_waits_for_the_broker_ends_when_told(tmp_path: Path, stage: str, number: signal.Signals) -> None:
    log = tmp_path / "log"
    variables = {"HEADWATER_HOME": str(tmp_path / "home"), "HEADWATER_KAFKA_PORT": str(free_port(2))}
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "processors", stage], cwd=ROOT, env=os.environ | variables, stderr=output
        ) as worker,
    ):
        try:
            wait_until(lambda: "Unable connect" in log.read_text(), "the worker looks for its broker", 60)
            worker.send_signal(number)
            assert worker.wait(30) == 0
        finally:
            worker.kill()
