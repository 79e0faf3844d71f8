"""Bytes that are no record, sent to every topic of a running stack, changelogs included: it goes on, and restarts."""

import asyncio
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from schemas import topics
from tests.support.stack import LocalStack, command, local_stack

pytestmark = pytest.mark.faults

POISON = [
    (b"poison", b"poison"),
    (b"\xff\xfe/key/\x00", b"\xc3\x01garbage-garbage"),
    (b"local/progress/seg.x", b"{}"),
    (None, b"[" * 3000),
    (b"cnt_", b"\x00" * 40),
]


async def test_poison_on_every_topic_stops_no_process_and_no_restart(tmp_path: Path) -> None:
    with local_stack(tmp_path) as stack:
        await _event_goes_through(stack, "before")
        pids = {name: process.pid for name, process in stack.processes().items()}
        await _poison(stack)
        await _event_goes_through(stack, "after")
        assert {name: process.pid for name, process in stack.processes().items()} == pids, stack.log_tails()
        assert command(stack.settings, "down").returncode == 0
        up = command(stack.settings, "up")
        assert up.returncode == 0, f"{up.stdout}{up.stderr}\n{stack.log_tails()}"
        await _event_goes_through(stack, "restarted")
        async with stack.client() as client:
            pages = [(await client.get(f"/v1/quarantine?limit=100&page={page}")).json()["data"] for page in range(1, 5)]
        assert {row["topic"] for listed in pages for row in listed} >= {
            "events",
            "resolved",
            "links",
            "merges",
            "absorbs",
        }


async def _poison(stack: LocalStack) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.settings.bootstrap)
    await producer.start()
    try:
        for topic in topics.catalogue(stack.settings):
            for partition in range(topics.partition_count(topic, stack.settings)):
                for key, value in POISON:
                    if key is None and topic.retention_ms is None:
                        continue  # a compacted topic takes no record without a key
                    await producer.send_and_wait(topic.name, value, key=key, partition=partition)
    finally:
        await producer.stop()


async def _event_goes_through(stack: LocalStack, name: str) -> None:
    """A new segment, and an event that is stored and makes its sender a member of it."""
    async with stack.client() as client:
        created = await client.post("/v1/segments", json={"name": name, "rule": {"event": name}})
        assert created.status_code == 201, created.text
        for _ in range(30):
            event = {"type": name, "user_id": f"u-{name}"}
            answer = await client.post("/v1/events?sync=true&timeout_ms=10000", json=event)
            if answer.status_code == 200 and await _is_member(client, created.json()["id"], name):
                return
            await asyncio.sleep(0.5)
        raise AssertionError(f"{name}: {answer.status_code} {answer.text}\n{stack.log_tails()}")


async def _is_member(client: httpx.AsyncClient, segment_id: str, name: str) -> bool:
    members = (await client.get(f"/v1/segments/{segment_id}/contacts")).json()["data"]
    return any(member["external_id"] == f"u-{name}" for member in members)
