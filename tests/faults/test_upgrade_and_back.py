"""An earlier release under load, this one in its place, and the earlier one again: nothing is lost or counted twice.

`earlier/release.tar.xz` is the program of commit cf5ce8d, whose tables end with 0014: before Kafka's TLS, metrics, the
ledger and replays from quarantine.
"""

import asyncio
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.stack import environment
from schemas.settings import Settings
from tests.support.comparison import create_segments, rows, settled
from tests.support.sent_ledger import RULES, SentLedger, deliver, make_events
from tests.support.services import ROOT, fresh_settings
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
EARLIER = Path(__file__).parent / "earlier" / "release.tar.xz"
EVENTS, PER_SECOND, SEED = 9_000, 100, 41


def program(root: Path, settings: Settings, *module: str) -> "subprocess.CompletedProcess[str]":
    """A command of the release that lies there."""
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=root,
        env={**os.environ, **environment(settings)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


async def output_of(root: Path, settings: Settings, *module: str) -> str:
    done = await asyncio.to_thread(program, root, settings, *module)
    assert done.returncode == 0, f"{module} of {root}: {done.stdout}{done.stderr}\n{LocalStack(settings).log_tails()}"
    return done.stdout


async def acknowledged(ledger: SentLedger, count: int) -> None:
    """Wait until so many events are."""
    await eventually(lambda: len(ledger.events), f"{count} events acknowledged", 600, meets=lambda n: n >= count)


async def test_under_load_there_and_back(tmp_path: Path, say: Callable[[str], None]) -> None:
    earlier, home = tmp_path / "earlier", tmp_path / "home"
    with tarfile.open(EARLIER) as archive:
        archive.extractall(earlier, filter="data")
    settings = fresh_settings(home).model_copy(update={"topic_prefix": "", "clickhouse_database": "headwater"})
    stack, ledger = LocalStack(settings), SentLedger()
    events = make_events(SEED, EVENTS, people=800, now_ms=time.time_ns() // 1_000_000)
    try:
        await output_of(earlier, settings, "deploy.local", "up")
        segments = await create_segments(stack, RULES)
        sending = asyncio.create_task(deliver(settings.port, events, ledger, per_second=PER_SECOND))
        await acknowledged(ledger, 400)
        planned = await output_of(ROOT, settings, "deploy.provision", "--plan")
        assert "tables 0015_ledger.sql:" in planned
        assert "tables 0014" not in planned
        await output_of(
            ROOT, settings, "deploy.provision"
        )  # the tables of this release, under the earlier one's processes
        assert await output_of(ROOT, settings, "deploy.provision", "--plan") == "nothing to do\n"
        await acknowledged(ledger, len(ledger.events) + 300)
        await output_of(earlier, settings, "deploy.local", "down")
        await output_of(ROOT, settings, "deploy.local", "up")
        await acknowledged(ledger, len(ledger.events) + 600)
        await output_of(ROOT, settings, "deploy.local", "down")
        await output_of(earlier, settings, "deploy.local", "up")
        at_return = len(ledger.events)
        await acknowledged(ledger, at_return + 600)
        assert not sending.done(), "it was under load all the time"
        await output_of(earlier, settings, "deploy.local", "down")
        await output_of(ROOT, settings, "deploy.local", "up")
        await sending
        assert len(ledger.events) == EVENTS
        problems = await settled(stack, ledger, segments, within_s=150)
        kept = await rows(stack, "SELECT reason, count() FROM quarantine GROUP BY reason")
        say(f"faults: {EVENTS} events over two upgrades and a roll-back, {ledger.retries} batches sent again")
        assert kept == []
        assert not problems, f"{problems}\n{stack.log_tails()}"
    finally:
        program(ROOT, settings, "deploy.local", "down")
