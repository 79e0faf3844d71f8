"""Every process of the stack is killed once under load: nothing is missing, nothing is doubled."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.comparison import create_live_segments, rows, settled
from tests.support.forms import Form
from tests.support.sent_ledger import RULES, SentLedger, deliver, make_events
from tests.support.stack import local_stack

SEED = 20_261_121
SHORT, FULL = 10_000, 20_000
PER_SECOND = 600
VICTIMS = ("kafka", "clickhouse", "ingest", "identity", "segments", "clickhouse-sink", "query", "webhooks")


def schedule(seed: int, seconds: float) -> list[tuple[float, str]]:
    """(after so many seconds, which process): each once, evenly spread, in an order that the seed gives."""
    rng = random.Random(seed)
    order = list(VICTIMS)
    rng.shuffle(order)
    return [(seconds * (i + 0.5 + rng.random() / 3) / len(order), victim) for i, victim in enumerate(order)]


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path, form: Form, say: Callable[[str], None]) -> None:
    count = form.number("events under the kill of each process", short=SHORT, full=FULL)
    plan = schedule(SEED, count / PER_SECOND)
    events = make_events(SEED, count, people=2_000, now_ms=time.time_ns() // 1_000_000)
    ledger = SentLedger()
    with local_stack(tmp_path) as stack:
        segments = await create_live_segments(stack, RULES)

        async def nemesis() -> None:
            began = time.monotonic()
            for after, victim in plan:
                await asyncio.sleep(max(0.0, began + after - time.monotonic()))
                os.kill(stack.pid(victim), signal.SIGKILL)

        kills = asyncio.create_task(nemesis())
        await deliver(stack.settings.port, events, ledger, per_second=PER_SECOND)
        await kills
        assert len(ledger.events) == count
        problems = await settled(stack, ledger, segments, within_s=90)
        raw = await rows(stack, "SELECT count(), uniqExact(event_id) FROM events")
        say(
            f"faults: {ledger.retries} batches sent again, {raw[0][0] - raw[0][1]} rows beside their first, plan {plan}"
        )
        assert not problems, f"{problems}\nplan {plan}\n{stack.log_tails()}"
