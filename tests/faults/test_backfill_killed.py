"""Segments are made and edited over history while their workers and the sink are killed: each is exact in the end."""

import asyncio
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.comparison import settled
from tests.support.sent_ledger import DAY_MS, SentLedger, deliver, identifiers, make_events
from tests.support.stack import LocalStack, local_stack

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]
SEED = 20_261_122
PEOPLE, BEFORE, PER_SECOND = 1_500, 6_000, 300
AT_MOST = 24_000
"""Events that flow meanwhile: more than are needed until the last rule is live."""
WORKERS = ("segments", "segments-2")
AGES_D = (0, 12, 45)
"""No event is near the edge of a window of 30 days, so the recount is right whenever it is made."""


def spent(least: int) -> dict[str, Any]:
    """Who is on a plan and has spent so much."""
    total = {"event": "order_completed", "sum": {"property": "total", "op": "gte", "value": least}}
    return {"all": [{"attribute": "plan", "op": "exists"}, total]}


OFTEN: dict[str, Any] = {"event": "page_view", "count": {"op": "gte", "value": 3}, "within": "30d"}
AT_FIRST, THEN, IN_THE_END = 40, 90, 150


class Recount(SentLedger):
    """What must be true of ``OFTEN`` and of the edited rule."""

    def members(self) -> dict[str, set[frozenset[str]]]:
        parts, since_ms = self.groups(), time.time_ns() // 1_000_000 - 30 * DAY_MS
        views: dict[frozenset[str], int] = defaultdict(int)
        totals: dict[frozenset[str], int] = defaultdict(int)
        planned = set()
        for event in self.events.values():
            contact = frozenset(parts[identifiers(event)[0]])
            if "traits" in event:
                planned.add(contact)
            elif event["event"] == "order_completed":
                totals[contact] += event["properties"]["total"]
            else:
                views[contact] += event["timestamp"] >= since_ms
        return {
            "often": {c for c, times in views.items() if times >= 3},
            "spent": {c for c in planned if totals[c] >= IN_THE_END},
        }


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("backfill"), segments_workers=len(WORKERS)) as running:
        yield running


def history(seed: int) -> list[dict[str, Any]]:
    """Orders, views and traits of two months; the first ``BEFORE`` of them are sent before there is any rule."""
    rng = random.Random(seed)
    events = make_events(seed, BEFORE + AT_MOST, people=PEOPLE, now_ms=time.time_ns() // 1_000_000)
    for event in events:
        event["timestamp"] -= rng.choice(AGES_D) * DAY_MS
    return events


class Nemesis:
    """Kills by pid file, at moments that the seed gives."""

    def __init__(self, stack: LocalStack, seed: int) -> None:
        self._stack = stack
        self._rng = random.Random(seed)
        self.caught: list[str] = []
        """The state of each segment whenever all its workers had just been killed."""

    async def strike(self, *, latest_s: float) -> None:
        """All segments workers at once, and the sink close to it."""
        sink_s = self._rng.uniform(0, latest_s)
        sink = asyncio.create_task(self._kill_after(sink_s, "clickhouse-sink"))
        await self._kill_after(self._rng.uniform(0, latest_s), *WORKERS)
        async with self._stack.client() as client:
            segments = (await client.get("/v1/segments")).json()["data"]
        self.caught += [f"{segment['name']} v{segment['version']} {segment['status']}" for segment in segments]
        await sink

    async def _kill_after(self, seconds: float, *victims: str) -> None:
        await asyncio.sleep(seconds)
        for victim in victims:
            await self._kill(victim)

    async def _kill(self, victim: str) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                os.kill(self._stack.pid(victim), signal.SIGKILL)
            except (ProcessLookupError, FileNotFoundError):  # the supervisor is about to start the next one
                assert time.monotonic() < deadline, victim
                await asyncio.sleep(0.02)
            else:
                return


async def keep_sending(
    stack: LocalStack, events: list[dict[str, Any]], ledger: SentLedger, done: asyncio.Event
) -> None:
    for start in range(0, len(events), PER_SECOND):
        await deliver(stack.settings.port, events[start : start + PER_SECOND], ledger, per_second=PER_SECOND)
        if done.is_set():
            return


async def write(stack: LocalStack, method: str, path: str, **body: Any) -> str:
    """A definition, whose answer waits for what is being killed; its id."""
    async with stack.client() as client:
        answer = await client.request(method, path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["id"])


async def live(stack: LocalStack, segments: dict[str, str], within_s: float) -> dict[str, Any]:
    """Every segment as it is shown, once all are live."""
    deadline = time.monotonic() + within_s
    async with stack.client() as client:
        while True:
            shown = {
                name: (await client.get(f"/v1/segments/{segment_id}")).json() for name, segment_id in segments.items()
            }
            if all(segment["status"] == "live" for segment in shown.values()):
                return shown
            assert time.monotonic() < deadline, f"{shown}\n{stack.log_tails()}"
            await asyncio.sleep(0.1)


async def listed(stack: LocalStack, segment: str) -> int:
    """How many contacts the API says that a segment has."""
    async with stack.client() as client:
        return int((await client.get(f"/v1/segments/{segment}/contacts?limit=1")).json()["meta"]["total"])


async def test_history_is_counted_exactly_though_its_readers_are_killed(
    stack: LocalStack, say: Callable[[str], None]
) -> None:
    events, ledger, nemesis = history(SEED), Recount(), Nemesis(stack, SEED)
    await deliver(stack.settings.port, events[:BEFORE], ledger, per_second=1_500)
    done = asyncio.Event()
    flow = asyncio.create_task(keep_sending(stack, events[BEFORE:], ledger, done))
    often, spenders, _ = await asyncio.gather(
        write(stack, "POST", "/v1/segments", name="often", rule=OFTEN),
        write(stack, "POST", "/v1/segments", name="spent", rule=spent(AT_FIRST)),
        nemesis.strike(latest_s=0.4),
    )
    segments = {"often": often, "spent": spenders}
    # the first edit while the history of before may still be on its way, the second when it is not
    for least in (THEN, IN_THE_END):
        await asyncio.gather(
            write(stack, "PATCH", f"/v1/segments/{spenders}", rule=spent(least)), nemesis.strike(latest_s=0.4)
        )
        shown = await live(stack, segments, 30)
    assert shown["spent"]["version"] == 3
    assert not flow.done(), "events flowed until the last rule was live"
    done.set()
    await flow
    problems = await settled(stack, ledger, segments, within_s=45)
    assert not problems, f"{problems}\n{nemesis.caught}\n{stack.log_tails()}"
    expected = {name: len(parts) for name, parts in ledger.members().items()}
    assert all(10 < count < PEOPLE for count in expected.values()), expected
    assert {name: await listed(stack, segment_id) for name, segment_id in segments.items()} == expected
    say(f"faults: back-fills cut off at {nemesis.caught}; members {expected}, {len(ledger.events)} events")
    assert any("backfilling" in text for text in nemesis.caught), "no kill met a back-fill"
