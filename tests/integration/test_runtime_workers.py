"""Several workers of one stage under a steady feed: one dies, one joins, one goes for good; nothing is lost."""

import asyncio
import signal

import pytest

from schemas.settings import Settings
from tests.integration.runtime_worker_driver import RuntimeCluster, RuntimeWorker, cluster, workers
from tests.integration.runtime_worker_store import counts_in
from tests.support.waiting import eventually

pytestmark = pytest.mark.kafka

RATE = 80.0


async def shared_by(team: list[RuntimeWorker], partitions: int) -> None:
    """Every worker that runs has settled and each partition has one owner."""

    async def settled() -> bool:
        running = [worker for worker in team if worker.process is not None and not worker.ended]
        owned = [partition for worker in running for partition in (worker.opened or [[]])[-1]]
        return sorted(owned) == list(range(partitions)) and all(worker.opened for worker in running)

    await eventually(settled, f"one owner each: {[worker.opened for worker in team]}")


async def nothing_is_lost(topics: RuntimeCluster) -> None:
    await topics.all_committed()
    assert await topics.answered() == topics.asked()
    assert await topics.counted() == topics.recount()
    assert counts_in(await topics.logged()) == topics.recount()


async def test_a_worker_that_comes_back_keeps_its_partitions_and_stops_nobody(settings: Settings) -> None:
    async with cluster(settings) as topics:
        with workers(settings, 2) as team:
            for worker in team:
                worker.start()
            await shared_by(team, settings.partitions)
            mine, others = (worker.opened[-1] for worker in team)
            rebalances = len(team[1].opened)
            async with topics.feeding(RATE):
                for how in (signal.SIGKILL, signal.SIGTERM):
                    await asyncio.sleep(0.5)
                    team[0].send_signal(how)
                    team[0].wait()
                    await asyncio.to_thread(team[0].start().until_ready)
                    await asyncio.sleep(0.5)
            await nothing_is_lost(topics)
            assert team[0].opened[-1] == mine
            assert len(team[1].opened) == rebalances, "no rebalance"
            delays = await topics.delays()
            away_s = max(delays[p] for p in mine)
            assert away_s < settings.session_timeout_s / 2, delays  # about one second on a quiet machine
            # had they waited for it, all would have waited alike; the other bound is for a machine that is busy
            assert max(delays[p] for p in others) < max(0.5, away_s / 2), delays


async def test_a_worker_that_joins_and_one_that_goes_for_good_lose_nothing(settings: Settings) -> None:
    settings = settings.model_copy(update={"session_timeout_s": 6.0})
    settings.model_fields_set.add("session_timeout_s")
    async with cluster(settings) as topics:
        with workers(settings, 3) as team:
            for worker in team[:2]:
                worker.start()
            await shared_by(team, settings.partitions)
            async with topics.feeding(RATE):
                team[2].start()
                await shared_by(team, settings.partitions)
                assert len(team[2].opened[-1]) == 1
                await asyncio.sleep(1)
                team[2].send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(team[2].wait) == 0
                await shared_by(team, settings.partitions)
                await asyncio.sleep(0.5)
            await nothing_is_lost(topics)
