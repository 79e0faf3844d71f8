"""Processes that share a port: each gets connections, and the others still answer after one has ended."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.services import ROOT, child, free_port, listens
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

APP = """
import os, sys
from schemas.service.web import serve

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % os.getpid()})

serve(app, "127.0.0.1", int(sys.argv[1]), name="HEADWATER_PORT", stack=sys.argv[2])
"""
STACK = "127.0.0.1:19092 mine."


def answers(port: int, times: int = 40) -> set[int]:
    """Returns the ids of the processes that answered, with a new connection for each request."""
    return {int(httpx.get(f"http://127.0.0.1:{port}", trust_env=False).text) for _ in range(times)}


def test_each_has_connections_and_the_last_one_has_all(tmp_path: Path) -> None:
    port = free_port()
    started: list[subprocess.Popen[bytes]] = []

    def is_up() -> bool:
        """Whether the youngest process has had a connection."""
        try:
            return len(answers(port)) == len(started) + 1
        except httpx.HTTPError:
            return False

    with ExitStack() as stack:
        for n in range(2):
            command = (sys.executable, "-c", APP, str(port), STACK)
            started.append(stack.enter_context(child(command, log=tmp_path / f"{n}.log", ready=is_up)))
        first, second = started
        assert answers(port) == {first.pid, second.pid}
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) in (0, -signal.SIGTERM)
        wait_until(lambda: answers(port) == {second.pid}, "all at the second one", 30)
        for other, reason in (("", "is taken"), ("127.0.0.1:29092 mine.", f"another stack (process {second.pid})")):
            refused = subprocess.run(
                (sys.executable, "-c", APP, str(port), other), capture_output=True, text=True, check=False, timeout=30
            )
            assert refused.returncode == 1
            assert f"port {port} " in refused.stderr
            assert reason in refused.stderr
            assert "HEADWATER_PORT" in refused.stderr
        assert answers(port) == {second.pid}, "who was refused has had no connection"


def test_a_second_stack_of_another_home_names_the_port_and_its_variable(tmp_path: Path) -> None:
    port = free_port()
    with child(
        (sys.executable, "-c", APP, str(port), STACK), log=tmp_path / "first.log", ready=lambda: listens(port)
    ) as first:
        variables = {"HEADWATER_HOME": str(tmp_path / "second"), "HEADWATER_PORT": str(port), "HEADWATER_EDGES": "2"}
        others = {f"HEADWATER_{name}_PORT": str(free_port(2)) for name in ("QUERY", "KAFKA", "CLICKHOUSE")}
        refused = subprocess.run(
            (sys.executable, "-m", "deploy.cli", "run"),
            cwd=ROOT,
            env={**os.environ, **variables, **others},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert refused.returncode == 1
        assert f"port {port} is taken" in refused.stderr
        assert "set HEADWATER_PORT to a free one" in refused.stderr
        assert answers(port) == {first.pid}
    assert not list((tmp_path / "second" / "run").glob("*.ready"))
