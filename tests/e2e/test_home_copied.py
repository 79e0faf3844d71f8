"""The backup of a stack of one machine: stopped, copied, wiped, started from the copy; nothing is missing."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.home import StackHome
from tests.support.comparison import create_segments, settled
from tests.support.sent_ledger import RULES, SentLedger, deliver, make_events
from tests.support.stack import local_stack

SEED = 20_261_128
EVENTS = 400


@pytest.mark.e2e
@pytest.mark.timeout(400)
async def test_a_copy_of_a_stopped_home_is_a_backup(tmp_path: Path, say: Callable[[str], None]) -> None:
    ledger, now_ms = SentLedger(), time.time_ns() // 1_000_000
    home, copy = tmp_path / "home", tmp_path / "copy"
    StackHome(home).prepare()
    with local_stack(home) as stack:
        segments = await create_segments(stack, RULES)
        # the stack is stopped right after the last answer: some of it is in Kafka only
        await deliver(stack.settings.port, make_events(SEED, EVENTS, people=60, now_ms=now_ms), ledger, per_second=400)
    shutil.copytree(home, copy, symlinks=True, ignore=shutil.ignore_patterns("run"))
    shutil.rmtree(home)
    with local_stack(copy) as stack:
        problems = await settled(stack, ledger, segments, within_s=120)
        assert not problems, f"{problems}\n{stack.log_tails()}"
        more = make_events(SEED + 1, EVENTS, people=60, now_ms=now_ms)
        await deliver(stack.settings.port, more, ledger, per_second=400)
        problems = await settled(stack, ledger, segments, within_s=120)
        assert not problems, f"{problems}\n{stack.log_tails()}"
    say(f"{2 * EVENTS} events, half before the copy: none missing, none twice")
