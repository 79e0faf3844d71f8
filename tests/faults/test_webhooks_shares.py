"""Two senders of webhooks at work at once: each has its contacts, and one that loses its disk repeats nothing sent."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from schemas.records.identity import partition_of
from schemas.settings import Settings
from sinks.delivery.lease import partitions_of
from tests.faults.test_webhooks_two_senders import RETRIED, Endpoint, happen, sender
from tests.support.builders import cid
from tests.support.services import fresh_settings
from tests.support.waiting import eventually
from tests.support.webhook_receiver import receiver
from tests.support.webhook_sender import upstream, webhook

pytestmark = [pytest.mark.kafka, pytest.mark.faults, pytest.mark.timeout(240)]
COUNT = 200


def share(settings: Settings, folder: Path, number: int) -> Settings:
    return settings.model_copy(update={"home": folder / f"sender-{number}", "worker": number})


def of_share(settings: Settings, ids: set[str]) -> set[str]:
    """Events of contacts that lie in this sender's partitions."""
    mine = set(partitions_of(settings))
    homes = {message_id: cid(f"external_id:p{message_id.rsplit('_', 1)[1]}") for message_id in ids}
    return {message_id for message_id, contact in homes.items() if partition_of(contact, settings.partitions) in mine}


async def test_each_share_is_sent_by_its_sender_once(kafka: str, tmp_path: Path, say: Callable[[str], None]) -> None:
    shared = {"webhook_allow_private": True, "session_timeout_s": 6.0, "webhook_senders": 2}
    settings = fresh_settings(tmp_path / "-", kafka=kafka).model_copy(update=shared)
    first, second = share(settings, tmp_path, 0), share(settings, tmp_path, 1)
    answering = Endpoint()

    async def taken(expected: set[str], why: str) -> None:
        async def are() -> bool:
            return answering.taken.keys() >= expected

        await eventually(are, why, within_s=60)

    async with upstream(settings) as up, receiver(answering.decide) as endpoint:
        hook = await up.define(webhook(endpoint.url()))

        async def logged(count: int) -> None:
            async def are() -> bool:
                return sum(d["status"] == "succeeded" for d in (await up.deliveries(hook)).values()) >= count

            await eventually(are, f"{count} deliveries are done", within_s=60)

        with ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, sender(first))
            alone = await happen(up, "alone", COUNT)
            mine = of_share(first, alone)
            assert 0 < len(mine) < COUNT
            await taken(mine, "the first sends its share")
            assert answering.taken.keys() == mine, "and nothing of the other's"

            b = await asyncio.to_thread(stack.enter_context, sender(second))
            await taken(alone, "the second sends its own")
            both = await happen(up, "both", COUNT)
            await taken(both, "both send")
            await logged(2 * COUNT)
            assert set(answering.requests.values()) == {1}

            b.kill()
            b.wait()
            shutil.rmtree(second.home)
            away = await happen(up, "away", COUNT)
            await taken(of_share(first, away), "the first goes on")
            await asyncio.to_thread(stack.enter_context, sender(second))
            await taken(away, "the second is back, with an empty disk")
            await logged(3 * COUNT)
            told_before = Counter(answering.requests)
            last = await happen(up, "last", 20)
            await taken(last, "both go on")
    say(f"webhooks: {len(mine)} of {COUNT} events were the first sender's")
    assert answering.requests == told_before | Counter(last)
    assert set(answering.requests.values()) == {1}, "nothing that was done is sent again"


async def test_a_disk_of_another_share_is_emptied(kafka: str, tmp_path: Path) -> None:
    shared = {"webhook_allow_private": True, "session_timeout_s": 6.0}
    alone = fresh_settings(tmp_path / "a", kafka=kafka).model_copy(update=shared)
    answering = Endpoint("refused")
    async with upstream(alone) as up, receiver(answering.decide) as endpoint:
        hook = await up.define(webhook(endpoint.url()))
        with ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, sender(alone))
            refused = await happen(up, "refused", RETRIED)

            async def wait() -> bool:
                return sum(d["attempts"] > 0 for d in (await up.deliveries(hook)).values()) == len(refused)

            await eventually(wait, "each was refused once", within_s=40)
        halves = alone.model_copy(update={"webhook_senders": 2})
        other = share(halves, tmp_path, 1)
        with ExitStack() as stack:
            for settings in (halves, other):
                await asyncio.to_thread(stack.enter_context, sender(settings))

            async def done() -> bool:
                return answering.taken.keys() >= refused

            await eventually(done, "each sender makes the second attempts of its share", within_s=60)
    assert {answering.requests[message_id] for message_id in refused} == {2}
    assert (alone.home / "state" / "webhooks.share").read_text() == "0/2"
