"""Bodies of requests that wait: each counts until it is answered, however it came in, and all of it is given back."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest.http import body, idempotency
from schemas.record_batches import Headers
from tests.support.edge import PUBLIC, SECRET, MemoryLog, client_of, memory_edge

MIB = 1024 * 1024


class _SlowLog(MemoryLog):
    """Takes nothing before ``open`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()

    async def publish(self, partition: int, record: bytes, headers: Headers) -> None:
        await self.open.wait()
        await super().publish(partition, record, headers)


@pytest.mark.parametrize("key", ["the same", "others"])
async def test_repeatable_requests_that_wait_are_bounded_in_bytes(tmp_path: Path, key: str) -> None:
    log = _SlowLog()
    events = [{"type": "e", "user_id": f"u{n}", "properties": {"t": "x" * 200_000}} for n in range(20)]

    async def send(client: httpx.AsyncClient, number: int) -> int:
        headers = PUBLIC | {"Idempotency-Key": key if key == "the same" else f"{key} {number}"}
        return (await client.post("/v1/events/batch", json={"events": events}, headers=headers)).status_code

    async with client_of(memory_edge(tmp_path, log, publish_deadline_s=30)) as client:
        tasks = [asyncio.create_task(send(client, number)) for number in range(12)]
        await asyncio.sleep(0.5)
        assert idempotency._REPEATABLE.held + body.SERVED.held <= 64 * MIB
        assert sum(task.done() and task.result() == 503 for task in tasks) >= 3
        log.open.set()
        answers = await asyncio.gather(*tasks)
    assert set(answers) == {202, 503}
    assert (idempotency._REPEATABLE.held, body.SERVED.held) == (0, 0)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/v1/contacts", {"external_id": "u", "attributes": "x" * 100_000}),
        ("/v1/segments", {"name": "s", "rule": {"all": [], "note": "x" * 100_000}}),
        ("/v1/segments/preview", {"rule": "x" * 100_000}),
        ("/graphql", {"query": "x" * 100_000}),
        ("/v1/receivers/sendgrid/rcv_none", [{"t": "x" * 100_000}]),
    ],
)
async def test_a_large_body_of_a_page_is_given_back_whatever_the_answer(
    tmp_path: Path, path: str, content: Any
) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        answer = await client.post(f"{path}?timeout_ms=100", json=content, headers=SECRET)
    assert answer.status_code in (202, 400, 404, 422, 503), answer.text
    assert body.SERVED.held == 0
