"""Contacts that merge between two pages of a launch: the person gets one message, whichever id comes first."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.control.control_state import ControlState, encode
from schemas.control.launch_jobs import KIND, Audience, LaunchJob, LaunchJobs
from schemas.records.records import Event
from sinks.clickhouse.rows import CONTACTS, EVENTS, MEMBERSHIP_CHANGES, OVERRIDES
from sinks.launch import runner
from sinks.launch.runner import LaunchRunner
from tests.integration.contact_rows import contact, member, merge
from tests.integration.test_launch_runner import SEGMENT, campaign, events_of, job
from tests.support.builders import cid
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

A, B, C, D, E = sorted((f"external_id:p{n}" for n in range(5)), key=cid)
"""In the order in which a launch comes to them."""


class Step:
    """A sender that runs one page at a time; ``again`` is a new sender without memory."""

    def __init__(self, pipe: ReadPipeline, job: LaunchJob) -> None:
        self._pipe, self._control, self._jobs, self._first = pipe, ControlState(), LaunchJobs(), job
        self._control.apply(*encode("campaign", campaign()))
        self._jobs.apply(*encode(KIND, job))
        self.again()

    def again(self) -> None:
        self._runner = LaunchRunner(self._pipe.settings, self._control, self._jobs)

    async def page(self) -> LaunchJob:
        await self._runner._pages()
        current = self._jobs.get(self._first.workspace, self._first.environment, self._first.id)
        assert current is not None
        return current

    async def close(self) -> None:
        await self._runner._connections.close()


async def merged(pipe: ReadPipeline, loser: str, winner: str, version: int) -> None:
    """Stores a merge's rows as the stages do: the override, the contacts, the memberships."""
    await pipe.store(OVERRIDES, merge(loser, winner, version))
    profile: dict[str, Any] = {"email": f"{winner[-2:]}@x.io", "consents": {"email": True}}
    whole = contact(winner, loser, version=version, **profile)
    await pipe.store(CONTACTS, contact(loser, version=version, into=cid(winner)), whole)
    left, stays = member(loser, SEGMENT, version, is_member=False), member(winner, SEGMENT, version)
    await pipe.store(MEMBERSHIP_CHANGES, left, stays)


@pytest.mark.parametrize("by", ["memory", "table", "rule"])
async def test_a_person_is_reached_once(
    kafka: str, clickhouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(runner, "PAGE", 2)
    settings = fresh_settings(tmp_path, kafka=kafka, clickhouse=clickhouse)
    audience = (
        Audience(rule={"identifier": "external_id", "op": "exists"}) if by == "rule" else Audience(segment=SEGMENT)
    )
    sample = job(1, audience=audience).model_copy(update={"created_ms": time.time_ns() // 1_000_000})
    async with reads(settings) as pipe:
        people = [contact(name, email=f"{name[-2:]}@x.io", consents={"email": True}) for name in (A, B, C, D, E)]
        await pipe.store(CONTACTS, *people)
        await pipe.store(MEMBERSHIP_CHANGES, *(member(name, SEGMENT, 1) for name in (A, B, C, D, E)))
        step = Step(pipe, sample)
        try:
            assert (await step.page()).launched == 2
            if by == "table":
                made: list[Event] = await events_of(pipe, sample)
                await pipe.store(EVENTS, *made)
                await step.close()
                step.again()
            await merged(pipe, A, D, 2)  # the launch has reached A, and has not come to D yet
            await merged(pipe, C, B, 3)  # the launch has reached B, and has not come to C yet
            while not (done := await step.page()).done_ms:
                pass
        finally:
            await step.close()
        sent = Counter(event["contact_id"] for event in await events_of(pipe, sample))
        assert sent == Counter({cid(A): 1, cid(B): 1, cid(E): 1})
        assert (done.launched, done.skipped.get("gone", 0)) == (3, 2 if by == "rule" else 1)
