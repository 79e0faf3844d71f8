"""Contacts leave a segment because time passes: each within its second, also when the worker was killed meanwhile."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from schemas.records.records import Change
from tests.support.comparison import create_live_segments
from tests.support.membership_feed import follow_memberships
from tests.support.stack import LocalStack, local_stack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
PEOPLE, WINDOW_S = 200, 14
SPREAD_S, KILL_AFTER_S = 10.0, 6.0
"""The first is due four seconds after the events are sent, the last ten seconds later."""
BACK_S = 30.0
LATE_S = 3.0
"""Half a second is promised; the rest is for a machine that is busy with something else."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("due")) as running:
        yield running


class Moves:
    """When each contact was told to have left, in epoch seconds."""

    def __init__(self, segment: str) -> None:
        self.left: dict[str, float] = {}
        self._segment = segment

    def seen(self, record: Any, change: Change) -> None:
        if change["segment_id"] == self._segment and not change["member"]:
            self.left.setdefault(change["contact_id"], record.timestamp / 1000)


async def test_everybody_leaves_within_their_second_though_the_worker_is_killed(
    stack: LocalStack, say: Callable[[str], None]
) -> None:
    segments = await create_live_segments(stack, {"lately": {"event": "visited", "within": f"{WINDOW_S}s"}})
    moves = Moves(segments["lately"])
    watching = asyncio.create_task(follow_memberships(stack, moves.seen, since="earliest"))
    began_s = time.time()
    visits: list[dict[str, Any]] = [
        {"type": "visited", "user_id": f"due{n}", "timestamp": int((began_s - SPREAD_S * (1 - n / PEOPLE)) * 1000)}
        for n in range(PEOPLE)
    ]
    async with stack.client() as client:
        answer = await client.post("/v1/events/batch?sync=true&timeout_ms=10000", json={"events": visits})
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(began_s + KILL_AFTER_S - time.time())
        os.kill(stack.pid("segments"), signal.SIGKILL)
        killed_s = time.time()
        with suppress(TimeoutError):  # who did not leave is counted below
            await eventually(lambda: len(moves.left) == PEOPLE, "all leave", WINDOW_S + BACK_S)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        late_s = {}
        for visit in visits:
            contact = (await client.get(f"/v1/contacts/external_id:{visit['user_id']}")).json()["id"]
            late_s[contact] = moves.left[contact] - (visit["timestamp"] / 1000 + WINDOW_S)
    assert len(moves.left) == PEOPLE, stack.log_tails()
    assert min(late_s.values()) >= 0, "nobody leaves before their time"
    back_s = min(at for at in moves.left.values() if at > killed_s + 0.2)
    undisturbed = [s for contact, s in late_s.items() if not killed_s - 1 < moves.left[contact] - s < back_s + 1]
    caught_up = [s for contact, s in late_s.items() if killed_s < moves.left[contact] - s < back_s]
    say(
        f"faults: exits by time: {len(undisturbed)} at most {max(undisturbed):.2f} s late; the worker was away for"
        f" {back_s - killed_s:.1f} s, {len(caught_up)} that were due then left at most {max(caught_up):.2f} s late"
    )
    assert len(undisturbed) > PEOPLE // 10
    assert caught_up, "somebody was due while the worker was away"
    assert max(undisturbed) < LATE_S
