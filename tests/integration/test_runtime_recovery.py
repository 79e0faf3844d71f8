"""A worker that is killed anywhere, stopped, robbed of its disk or given the wrong one: nothing is lost."""

import pytest
from rocksdict import Options, Rdict

from processors.runtime.crash_trigger import CrashPoint
from schemas.settings import Settings
from schemas.topics import changelog
from tests.integration.runtime_worker import APP, COUNTS
from tests.integration.runtime_worker_driver import cluster, keyed, workers
from tests.integration.runtime_worker_store import OFFSET_KEY, counts_in, state_dirs, stored, wipe
from tests.support.waiting import eventually

pytestmark = pytest.mark.kafka

KILLED = -9


@pytest.mark.parametrize("point", list(CrashPoint))
async def test_a_kill_between_two_steps_of_the_unit_loses_and_doubles_nothing(
    settings: Settings, point: CrashPoint
) -> None:
    async with cluster(settings) as topics:
        with workers(settings) as (worker,):
            worker.start(crash_at=f"{point}:2").until_ready()
            await topics.send({"keys": ["a"]})  # the first unit
            await topics.all_committed()
            await topics.send_many(keyed(200))
            assert worker.wait() == KILLED
            in_store, in_log = counts_in(stored(settings)), counts_in(await topics.logged())
            assert in_store[0, b"a"] >= 1
            assert in_store != topics.recount()
            assert all(count <= in_log[row] for row, count in in_store.items()), "the store is never ahead"

            worker.start().until_ready()
            await topics.all_committed()
            assert worker.stop() == 0
        assert await topics.answered() == topics.asked()
        assert await topics.counted() == topics.recount()
        assert counts_in(stored(settings)) == topics.recount()
        assert stored(settings) == await topics.logged()


async def test_a_lost_disk_is_rebuilt_from_the_changelog(settings: Settings) -> None:
    async with cluster(settings) as topics:
        with workers(settings) as (worker,):
            worker.start().until_ready()
            await topics.send_many(keyed(200))
            await topics.all_committed()
            worker.stop()
            before = stored(settings)
            outputs = len(await topics.outputs())

            wipe(settings)
            worker.start().until_ready()
            assert worker.stop() == 0
        assert counts_in(before) == topics.recount()
        assert stored(settings) == before
        assert len(await topics.outputs()) == outputs


async def test_a_stop_commits_what_is_finished(settings: Settings) -> None:
    """Faust commits every few seconds, and its own stop takes as long."""
    async with cluster(settings) as topics:
        with workers(settings) as (worker,):
            worker.start().until_ready()
            await topics.send_many(keyed(100))
            await eventually(lambda: _has(topics, 100), "answers")
            assert worker.stop() == 0
            assert sum((await topics.committed()).values()) == 100
            worker.start().until_ready()
            await topics.send_many(keyed(4))
            await topics.all_committed()
        assert len(await topics.outputs()) == topics.answers(), "nothing was repeated"


async def _has(topics: object, count: int) -> bool:
    return len(await topics.answered()) >= count  # type: ignore[attr-defined]


async def test_a_changelog_may_end_in_an_offset_without_a_record(settings: Settings) -> None:
    """Plain Faust waits for a record there for ever: ``test_runtime_faust.py``."""
    async with cluster(settings) as topics:
        await topics.send_alone(changelog(APP, COUNTS, settings), b"[41, {}]", key=b"a", partition=3)
        with workers(settings) as (worker,):
            worker.start().until_ready()
            await topics.send({"keys": ["a"]}, partition=3)
            await topics.all_committed()
        assert await topics.counted() == {(3, b"a"): 42}


async def test_a_store_that_is_ahead_of_its_changelog_is_thrown_away(settings: Settings) -> None:
    """It belongs to topics that were deleted and made anew."""
    async with cluster(settings) as topics:
        with workers(settings) as (worker,):
            worker.start().until_ready()
            worker.stop()
            (path,) = state_dirs(settings).rglob(f"{COUNTS}-0.db")
            store = Rdict(str(path), Options(raw_mode=True))
            store[b"a"] = b"[1000, {}]"
            store[OFFSET_KEY] = b"5000"
            store.close()

            assert worker.start().wait() == 70
            worker.start().until_ready()
            await topics.send({"keys": ["a"]})
            await topics.all_committed()
        assert await topics.counted() == {(0, b"a"): 1}
