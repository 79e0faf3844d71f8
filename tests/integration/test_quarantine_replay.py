"""Records of quarantine replayed by the real sink: each once, whatever is killed, and never in a circle."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from schemas import topics
from schemas.control.control_state import encode
from schemas.control.quarantine_jobs import KIND, QuarantineFilter, QuarantineJob, QuarantineJobs
from schemas.records import codec, quarantine
from schemas.settings import Settings
from sinks.quarantine.replayer import HEADER
from tests.support.builders import WORKSPACE, event
from tests.support.forms import Form
from tests.support.sink_pipeline import Pipeline, pipeline, process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

NOW_MS = time.time_ns() // 1_000_000
"""What is in quarantine goes after thirty days."""
OUTCOMES = "SELECT outcome, count() FROM quarantine_outcomes FINAL GROUP BY outcome ORDER BY outcome"


async def put(pipe: Pipeline, offset: int, payload: bytes, workspace: str = WORKSPACE, **more: Any) -> str:
    """A record in quarantine that stood on `resolved`; its id."""
    key, value = quarantine.encode(
        topic=topics.RESOLVED.name,
        partition=1,
        offset=offset,
        key=None,
        payload=payload,
        detail="",
        now_ms=NOW_MS,
        workspace=workspace,
        **{"reason": "unstorable", **more},
    )
    await pipe.raw(topics.QUARANTINE, value, key=key)
    return f"resolved:1:{offset}:{more.get('index', -1)}"


def stored(number: int, **more: Any) -> bytes:
    return codec.encode_events(
        [event(f"external_id:u{number}", event_id=f"evt_{number}", origin_offset=number, **more)]
    )


async def ask(pipe: Pipeline, number: int, action: str = "replay", **more: Any) -> None:
    chosen = QuarantineFilter(until_ms=NOW_MS + 86_400_000)
    fields = {"id": f"qjb_{number}", "workspace": WORKSPACE, "created_ms": NOW_MS + number, "key_id": "key_1", **more}
    key, value = encode(KIND, QuarantineJob(action=action, filter=chosen, **fields))
    await pipe.raw(topics.CONTROL, value, key=key)


async def done(pipe: Pipeline, number: int, within_s: float = 60) -> QuarantineJob:
    """The job as the sink has left it."""

    async def look() -> QuarantineJob | None:
        jobs = QuarantineJobs()
        for record in await pipe.read(topics.CONTROL, 1):
            jobs.take(record)
        current = jobs.get(WORKSPACE, f"qjb_{number}")
        return current if current is not None and current.done_ms else None

    result: QuarantineJob = await eventually(look, f"job {number}", within_s, every_s=0.2)
    return result


async def replays(pipe: Pipeline, count: int) -> Counter[str]:
    """How often each was sent, of the first ``count`` records of `resolved`."""
    records = await pipe.read(topics.RESOLVED, count)
    return Counter(value.decode() for record in records for name, value in record.headers if name == HEADER)


async def rows_of(pipe: Pipeline, table: str, count: int) -> None:
    await eventually(lambda: _has(pipe, table, count), f"{count} rows of {table}", 60)


async def _has(pipe: Pipeline, table: str, count: int) -> bool:
    return int((await pipe.rows(f"SELECT count() FROM {table} FINAL"))[0][0]) == count


async def test_each_record_is_replayed_once_and_what_cannot_be_stays(settings: Settings) -> None:
    async with pipeline(settings) as pipe, process(settings, "clickhouse"):
        good = [await put(pipe, n, stored(n)) for n in range(30)]
        await put(pipe, 100, b"poison")
        await put(pipe, 101, b"x" * 1_000_000)
        await put(pipe, 102, stored(102), workspace="other")
        await put(pipe, 103, stored(103), workspace="")
        await rows_of(pipe, "quarantine", 34)
        await ask(pipe, 1)
        await ask(pipe, 2)
        first, second = await done(pipe, 1), await done(pipe, 2)
        await rows_of(pipe, "events", 30)
        assert (first.counts, first.refused) == ({"replayed": 30}, {"undecodable": 1, "cut": 1})
        assert (second.counts, second.refused) == ({}, {"undecodable": 1, "cut": 1})
        await ask(pipe, 3, unowned=True)
        assert (await done(pipe, 3)).counts == {"replayed": 1}
        assert await replays(pipe, 31) == dict.fromkeys([*good, "resolved:1:103:-1"], 1)
        await ask(pipe, 4, "discard")
        assert (await done(pipe, 4)).counts == {"discarded": 2}
        assert await pipe.rows(OUTCOMES) == [("discarded", 2), ("replayed", 31)]


async def test_an_event_that_could_not_be_stored_is_stored_once_it_can_be(settings: Settings) -> None:
    """The sink remembers the events that it has seen lately: one that it has refused is none of them."""
    async with pipeline(settings) as pipe, process(settings, "clickhouse"):
        await pipe.run("ALTER TABLE events ADD CONSTRAINT no_poison CHECK type != 'poison'")
        await pipe.raw(topics.RESOLVED, stored(1, type="poison"), 1)
        await pipe.raw(topics.RESOLVED, stored(2), 1)
        await rows_of(pipe, "quarantine", 1)
        outcomes = {}
        for number, replay_of in enumerate(["resolved:1:0:0", "resolved:1:2:0", "resolved:1:3:0"], 1):
            await ask(pipe, number)
            outcomes[number] = (await done(pipe, number)).counts
            await rows_of(pipe, "quarantine", number + 1)
            assert (await replays(pipe, 2 + number))[replay_of] == 1
        assert outcomes == {1: {"replayed": 1}, 2: {"replayed": 1}, 3: {"replayed": 1}}
        await ask(pipe, 4)
        fourth = await done(pipe, 4)
        assert (fourth.counts, fourth.refused) == ({}, {"replayed_too_often": 1})
        await pipe.run("ALTER TABLE events DROP CONSTRAINT no_poison")
        await put(pipe, 50, stored(1, type="poison"))
        await rows_of(pipe, "quarantine", 5)
        await ask(pipe, 5)
        assert (await done(pipe, 5)).counts == {"replayed": 1}
        await rows_of(pipe, "events", 2)


async def test_a_replay_that_a_crash_interrupted_is_looked_for_before_it_is_sent(settings: Settings) -> None:
    async with pipeline(settings) as pipe:
        async with process(settings, "clickhouse"):
            sent, unsent = await put(pipe, 1, stored(1)), await put(pipe, 2, stored(2))
            await rows_of(pipe, "quarantine", 2)
        columns = "topic, `partition`, `offset`, `index`, workspace, outcome, job, replays, replay_partition, at, step"
        for offset in (1, 2):
            await pipe.run(
                f"INSERT INTO quarantine_outcomes ({columns}) VALUES"
                f" ('resolved', 1, {offset}, -1, 'local', 'replaying', 'qjb_1', 1, 1, now(), 1)"
            )
        name = topics.name(topics.RESOLVED, settings)
        await pipe._producer.send_and_wait(name, stored(1), partition=1, headers=[(HEADER, sent.encode())])
        await ask(pipe, 1)
        async with process(settings, "clickhouse"):
            assert (await done(pipe, 1)).counts == {"replayed": 2}
            await rows_of(pipe, "events", 2)
        assert await replays(pipe, 2) == {sent: 1, unsent: 1}
        assert await pipe.rows("SELECT replay_offset FROM quarantine_outcomes FINAL ORDER BY `offset`") == [(0,), (1,)]


async def test_killed_again_and_again_while_it_replays(settings: Settings, form: Form) -> None:
    """Wherever the kills fall, each record stands on its topic once more, and once only."""
    count, moments_s = 400, (0.1, 0.4, 0.02, 0.25, 0.6, 0.9)
    most = form.number("kills of the sink while it replays quarantine", short=2, full=len(moments_s))
    async with pipeline(settings) as pipe:
        async with process(settings, "clickhouse"):
            for n in range(count):
                await put(pipe, n, stored(n))
            await rows_of(pipe, "quarantine", count)
        await ask(pipe, 1)
        kills = 0
        for after_s in moments_s[:most]:
            async with process(settings, "clickhouse") as sink:
                replayed = dict(await pipe.rows(OUTCOMES)).get("replayed", 0)
                await asyncio.sleep(after_s)  # when a kill falls is chance: the result is the same whenever it does
                sink.kill()
                sink.wait()
                kills += replayed < count
        async with process(settings, "clickhouse"):
            assert (await done(pipe, 1)).counts == {"replayed": count}
            await rows_of(pipe, "events", count)
        result = await replays(pipe, count)
        assert (len(result), set(result.values())) == (count, {1})
        assert kills, "no kill fell before the end"
