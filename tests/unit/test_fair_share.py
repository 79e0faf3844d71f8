"""Turns at the database: a workspace's flood waits behind itself, and another's query does not wait for it."""

import asyncio

import pytest

from schemas.errors import ApiError
from sinks.read_api.request.fair_share import ALL, RUNNING, WAITING, FairShare


async def test_a_flood_of_one_workspace_leaves_the_others_their_share() -> None:
    fair, rate_limiter = FairShare(), asyncio.Event()
    running: list[str] = []

    async def query(workspace: str) -> None:
        async with fair.turn(workspace):
            running.append(workspace)
            await rate_limiter.wait()

    flood = [asyncio.create_task(query("loud")) for _ in range(RUNNING + WAITING)]
    await asyncio.sleep(0)
    other = asyncio.create_task(query("quiet"))
    await asyncio.sleep(0.01)
    assert running.count("loud") == RUNNING
    assert running.count("quiet") == 1
    with pytest.raises(ApiError) as refused:
        await query("loud")
    assert refused.value.code == "rate_limited"
    rate_limiter.set()
    await asyncio.gather(*flood, other)
    assert running.count("loud") == RUNNING + WAITING
    async with fair.turn("loud"):
        pass


async def test_all_together_stay_below_the_databases_threads() -> None:
    fair, rate_limiter = FairShare(), asyncio.Event()
    most = now = 0

    async def query(workspace: str) -> None:
        nonlocal most, now
        async with fair.turn(workspace):
            now += 1
            most = max(most, now)
            await rate_limiter.wait()
            now -= 1

    tasks = [asyncio.create_task(query(f"w{n % 20}")) for n in range(100)]
    await asyncio.sleep(0.01)
    rate_limiter.set()
    await asyncio.gather(*tasks)
    assert most == ALL


async def test_a_query_that_fails_or_is_cancelled_gives_its_turn_back() -> None:
    fair = FairShare(running_in_all=1)
    for _ in range(RUNNING * 3):
        with pytest.raises(ZeroDivisionError):
            async with fair.turn("w"):
                raise ZeroDivisionError
    holding = asyncio.create_task(_hold(fair))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(_hold(fair))
    await asyncio.sleep(0)
    for task in (waiting, holding):
        task.cancel()
    await asyncio.gather(holding, waiting, return_exceptions=True)
    async with asyncio.timeout(1), fair.turn("w"):
        pass


async def _hold(fair: FairShare) -> None:
    async with fair.turn("w"):
        await asyncio.Event().wait()
