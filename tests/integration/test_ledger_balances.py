"""The sink on a real broker and engine: each accepted event has one outcome, through crashes, replays and erasures."""

import time
from collections.abc import Iterable
from typing import Any

import pytest

from schemas import topics
from schemas.control import control_state
from schemas.control.definitions import Erasure
from schemas.records import codec, outcomes, quarantine
from schemas.records.records import Event
from schemas.settings import Settings
from schemas.times import MINUTE_MS
from sinks.ledger.balance import COUNTS, balances
from sinks.maintenance.erase import erase
from tests.support.builders import ENVIRONMENT, WORKSPACE, cid, event
from tests.support.sink_pipeline import Pipeline, pipeline, process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

Totals = dict[str, int]


class Stages:
    """The edge and the identity stage, by hand: what they have put on the topics."""

    def __init__(self, pipe: Pipeline, received_ms: int) -> None:
        self.pipe = pipe
        self.received_ms = received_ms

    def event(self, who: str, event_id: str, **more: Any) -> Event:
        return event(who, event_id=event_id, received_ms=self.received_ms, **more)

    async def accept(self, *events: Event) -> int:
        """The offset of their record on `events`."""
        return await self.pipe.raw(topics.EVENTS, codec.encode_events(events))

    def placed(self, events: Iterable[Event], offset: int) -> list[Event]:
        return [
            {**event, "origin_partition": 0, "origin_offset": offset, "origin_index": index}
            for index, event in enumerate(events)
        ]

    async def accept_and_resolve(self, *events: Event) -> list[Event]:
        placed = self.placed(events, await self.accept(*events))
        await self.pipe.resolved(placed)
        return placed

    async def totals(self) -> Totals:
        async def rows(sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
            result = await self.pipe._client.query(sql, parameters)
            return list(result.named_results())

        first = self.received_ms // MINUTE_MS * MINUTE_MS
        span = {"from": first, "until": first + MINUTE_MS, "source": ""}
        counted = list((await balances(rows, "1", span)).values())
        return {name: sum(getattr(balance, name) for balance in counted) for name in (*COUNTS, "residual")}

    async def expect(self, what: str, **expected: int) -> None:
        """Wait until the counts are these, and what is not named is 0."""
        all_wanted = {**dict.fromkeys((*COUNTS, "residual"), 0), **expected}
        last: Totals = {}

        async def is_so() -> bool:
            nonlocal last
            last = await self.totals()
            return last == all_wanted

        try:
            await eventually(is_so, what, within_s=90)
        except BaseException as error:
            raise AssertionError(f"{what}: {last} instead of {all_wanted}") from error


def now() -> int:
    """In the minute before this one, which no test leaves."""
    return time.time_ns() // 1_000_000 - MINUTE_MS


async def test_replays_retries_and_a_killed_sink_leave_it_balanced(settings: Settings) -> None:
    async with pipeline(settings) as pipe:
        stages = Stages(pipe, now())
        async with process(settings, "clickhouse") as sink:
            first = await stages.accept_and_resolve(*(stages.event(f"external_id:u{n}", f"e{n}") for n in range(5)))
            await stages.expect("five events are stored", accepted=5, stored=5)
            await pipe.resolved(first)  # the identity stage was killed before it had committed
            retry = stages.event("external_id:u1", "e1", repeat=1)
            await stages.accept_and_resolve(retry, stages.event("external_id:u9", "e9"))
            await stages.expect("a retry is a duplicate", accepted=7, stored=6, duplicate=1)
            sink.kill()
            sink.wait()
        await stages.accept_and_resolve(stages.event("external_id:u10", "e10"))
        await stages.expect("nobody counts while the sink is away", accepted=7, stored=6, duplicate=1)
        async with process(settings, "clickhouse"):
            await stages.expect("the next sink goes on", accepted=8, stored=7, duplicate=1)
            await stages.accept(stages.event("external_id:u11", "e11"))
            await stages.expect("an event that no stage took", accepted=9, stored=7, duplicate=1, residual=1)
        await pipe.run("OPTIMIZE TABLE events FINAL")
        await stages.expect("parts are merged", accepted=9, stored=7, duplicate=1, residual=1)


async def test_events_of_the_erased_are_suppressed_wherever_they_were(settings: Settings) -> None:
    async with pipeline(settings) as pipe:
        stages = Stages(pipe, now())
        erasure = Erasure(
            id="ers_1",
            workspace=WORKSPACE,
            environment=ENVIRONMENT,
            created_ms=stages.received_ms,
            contacts=(cid("external_id:gone"),),
            erased_ms=stages.received_ms,
        )
        async with process(settings, "clickhouse"):
            stored = [stages.event("external_id:gone", f"g{n}") for n in range(3)]
            await stages.accept_and_resolve(*stored, stages.event("external_id:kept", "k1"))
            await stages.accept_and_resolve(stages.event("external_id:gone", "g1", repeat=1))
            await stages.expect("all are there", accepted=5, stored=4, duplicate=1)
            for _ in range(2):  # as after a crash between the note and the rows
                await erase([pipe._client], erasure, stages.received_ms)
            await stages.expect("rows that were stored are gone", accepted=5, stored=1, suppressed=4)
            # the sink meets one that was on its way, and identity one that it then reads again
            key, value = control_state.encode("erasure", erasure)
            await pipe.raw(topics.CONTROL, value, key=key)
            mark = stages.event("external_id:kept", "k2")
            on_its_way = stages.event("external_id:gone", "g8")
            await stages.accept_and_resolve(on_its_way, mark)
            late = stages.event("external_id:gone", "g9")
            place = (0, await stages.accept(late), 0)
            for _ in range(2):
                await pipe.changes(outcomes.suppressed(late, place))
            await stages.expect("none of them is missing", accepted=8, stored=2, suppressed=6)
        assert await pipe.rows("SELECT DISTINCT event_id FROM events ORDER BY event_id") == [("k1",), ("k2",)]
        names = {name for (name,) in await pipe.rows("SELECT name FROM system.columns WHERE table = 'event_outcomes'")}
        assert not names & {"contact_id", "own_contact_id", "event_id", "identifiers", "properties"}


async def test_records_in_quarantine_are_accounted_for_event_by_event(settings: Settings) -> None:
    async with pipeline(settings) as pipe:
        stages = Stages(pipe, now())
        async with process(settings, "clickhouse"):
            poison = [stages.event("external_id:p", f"p{n}") for n in range(3)]
            offset = await stages.accept(*poison)
            key, value = quarantine.encode(
                topic=topics.EVENTS.name,
                partition=0,
                offset=offset,
                key=None,
                payload=codec.encode_events(poison),
                reason="failed",
                detail="ValueError",
                now_ms=stages.received_ms,
            )
            for _ in range(2):  # it is put there again after a crash
                await pipe.raw(topics.QUARANTINE, value, key=key)
            await pipe.raw(topics.EVENTS, b"no record of ours")
            await stages.expect("each of its events counts", accepted=3, quarantined=3)
            # replayed at its old place: stored is what counts then
            await pipe.resolved(stages.placed(poison, offset)[:1])
            await stages.expect("one was replayed", accepted=3, quarantined=2, stored=1)


async def test_a_part_that_broke_is_counted_again_from_kafka(settings: Settings) -> None:
    async with pipeline(settings) as pipe:
        stages = Stages(pipe, now())
        async with process(settings, "clickhouse"):
            for n in range(3):
                await stages.accept_and_resolve(stages.event("external_id:u", f"e{n}"))
                await stages.expect("it is counted", accepted=n + 1, stored=n + 1)
            names = await pipe.rows(
                "SELECT name FROM system.parts WHERE table = 'accepted' AND database = currentDatabase() AND active"
            )
            await pipe.run(f"ALTER TABLE accepted DETACH PART '{names[0][0]}'")
            assert (await stages.totals())["accepted"] < 3
            await stages.expect("it is counted again", accepted=3, stored=3)
            broken = "SELECT 1 FROM system.detached_parts WHERE table = 'accepted' AND database = currentDatabase()"
            assert await pipe.rows(broken) == []
            await stages.accept_and_resolve(stages.event("external_id:u", "e9"))
            await stages.expect("and it goes on", accepted=4, stored=4)
