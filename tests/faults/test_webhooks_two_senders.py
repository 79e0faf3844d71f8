"""Two senders of webhooks on one cluster, each with a home of its own: one is at work, and nothing is sent twice."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from aiokafka.errors import ProducerFenced

from deploy.local.stack import environment
from schemas import topics
from schemas.records import codec
from schemas.records.deliveries import PENDING, WebhookDelivery
from schemas.settings import Settings
from sinks.delivery.lease import Claim
from sinks.webhooks.delivery_log import DeliveryLog
from tests.support import services
from tests.support.builders import event
from tests.support.services import fresh_settings
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Answer, Got, receiver
from tests.support.webhook_sender import Upstream, upstream, webhook

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

SESSION_S = 6.0
RETRIED = 8
"""Few enough for all of them to be due at once."""
STANDS_BY = "standing by"


@contextmanager
def sender(settings: Settings, *, stands_by: bool = False) -> Iterator["Popen[bytes]"]:
    """A sender from when it is at work, or stands by, until the block ends."""
    ready, log = settings.home / f"{time.monotonic_ns()}.ready", settings.home / "webhooks.log"
    before = log.read_text().count(STANDS_BY) if log.exists() else 0

    def has_begun() -> bool:
        return log.read_text().count(STANDS_BY) > before if stands_by else ready.exists()

    variables = environment(settings) | {"HEADWATER_READY_FILE": str(ready)}
    command = (sys.executable, "-m", "sinks", "webhooks")
    with services.child(command, log=log, ready=has_begun, env=variables) as child:
        try:
            assert ready.exists() != stands_by
            yield child
        finally:
            child.send_signal(signal.SIGCONT)


class Endpoint:
    """Refuses each event of some types once, and counts what it took."""

    def __init__(self, *refused_once: str) -> None:
        self._refused_once = refused_once
        self.requests: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()

    async def decide(self, got: Got) -> Answer:
        message_id = got.json["id"]
        self.requests[message_id] += 1
        if got.json["type"] in self._refused_once and self.requests[message_id] == 1:
            return 503, b""
        self.taken[message_id] += 1
        return 200, b""


async def happen(up: Upstream, kind: str, count: int) -> set[str]:
    ids = [f"evt_{kind}_{n}" for n in range(count)]
    for n, message_id in enumerate(ids):
        await up.events(event(f"external_id:p{n}", event_id=message_id, type=kind))
    return set(ids)


@pytest.mark.timeout(150)
async def test_one_of_two_senders_works_and_the_other_takes_over(
    kafka: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    shared = {"webhook_allow_private": True, "session_timeout_s": SESSION_S}
    first = fresh_settings(tmp_path / "a", kafka=kafka).model_copy(update=shared)
    second = first.model_copy(update={"home": tmp_path / "b"})
    answering = Endpoint("retried")

    async def all_taken(expected: set[str], why: str) -> float:
        began = time.monotonic()

        async def done() -> bool:
            return answering.taken.keys() >= expected

        await eventually(done, why, within_s=40)
        return time.monotonic() - began

    async with upstream(first) as up, receiver(answering.decide) as endpoint:
        hook = await up.define(webhook(endpoint.url()))

        async def logged(count: int, status: str) -> None:
            async def are() -> bool:
                return sum(d["status"] == status for d in (await up.deliveries(hook)).values()) >= count

            await eventually(are, f"{count} deliveries are {status}")

        with ExitStack() as stack:
            a = await asyncio.to_thread(stack.enter_context, sender(first))
            b = await asyncio.to_thread(stack.enter_context, sender(second, stands_by=True))
            expected = await happen(up, "shared", 100)
            await all_taken(expected, "the holder works while the other stands by")
            retried = await happen(up, "retried", RETRIED)
            await logged(100, "succeeded")
            await logged(RETRIED, PENDING)

            # with retries in its queue the first one sleeps, past its session and past the times of the retries
            a.send_signal(signal.SIGSTOP)
            expected |= await happen(up, "asleep", 100)
            slept_s = await all_taken(expected | retried, "the other takes over from one that is stopped")
            a.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(a.wait, 20) == os.EX_TEMPFAIL
            expected |= await happen(up, "awake", 50)
            await all_taken(expected, "the new holder goes on")

            await asyncio.to_thread(stack.enter_context, sender(first, stands_by=True))
            await logged(250 + RETRIED, "succeeded")
            b.kill()
            expected |= await happen(up, "killed", 50)
            killed_s = await all_taken(expected, "the first one takes over from one that was killed")
    say(f"webhooks: another sender took over within {slept_s:.1f} s of a stop and {killed_s:.1f} s of a kill")
    assert answering.taken.keys() == expected | retried
    assert set(answering.taken.values()) == {1}, "nothing is doubled"
    assert {answering.requests[message_id] for message_id in retried} == {2}
    assert {answering.requests[message_id] for message_id in expected} == {1}


@pytest.mark.timeout(90)
async def test_a_sender_that_is_told_to_stop_hands_over_before_its_session_ends(kafka: str, tmp_path: Path) -> None:
    shared = {"webhook_allow_private": True, "session_timeout_s": 300.0}
    first = fresh_settings(tmp_path / "a", kafka=kafka).model_copy(update=shared)
    second = first.model_copy(update={"home": tmp_path / "b"})
    answering = Endpoint()
    async with upstream(first) as up, receiver(answering.decide) as endpoint:
        await up.define(webhook(endpoint.url()))
        with ExitStack() as stack:
            a = await asyncio.to_thread(stack.enter_context, sender(first))
            await asyncio.to_thread(stack.enter_context, sender(second, stands_by=True))
            a.terminate()
            assert await asyncio.to_thread(a.wait, 20) == 0
            expected = await happen(up, "left", 20)

            async def arrived() -> bool:
                return answering.taken.keys() >= expected

            await eventually(arrived, "the other one takes over", within_s=40)
    assert answering.requests == Counter(expected)


@pytest.mark.timeout(60)
async def test_the_broker_refuses_what_an_older_sender_has_in_hand(kafka: str, tmp_path: Path) -> None:
    settings = fresh_settings(tmp_path, kafka=kafka)

    async def journal() -> tuple[Claim, DeliveryLog]:
        claim = Claim(settings)
        await claim.start()
        delivery_log = DeliveryLog(settings, claim)
        await delivery_log.start()
        return claim, delivery_log

    def state(number: int, attempts: int) -> WebhookDelivery:
        return WebhookDelivery(
            id=f"dlv_{number}",
            webhook_id="whk_1",
            workspace="w",
            environment="production",
            contact_id=f"c{number}",
            event_id="evt",
            type="t",
            seq=1,
            status=PENDING,
            attempts=attempts,
            due_ms=1,
            updated_ms=1,
            body=b"{}",
        )

    async with upstream(settings) as up:
        older_claim, older = await journal()
        await older._send([older.state(state(n, 1)) for n in range(40)])
        renewing = asyncio.create_task(older_claim.renew(0.2))
        await asyncio.sleep(1)
        assert not renewing.done(), "renewing keeps the claim"
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await older._send([older.state(state(n, 2)) for n in range(40)])
        newer_claim, newer = await journal()
        for n in range(40):
            with pytest.raises(ProducerFenced):
                await older._send([older.state(state(n, 3))])
        await newer._send([newer.state(state(n, 4)) for n in range(20)])
        records = [record for record in await up.records(topics.DELIVERIES) if record.value]
        for part in (older, newer, older_claim, newer_claim):
            await part.stop()
    counts = {row["id"]: row["attempts"] for row in (codec.decode_delivery(record.value) for record in records)}
    assert counts == {f"dlv_{n}": 4 if n < 20 else 2 for n in range(40)}
