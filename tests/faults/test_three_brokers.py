"""Of three brokers that replicate, one dies under load and nothing is lost; with two dead nothing is acknowledged."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.comparison import create_segments, settled
from tests.support.kafka_cluster import SIZE, kafka_cluster
from tests.support.load_client import paced, request
from tests.support.sent_ledger import RULES, SentLedger, deliver, make_events
from tests.support.stack import local_stack
from tests.support.waiting import eventually

SEED = 20_261_126
EVENTS = 4_000
PER_SECOND = 300
BACK_S = 10.0
"""Within this time after a broker's death answers are quick again."""
QUICK_MS = 2_000
"""Of a machine that is shared with three brokers and everything else."""


def singles(first: int, count: int) -> list[bytes]:
    return [request("/v1/events", {"type": "seen", "user_id": f"late{n}"}) for n in range(first, first + count)]


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_nothing_is_lost_with_a_broker_and_nothing_acknowledged_without_two(
    tmp_path: Path, say: Callable[[str], None]
) -> None:
    events = make_events(SEED, EVENTS, people=600, now_ms=time.time_ns() // 1_000_000)
    ledger = SentLedger()
    with kafka_cluster(tmp_path / "kafka") as cluster:
        await eventually(lambda: all(cluster.listens(n) for n in range(SIZE)), "three brokers", 60)
        with local_stack(
            tmp_path / "stack", kafka_bootstrap_servers=cluster.bootstrap, replication=3, publish_deadline_s=2.0
        ) as stack:
            segments = await create_segments(stack, RULES)
            sending = asyncio.create_task(deliver(stack.settings.port, events, ledger, per_second=PER_SECOND))
            await eventually(lambda: len(ledger.events) > EVENTS / 4, "a quarter of the events", 60)
            cluster.kill(0)
            killed = time.monotonic()

            async def is_quick() -> bool:
                tally = await paced(stack.settings.port, singles(0, 50), per_second=50, connections=16)
                return set(tally.statuses) == {202} and tally.quantile(0.99) < QUICK_MS

            await eventually(is_quick, "quick answers", 60)
            back = time.monotonic() - killed
            await sending
            assert len(ledger.events) == EVENTS
            problems = await settled(stack, ledger, segments, within_s=120, prefix=f"e{SEED}")
            assert not problems, f"{problems}\n{stack.log_tails()}"
            say(f"three brokers: quick again {back:.1f} s after one died, {ledger.retries} batches sent again")

            cluster.kill(1)
            async with stack.client() as client:
                lost = {"type": "seen", "user_id": "nobody"}

                async def status() -> int:
                    return (await client.post("/v1/events", json=lost)).status_code

                for _ in range(3):
                    assert await status() == 503
                cluster.start(0, 1)
                await eventually(status, "an acknowledgement", 90, meets=lambda code: code == 202)

                async def found() -> httpx.Response:
                    return await client.post("/v1/events?sync=true&timeout_ms=10000", json={**lost, "user_id": "back"})

                await eventually(found, "an event to be applied", 120, meets=lambda answer: answer.status_code == 200)
            assert back < 6 * BACK_S
