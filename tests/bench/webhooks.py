"""A running stack in; deliveries/s to a local receiver, the delay of one, and the cost of waiting ones out."""

import asyncio
import secrets
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from tests.bench.pipeline import define, quantiles, rss_mb, watch_changes
from tests.support.load_client import flood, paced, request
from tests.support.stack import LocalStack
from tests.support.webhook_receiver import WebhookReceiver, receiver

NOBODY = "http://127.0.0.1:9/"


async def _subscribe(stack: LocalStack, url: str, kind: str) -> str:
    async with stack.client() as client:
        answer = await client.post("/v1/webhooks", json={"url": url, "types": [kind]})
        answer.raise_for_status()
        return str(answer.json()["id"])


async def _remove(stack: LocalStack, webhook: str) -> None:
    async with stack.client() as client:
        (await client.delete(f"/v1/webhooks/{webhook}")).raise_for_status()


async def _send(stack: LocalStack, kind: str, count: int) -> None:
    batches = (
        request("/v1/events/batch", {"events": [{"type": kind, "user_id": f"hooked{b * 100 + n}"} for n in range(100)]})
        for b in range(count // 100)
    )
    await flood(stack.settings.port, batches, connections=4, seconds=600)


async def _arrived(endpoint: WebhookReceiver, count: int) -> None:
    deadline = time.perf_counter() + 300
    while len(endpoint.got) < count and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)


async def throughput(stack: LocalStack, count: int) -> dict[str, Any]:
    """Measures from the first arrival to the last; the pipeline before it uses the same cores."""
    kind = f"hook {secrets.token_hex(4)}"
    process = stack.processes()["webhooks"]
    async with receiver() as endpoint:
        webhook = await _subscribe(stack, endpoint.url(), kind)
        before = sum(process.cpu_times()[:2])
        await _send(stack, kind, count)
        await _arrived(endpoint, count)
        used = sum(process.cpu_times()[:2]) - before
        seconds = endpoint.got[-1].at_s - endpoint.got[0].at_s
        await _remove(stack, webhook)
    return {
        "deliveries": count,
        "arrived": len({got.headers["altacee-event-id"] for got in endpoint.got}),
        "requests": len(endpoint.got),
        "per_s": round(len(endpoint.got) / seconds),
        "cpu_us_each": round(used / len(endpoint.got) * 1e6),
    }


async def latency(stack: LocalStack, per_second: int, seconds: int) -> dict[str, Any]:
    """Measures the delay to the request's arrival: from a change on `changes`, and from its event's intended time."""
    kind, count = f"entry {secrets.token_hex(4)}", per_second * seconds
    await define(stack, kind)
    ids = [f"{kind}-{n}" for n in range(count)]
    requests = [request("/v1/events", {"type": kind, "user_id": i, "event_id": i}) for i in ids]
    member: dict[str, float] = {}
    async with receiver() as endpoint:
        webhook = await _subscribe(stack, endpoint.url(), "segment.entered")
        watcher = asyncio.create_task(watch_changes(stack, kind, member, count))
        await asyncio.sleep(1)
        began = time.perf_counter()
        due = {i: began + n / per_second for n, i in enumerate(ids)}
        await paced(stack.settings.port, requests, per_second=per_second, connections=16)
        await _arrived(endpoint, count)
        await asyncio.wait([watcher], timeout=10)
        watcher.cancel()
        await _remove(stack, webhook)
    arrivals = {got.json["data"]["event_id"]: got.at_s for got in endpoint.got}
    return {
        "per_s": per_second,
        "arrived": len(arrivals),
        "change to arrival": quantiles([max(0.0, at - member[i]) * 1000 for i, at in arrivals.items() if i in member]),
        "event to arrival": quantiles([(at - due[i]) * 1000 for i, at in arrivals.items() if i in due]),
    }


async def pending(stack: LocalStack, count: int) -> dict[str, Any]:
    """Measures the sender's memory while this many deliveries wait for an unreachable endpoint."""
    kind = f"wait {secrets.token_hex(4)}"
    process = stack.processes()["webhooks"]
    before, already = rss_mb(process), await _deliveries(stack)
    webhook = await _subscribe(stack, NOBODY, kind)
    began = time.perf_counter()
    await _send(stack, kind, count)
    while await _deliveries(stack) - already < count and time.perf_counter() - began < 300:
        await asyncio.sleep(0.2)
    seconds = time.perf_counter() - began
    await asyncio.sleep(2)
    waiting = rss_mb(process)
    await _remove(stack, webhook)
    return {"pending": count, "planned_per_s": round(count / seconds), "rss_mb": {"before": before, "while": waiting}}


async def _deliveries(stack: LocalStack) -> int:
    """Counts records on `deliveries`: the planned deliveries, and a few records of attempts."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.settings.bootstrap)
    name = topics.name(topics.DELIVERIES, stack.settings)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(name, p) for p in range(stack.settings.partitions)])
        return int(sum(ends.values()))
    finally:
        await consumer.stop()


async def measure(stack: LocalStack, *, quick: bool) -> dict[str, Any]:
    figures = {"latency": await latency(stack, 200, 3 if quick else 15)}
    figures["to a local receiver"] = await throughput(stack, 5_000 if quick else 20_000)
    figures["waiting"] = await pending(stack, 10_000 if quick else 100_000)
    return figures
