"""A sink stopped under `deploy.handover` leaves its group; the group waits for a killed one."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from subprocess import Popen

import pytest

from deploy.group_members import members
from deploy.local.stack import environment
from schemas.settings import Settings
from tests.support import services
from tests.support.sink_pipeline import pipeline
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


async def workers(settings: Settings) -> list[tuple[str, int]]:
    return [(member.stage, member.worker) for member in await members(settings)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_partitions_are_handed_over_when_it_is_told_to_stop(settings: Settings, how: signal.Signals) -> None:
    ready = settings.home / "sink.ready"
    command = (sys.executable, "-m", "deploy.handover", "clickhouse", sys.executable, "-m", "sinks", "clickhouse")
    variables = environment(settings) | {"HEADWATER_READY_FILE": str(ready)}
    async with pipeline(settings):
        running = services.child(command, log=settings.home / "sink.log", ready=ready.exists, env=variables)
        parent: Popen[bytes] = await asyncio.to_thread(running.__enter__)
        try:

            async def is_member() -> bool:
                return await workers(settings) == [("clickhouse", 0)]

            await eventually(is_member, "the sink is in its group")
            sink = int((await asyncio.to_thread(_children, parent.pid))[0])
            os.kill(parent.pid if how is signal.SIGTERM else sink, how)
            code = await asyncio.to_thread(parent.wait, 30)
            assert code == (0 if how is signal.SIGTERM else 128 + signal.SIGKILL)
            assert await is_member() is (how is signal.SIGKILL), "it may come back within its session"
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


def _children(pid: int) -> list[str]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return children
    raise AssertionError("no child")


async def test_without_a_command_it_says_how() -> None:
    ended = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.handover", "clickhouse", stderr=asyncio.subprocess.PIPE
    )
    _, output = await ended.communicate()
    assert b"usage: python -m deploy.handover STAGE COMMAND..." in output
