"""Processes that share a port: each gets connections, and the others still answer after one has ended."""

import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.services import child, free_port
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

serve(app, "127.0.0.1", int(sys.argv[1]), shared=len(sys.argv) == 2)
"""


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
            command = (sys.executable, "-c", APP, str(port))
            started.append(stack.enter_context(child(command, log=tmp_path / f"{n}.log", ready=is_up)))
        first, second = started
        assert answers(port) == {first.pid, second.pid}
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) in (0, -signal.SIGTERM)
        wait_until(lambda: answers(port) == {second.pid}, "all at the second one", 30)
        alone = stack.enter_context(
            child((sys.executable, "-c", APP, str(port), "alone"), log=tmp_path / "alone.log", ready=lambda: True)
        )
        assert alone.wait(30) not in (0, None), "a port that is shared is not another program's"
