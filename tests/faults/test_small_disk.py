"""The database's own small disk fills while events flow, and is emptied: what was acknowledged is there, once."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checks import create_segments, rows, settled
from tests.ledger import RULES, Ledger, deliver, make_events
from tests.smalldisk import small_disk
from tests.stack import local_stack

SEED = 20_261_126
EVENTS = 6_000
PER_SECOND = 400
DISK_MIB = 160


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_nothing_acknowledged_is_lost_on_a_disk_that_fills(tmp_path: Path, say: Callable[[str], None]) -> None:
    events = make_events(SEED, EVENTS, people=600, now_ms=time.time_ns() // 1_000_000)
    ledger, rng = Ledger(), random.Random(SEED)
    # no floor: the disk is filled under writes that are under way, which no floor can keep others from
    with (
        small_disk(tmp_path / "clickhouse", DISK_MIB) as disk,
        local_stack(tmp_path, clickhouse_floor_mib=0) as stack,
    ):
        segments = await create_segments(stack, RULES)
        sending = asyncio.create_task(deliver(stack.settings.port, events, ledger, per_second=PER_SECOND))
        full = 0
        while not sending.done() and full < 6:
            await asyncio.sleep(0.5 + rng.random())
            await asyncio.to_thread(disk.fill)
            full += 1
            await asyncio.sleep(0.5 + rng.random() / 2)
            disk.clear()
        await sending
        assert len(ledger.events) == EVENTS
        problems = await settled(stack, ledger, segments, within_s=90)
        broken = await rows(stack, "SELECT table, name FROM system.detached_parts")
        say(f"small disk: full {full} times, broken parts left {broken}")
        assert not problems, f"{problems}\n{stack.log_tails()}"
