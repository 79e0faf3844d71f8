"""A backup is made under load, everything is lost, and a new Kafka and ClickHouse are made of it: counts agree."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from deploy.local.stack import environment
from schemas import topics
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from tests.support import services
from tests.support.comparison import create_segments, rows, settled
from tests.support.object_storage import BUCKET, KEY, SECRET, object_storage
from tests.support.sent_ledger import RULES, SentLedger, deliver, make_events
from tests.support.services import ROOT
from tests.support.stack import LocalStack, local_stack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver, receiver

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
BEFORE, MOST, SLICE, PER_SECOND, SEED = 2_000, 40_000, 400, 200, 31


@dataclass(frozen=True, slots=True)
class Place:
    """Where the backup is made, as the command has it, and the variables for that."""

    name: str
    variables: Mapping[str, str]


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        yield Place(str(tmp_path / "backup"), {})
        return
    with object_storage(tmp_path) as storage:
        yield Place(f"s3://{BUCKET}/nightly/1", storage.variables())
        names = storage.names("nightly/1/")
        assert "nightly/1/manifest.json" in names
        assert any("/data/headwater/events/" in name for name in names), "ClickHouse's own"


def headwater(settings: Settings, *words: str, place: Place) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words, place.name],
        cwd=ROOT,
        env={**os.environ, **environment(settings), **place.variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


async def forget_the_first(stack: LocalStack, topic: topics.Topic, count: int) -> None:
    """As its retention would."""
    admin = AIOKafkaAdminClient(**connection(stack.settings))
    await admin.start()
    try:
        place = TopicPartition(topics.name(topic, stack.settings), 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=count)})
    finally:
        await admin.close()


async def stored(stack: LocalStack) -> set[str]:
    return {
        event_id
        for (event_id,) in await rows(stack, f"SELECT event_id FROM events WHERE startsWith(event_id, 'e{SEED}-')")
    }


async def test_what_was_acknowledged_before_is_there_and_nothing_twice(
    tmp_path: Path, place: Place, say: Callable[[str], None]
) -> None:
    async with receiver() as endpoint:
        await _expect_all_after_a_loss(tmp_path, place, endpoint, say)


async def _expect_all_after_a_loss(
    tmp_path: Path, place: Place, endpoint: WebhookReceiver, say: Callable[[str], None]
) -> None:
    before = SentLedger()
    events = make_events(SEED, MOST, people=500, now_ms=time.time_ns() // 1_000_000)
    with local_stack(tmp_path / "lost", webhook_allow_private=True) as stack:
        segments = await create_segments(stack, RULES)
        async with stack.client() as client:
            hook = await client.post("/v1/webhooks", json={"url": endpoint.url(), "types": ["order_completed"]})
            assert hook.status_code == 201, hook.text
        await deliver(stack.settings.port, events[:BEFORE], before, per_second=2 * PER_SECOND)
        orders = sum(event.get("event") == "order_completed" for event in before.events.values())
        await eventually(lambda: len(endpoint.got) >= orders, "each order is told", within_s=60)
        delivered = {got.json["id"] for got in endpoint.got}
        await forget_the_first(stack, topics.RESOLVED, 3)
        during = SentLedger()
        backing_up = asyncio.create_task(asyncio.to_thread(headwater, stack.settings, "backup", place=place))
        began = time.monotonic()
        for first in range(BEFORE, MOST, SLICE):
            await deliver(stack.settings.port, events[first : first + SLICE], during, per_second=PER_SECOND)
            if backing_up.done():
                break
        made, took = await backing_up, time.monotonic() - began
        assert made.returncode == 0, made.stderr
        events = events[: BEFORE + len(during.events)]
        again = headwater(stack.settings, "backup", place=place)
        assert again.returncode != 0
        assert "is not empty" in again.stderr
        refused = headwater(stack.settings, "restore", place=place)
        assert refused.returncode != 0
        assert "remove" in refused.stderr
    if not place.variables:
        assert Path(place.name).stat().st_mode & 0o077 == 0
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(stack.settings.home / "secret.key", tmp_path)  # a backup has no key: it is kept elsewhere
    shutil.rmtree(tmp_path / "lost")
    for answer in (made, again, refused):
        assert SECRET not in answer.stderr
        assert KEY not in answer.stderr
    say(f"faults: a backup under {PER_SECOND} events/s took at most {took:.1f} s; {made.stderr.splitlines()[-1]}")

    with (
        services.kafka(tmp_path / "new", "", say) as kafka,
        services.clickhouse(tmp_path / "new", "") as clickhouse,
    ):
        given: dict[str, Any] = {"kafka_bootstrap_servers": kafka.address, "clickhouse_url": clickhouse.address}
        settings = services.fresh_settings(home).model_copy(
            update={"topic_prefix": "", "clickhouse_database": "headwater", **given}
        )
        await asyncio.to_thread(_expect_restored, settings, place, tmp_path / "secret.key")
        with local_stack(home, webhook_allow_private=True, **given) as stack:
            await _agree(stack, before, events, segments, say)
            orders = {event["event_id"] for event in events if event.get("event") == "order_completed"}
            await eventually(
                lambda: len({got.json["id"] for got in endpoint.got}),
                f"{len(orders)} orders are told",
                60,
                meets=lambda told_now: told_now >= len(orders),
                every_s=0.5,  # each look reads all of them
            )
        times = Counter(got.json["id"] for got in endpoint.got)
        assert len(times) == len(orders), "each order is told"
        assert {message_id: times[message_id] for message_id in delivered if times[message_id] > 1} == {}, (
            "what was told before is told once"
        )


def _expect_restored(settings: Settings, place: Place, secret_key: Path) -> None:
    """Once, into what is empty, and where the key of then is."""
    sealed = headwater(settings, "restore", place=place)
    assert sealed.returncode != 0
    assert "1 webhooks and receivers are sealed with a key that is not here" in sealed.stderr
    shutil.move(secret_key, settings.home)
    done = headwater(settings, "restore", place=place)
    assert done.returncode == 0, done.stderr
    twice = headwater(settings, "restore", place=place)
    assert twice.returncode != 0
    assert "is not empty" in twice.stderr


async def _agree(
    stack: LocalStack,
    before: SentLedger,
    events: list[dict[str, object]],
    segments: dict[str, str],
    say: Callable[[str], None],
) -> None:
    """What is stored is a recount's, then too when everything is sent once more, as SDKs do that had no answer."""

    async def has_all() -> bool:
        return await stored(stack) >= before.events.keys()

    deadline = time.monotonic() + 120
    while not await has_all() and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    seen = -1
    while seen != (seen := len(await stored(stack))):
        await asyncio.sleep(3)
    stored_ids = await stored(stack)
    say(f"faults: {len(before.events)} events were acknowledged before the backup, {len(stored_ids)} are in it")
    assert stored_ids >= before.events.keys(), (
        f"lost: {sorted(before.events.keys() - stored_ids)[:5]}\n{stack.log_tails()}"
    )
    restored = SentLedger({event["event_id"]: event for event in events if event["event_id"] in stored_ids})
    problems = await settled(stack, restored, segments, within_s=90)
    assert not problems, f"{problems}\n{stack.log_tails()}"
    everything = SentLedger()
    await deliver(stack.settings.port, events, everything, per_second=2 * PER_SECOND)
    problems = await settled(stack, everything, segments, within_s=120)
    assert not problems, f"{problems}\n{stack.log_tails()}"
