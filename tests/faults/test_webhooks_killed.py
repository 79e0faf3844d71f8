"""The sender of webhooks is killed again and again, once with its disk: what is due arrives, and nothing else."""

import asyncio
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.support.builders import NOW_MS, cid, event
from tests.support.forms import Form
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import change, process
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Answer, Got, receiver
from tests.support.webhook_sender import Upstream, upstream, webhook

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

SEED = 20_261_121
WITHOUT_DISK = 2
CONTACTS, EVENTS_EACH = 150, 12
REFUSED = 0.15


async def send(up: Upstream, seconds: float) -> set[tuple[str, str]]:
    """Everything that happens, evenly; what has to be told of it: contact and what."""
    expected = set()
    people = [f"external_id:p{n}" for n in range(CONTACTS)]
    for turn in range(EVENTS_EACH):
        for n, person in enumerate(people):
            contact = cid(person)
            if turn == 0:
                raw = orjson.dumps({"external_id": person, "created_ms": NOW_MS})
                entered = {"segment_id": "seg_1", "member": True, "segment_version": 1, "event_id": "", "at_ms": NOW_MS}
                again = {**entered, "reason": "restated"}
                await up.changes(
                    change(contact, "profile", 1, profile=raw),
                    change(contact, "membership", 2, reason="event", **entered),
                    change(contact, "membership", 3, **again),
                )
                expected |= {(contact, "contact.created"), (contact, "segment.entered")}
            made_event = event(person, event_id=f"evt_{turn}_{n}", type="happened")
            await up.events(*([made_event] * (1 + n % 2)))
            expected.add((contact, made_event["event_id"]))
            await asyncio.sleep(seconds / (EVENTS_EACH * CONTACTS))
    return expected


def what_of(got: Got) -> tuple[str, str]:
    body = got.json
    return body["data"]["contact_id"], body["id"] if body["type"] == "happened" else body["type"]


@pytest.mark.timeout(200)
async def test_every_delivery_arrives_whenever_the_sender_is_killed(
    kafka: str, tmp_path: Path, form: Form, say: Callable[[str], None]
) -> None:
    kills = form.number("kills of the sender of webhooks", short=4, full=8)
    rng = random.Random(SEED)
    settings = fresh_settings(tmp_path, kafka=kafka).model_copy(update={"webhook_allow_private": True})
    times: Counter[tuple[str, str]] = Counter()
    taken: Counter[tuple[str, str]] = Counter()

    async def decide(got: Got) -> Answer:
        what = what_of(got)
        times[what] += 1
        if times[what] == 1 and rng.random() < REFUSED:
            return 503, b""
        await asyncio.sleep(rng.random() * 0.02)
        taken[what] += 1
        return 200, b""

    plan = [0.05 + rng.random() for _ in range(kills)]
    async with upstream(settings) as up, receiver(decide) as endpoint:
        hook = await up.define(webhook(endpoint.url()))
        sending = asyncio.create_task(send(up, sum(plan) + kills))
        for turn, after in enumerate(plan):
            async with process(settings, "webhooks") as child:
                await asyncio.sleep(after)
                child.kill()
            if turn == WITHOUT_DISK:
                shutil.rmtree(tmp_path / "state" / "webhooks")
        async with process(settings, "webhooks"):
            expected = await sending
            began = time.monotonic()

            async def all_taken() -> bool:
                return expected <= taken.keys()

            await eventually(all_taken, f"everything arrives; plan {plan}", within_s=40)

            async def all_logged() -> bool:
                done = {a["delivery_id"] for a in await up.attempts(hook) if a["status"] == "succeeded"}
                return len(done) == len(expected)

            await eventually(all_logged, "everything is logged")
        log = await up.attempts(hook)
    ids = [got.attempt_id for got in endpoint.got]
    repeated = sum(taken.values()) - len(taken)
    say(
        f"webhooks: {len(expected)} deliveries, {len(ids)} requests, {repeated} taken again, "
        f"{kills} kills, settled {time.monotonic() - began:.1f} s after the last event"
    )
    assert taken.keys() == expected, "nothing is told that did not happen"
    assert len(set(ids)) == len(ids), "an attempt's id is never used again"
    assert {a["id"] for a in log} <= set(ids)
    assert len({a["delivery_id"] for a in log}) == len(expected), "no cause made a second delivery"
    assert {got.headers["webhook-id"] for got in endpoint.got} == {got.json["id"] for got in endpoint.got}
    assert len({got.json["id"] for got in endpoint.got}) == len(expected), "a message has one id"
    assert repeated < kills * 64, "a crash repeats what was under way, no more"
