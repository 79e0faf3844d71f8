"""One worker on a real broker: counts, timers, gaps in a log, and records that cannot be processed."""

import signal
import time

import orjson
import pytest

from schemas.records.codec import decode_quarantined
from schemas.settings import Settings
from schemas.topics import QUARANTINE
from tests.integration.runtime_worker import ALARM, KEPT, NUMBERS
from tests.integration.runtime_worker_driver import cluster, keyed, workers
from tests.integration.runtime_worker_store import counts_in, stored
from tests.support.waiting import eventually

pytestmark = pytest.mark.kafka


async def test_outputs_state_and_commits_equal_a_recount(settings: Settings) -> None:
    async with cluster(settings) as topics:
        with workers(settings) as (worker,):
            worker.start().until_ready()
            await topics.send_many(keyed(300))
            await topics.send_many(keyed(60), topic=KEPT)
            await topics.all_committed()
            assert worker.stop() == 0
        assert await topics.counted() == topics.recount()
        assert await topics.answered() == topics.asked()
        assert counts_in(stored(settings)) == topics.recount()
        assert stored(settings) == await topics.logged()


async def test_a_timer_writes_its_table_though_no_record_comes(settings: Settings) -> None:
    """Faust refuses it: ``test_runtime_faust.py``."""
    async with cluster(settings) as topics:
        with workers(settings) as (worker,):
            worker.start().until_ready()
            due = int(time.time() * 1000) + 700
            offset = await topics.send({"alarm": due}, partition=2)
            key = (2, ALARM + str(offset).encode())
            await eventually(lambda: _is_logged(topics, key), "the alarm in the changelog")

            await eventually(topics.outputs, "the bell")
            (bell,) = await topics.outputs()
            assert bell["rang"] == due
            assert 0 <= bell["at"] - due < 500
            assert worker.stop() == 0
        assert await topics.logged() == {}
        assert stored(settings) == {}


async def _is_logged(topics: object, key: tuple[int, bytes]) -> bool:
    return key in await topics.logged()  # type: ignore[attr-defined]


async def test_a_timer_survives_a_restart(settings: Settings) -> None:
    async with cluster(settings) as topics:
        with workers(settings) as (worker,):
            worker.start().until_ready()
            due = int(time.time() * 1000) + 1500
            await topics.send({"alarm": due}, partition=1)
            await topics.all_committed()
            worker.stop()
            worker.start().until_ready()
            await eventually(topics.outputs, "the bell")
            assert [bell["rang"] for bell in await topics.outputs()] == [due]


async def test_a_record_on_which_the_stage_fails_is_quarantined_and_its_neighbours_are_not(
    settings: Settings,
) -> None:
    async with cluster(settings) as topics:
        values = [{"raise": 1} if i in {7, 42} else value for i, value in enumerate(keyed(80))]
        await topics.send_many(values)  # before the start: they come in groups
        with workers(settings) as (worker,):
            worker.start().until_ready()
            await topics.all_committed()
            assert worker.stop() == 0
        assert await topics.counted() == topics.recount()
        kept = [decode_quarantined(r.value) for r in await topics.read(topics.name(QUARANTINE))]
        failed = {(t, p, offset) for t, p, offset, value in topics.sent if "raise" in value}
        assert {(row["topic"], row["partition"], row["offset"]) for row in kept} == failed
        assert {row["payload"] for row in kept} == {b'{"raise":1}'}
        assert {row["detail"] for row in kept} == {"ValueError: asked to"}


async def test_plain_faust_acknowledges_the_record_on_which_its_agent_failed(settings: Settings) -> None:
    """Why no exception may leave the shell."""
    async with cluster(settings) as topics:
        await topics.send({"raise": 1})
        with workers(settings, module="tests.integration.runtime_worker_plain") as (worker,):
            worker.start()
            await topics.all_committed()
            assert "asked to" in worker.tail
            worker.send_signal(signal.SIGKILL)


async def test_an_output_that_the_broker_would_refuse_quarantines_its_record(settings: Settings) -> None:
    """Sent, it would be refused, and an idempotent producer is dead from then on."""
    async with cluster(settings) as topics:
        await topics.send({"keys": ["a", "x" * 1_950_000]}, partition=0)
        await topics.send({"keys": ["b"]}, partition=0)
        with workers(settings) as (worker,):
            worker.start().until_ready()
            await topics.all_committed()
            assert worker.stop() == 0
        assert await topics.counted() == {(0, b"b"): 1}
        (kept,) = await topics.read(topics.name(QUARANTINE))
        assert decode_quarantined(kept.value)["detail"].startswith("RecordTooLargeError")


async def test_a_stage_that_fails_on_everything_ends_instead_of_draining_its_topics(settings: Settings) -> None:
    async with cluster(settings) as topics:
        await topics.send_many({"raise": i} for i in range(400))
        with workers(settings) as (worker,):
            assert worker.start().wait() == 70
            assert "the stage is at fault" in worker.tail
        assert 100 <= len(await topics.read(topics.name(QUARANTINE))) < 400


async def test_offsets_that_hold_no_record_do_not_hold_up_commits(settings: Settings) -> None:
    """Markers of transactions here; offsets that compaction took away look the same to a consumer.

    Nor does a tombstone.
    """
    async with cluster(settings) as topics:
        with workers(settings) as (worker,):
            worker.start().until_ready()
            for i in range(8):
                topic = (NUMBERS, KEPT)[i % 2]
                value = {"keys": [str(i)]}
                offset = await topics.send_alone(topics.name(topic), orjson.dumps(value), key=b"k", partition=0)
                assert offset == i // 2 * 2
                topics.sent.append((topic.name, 0, offset, value))
            await topics.producer.send_and_wait(topics.name(KEPT), None, key=b"k", partition=0)
            topics.sent.append((KEPT.name, 0, 8, {}))
            await topics.all_committed()
            assert (await topics.committed())[KEPT.name, 0] == 9
            assert worker.stop() == 0
        assert await topics.counted() == topics.recount()
