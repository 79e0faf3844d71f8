"""Two sinks share the partitions: one that dies, is taken out, or sleeps through it, loses and doubles nothing."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from sys import executable

import pytest

from deploy.group_members import members, retire
from deploy.local.stack import environment
from schemas.settings import Settings
from tests.support.comparison import create_segments, rows, settled
from tests.support.sent_ledger import RULES, SentLedger, deliver, make_events
from tests.support.services import child
from tests.support.stack import LocalStack, local_stack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(500)]
SESSION_S = 300.0
"""Longer than the test: what moves before is moved by the command alone."""
PER_SECOND = 250


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("sinks"), session_timeout_s=SESSION_S) as running:
        yield running


@pytest.fixture(scope="module")
def ledger() -> SentLedger:
    """Of all that was sent to the stack: events of one test tie contacts of the other."""
    return SentLedger()


@contextmanager
def second_sink(settings: Settings, home: Path) -> Iterator["Popen[bytes]"]:
    """From when it has partitions until the block ends."""
    ready = home / "second.ready"
    ready.unlink(missing_ok=True)
    env = environment(settings.model_copy(update={"home": home})) | {
        "CLICKHOUSE_URL": settings.clickhouse,
        "HEADWATER_WORKER": "1",
        "HEADWATER_READY_FILE": str(ready),
    }
    command = (executable, "-m", "sinks", "clickhouse")
    with child(command, log=home / "second.log", ready=ready.exists, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


async def shares(settings: Settings) -> dict[int, int]:
    """Worker of the sink -> its partitions of all topics."""
    return {member.worker: member.partitions for member in await members(settings) if member.stage == "clickhouse"}


async def has_all(settings: Settings) -> bool:
    return list(await shares(settings)) == [0]


async def takes_all_within_s(settings: Settings) -> float:
    """Retire the second; how long the first needs to have every partition."""
    began = time.monotonic()
    assert await retire(settings, "clickhouse", [1]) == [1]
    await eventually(lambda: has_all(settings), "the first sink is alone in the group", within_s=60)
    return time.monotonic() - began


async def test_one_that_died_is_retired_and_the_other_is_killed(
    stack: LocalStack, ledger: SentLedger, tmp_path: Path, say: Callable[[str], None]
) -> None:
    segments = await create_segments(stack, RULES)
    events = make_events(21, 4_000, people=600, now_ms=time.time_ns() // 1_000_000)
    with second_sink(stack.settings, tmp_path) as second:
        result = await shares(stack.settings)
        assert set(result) == {0, 1}
        assert abs(result[0] - result[1]) <= 1, result
        sending = asyncio.create_task(deliver(stack.settings.port, events, ledger, per_second=PER_SECOND))
        await eventually(lambda: len(ledger.events) >= 1_000, "both store events")
        second.kill()
        second.wait()
        await asyncio.sleep(3)  # nothing is to happen
        assert set(await shares(stack.settings)) == {0, 1}, "its partitions wait for it"
        took = await takes_all_within_s(stack.settings)
        os.kill(stack.pid("clickhouse-sink"), signal.SIGKILL)
        await sending
    problems = await settled(stack, ledger, segments, within_s=120, prefix="e2")
    say(f"faults: the partitions of a retired sink were taken over after {took:.1f} s")
    assert not problems, f"{problems}\n{stack.log_tails()}\n{(tmp_path / 'second.log').read_text()[-3000:]}"
    assert await retire(stack.settings, "clickhouse", [1]) == [], "it is gone"


async def test_one_that_slept_while_the_other_had_its_partitions(
    stack: LocalStack, ledger: SentLedger, tmp_path: Path, say: Callable[[str], None]
) -> None:
    events = make_events(22, 3_000, people=600, now_ms=time.time_ns() // 1_000_000)
    with second_sink(stack.settings, tmp_path) as second:
        before = len(ledger.events)
        sending = asyncio.create_task(deliver(stack.settings.port, events, ledger, per_second=PER_SECOND))
        await eventually(lambda: len(ledger.events) >= before + 750, "both store events")
        second.send_signal(signal.SIGSTOP)
        await takes_all_within_s(stack.settings)
        await asyncio.sleep(3)  # the other one stores what this one has in hand
        second.send_signal(signal.SIGCONT)
        await sending
        problems = await settled(stack, ledger, {}, within_s=120, prefix="e2")
        raw = await rows(stack, "SELECT count(), uniqExact(event_id) FROM events WHERE startsWith(event_id, 'e22-')")
        say(f"faults: a sink that woke up late wrote {raw[0][0] - raw[0][1]} rows a second time; reads see one of each")
        assert not problems, f"{problems}\n{stack.log_tails()}\n{(tmp_path / 'second.log').read_text()[-3000:]}"
        await eventually(lambda: _share(stack.settings), "it came back by itself", within_s=60)


async def _share(settings: Settings) -> bool:
    return set(await shares(settings)) == {0, 1}
