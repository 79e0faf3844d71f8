"""A request with an `Idempotency-Key`: answered once, whatever happens in between."""

import asyncio
import gzip
import zlib
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from ingest.http.idempotency import KEPT_MS, IdempotencyStore
from schemas.service.web import Message
from tests.support.edge import PUBLIC, SECRET, MemoryLog, client_of, memory_edge

EVENT = {"type": "seen", "user_id": "u"}


async def post(client: httpx.AsyncClient, key: str, body: Any = EVENT, **headers: str) -> httpx.Response:
    return await client.post("/v1/events", json=body, headers={**SECRET, "Idempotency-Key": key, **headers})


async def test_the_first_answer_again_and_nothing_sent(tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        first = await post(client, "a")
        again = await post(client, "a")
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.content == again.content
        assert first.headers["x-request-id"] != again.headers["x-request-id"]
        assert len(again.headers.get_list("x-request-id")) == 1
        assert len(log.events) == 1
        other = await post(client, "a", {"type": "other", "user_id": "u"})
        assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
        assert (await post(client, "b")).json()["event_id"] != first.json()["event_id"]


async def test_requests_at_the_same_time_are_one(tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        answers = await asyncio.gather(*(post(client, "a") for _ in range(20)))
    assert len({a.content for a in answers}) == 1
    assert len(log.events) == 1


async def test_it_outlives_a_restart(tmp_path: Path) -> None:
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    async with client_of(edge) as client:
        first = await post(client, "a")
    edge.idempotency.close()
    edge.merge_map.close()
    async with client_of(memory_edge(tmp_path, log)) as client:
        assert (await post(client, "a")).content == first.content
    assert len(log.events) == 1


async def test_after_a_503_the_same_event_comes_again(tmp_path: Path) -> None:
    """Nobody knows whether the first try was stored, so the second must be the same event."""
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path / "one", log)) as client:
        log.down = True
        assert (await post(client, "a")).status_code == 503
        log.down = False
        taken = await post(client, "a")
        assert taken.status_code == 202
    async with client_of(memory_edge(tmp_path / "two", log)) as client:
        elsewhere = await post(client, "a")
    assert elsewhere.json()["event_id"] == taken.json()["event_id"]
    batch = [EVENT, EVENT]
    async with client_of(memory_edge(tmp_path / "three", log)) as client:
        answer = await client.post("/v1/events/batch", json=batch, headers={**SECRET, "Idempotency-Key": "b"})
        assert len({r["event_id"] for r in answer.json()["results"]}) == 2


async def test_what_was_refused_may_be_tried_again(tmp_path: Path) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        assert (await post(client, "a", {"user_id": "u"})).status_code == 422
        assert (await post(client, "a")).status_code == 202


async def test_another_key_is_another_request(tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        first = await post(client, "a")
        second = await client.post("/v1/events", json=EVENT, headers={**PUBLIC, "Idempotency-Key": "a"})
        assert second.json()["event_id"] != first.json()["event_id"]
        unknown = await post(client, "a", Authorization="Bearer sk_nobody")
        assert unknown.status_code == 401, "what was answered to one is not told another"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x7fb"])
async def test_a_key_that_is_none(tmp_path: Path, key: str) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        answer = await post(client, key)
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, "Idempotency-Key")
        assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


async def test_a_body_that_is_packed_or_too_large(tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log, max_body_bytes=2000)) as client:
        packed = gzip.compress(orjson.dumps(EVENT))
        headers = {**SECRET, "Idempotency-Key": "a", "Content-Encoding": "gzip", "Content-Type": "application/json"}
        assert (await client.post("/v1/events", content=packed, headers=headers)).status_code == 202
        assert (await client.post("/v1/events", content=packed, headers=headers)).status_code == 202
        assert len(log.events) == 1
        large = await post(client, "b", {**EVENT, "properties": {"a": "x" * 3000}})
        assert large.status_code == 413


def test_a_day_later_it_is_forgotten(tmp_path: Path) -> None:
    answers = IdempotencyStore(tmp_path)
    messages: list[Message] = [
        {"type": "http.response.start", "status": 201, "headers": [(b"X-Request-Id", b"r"), (b"a", b"\xff")]},
        {"type": "http.response.body", "body": b"one\ntwo"},
    ]
    answers.put(b"n", "digest", messages, 1000)
    answer = answers.get(b"n", 1000 + KEPT_MS - 1)
    assert answer is not None
    assert answer[0] == "digest"
    assert answer[1][0]["headers"] == [(b"a", b"\xff")]
    assert answer[1][1]["body"] == b"one\ntwo"
    assert answers.get(b"n", 1000 + KEPT_MS) is None
    assert answers.get(b"other", 1000) is None


async def test_a_retry_that_was_packed_anew_is_the_same_request(tmp_path: Path) -> None:
    """Gzip writes the time into its header, and another level other bytes."""
    body = orjson.dumps({"type": "t", "user_id": "u", "properties": {"text": "a" * 500}})
    packed = [gzip.compress(body, 1, mtime=1), gzip.compress(body, 9, mtime=2), zlib.compress(body), body]
    codings = ["gzip", "x-gzip", "deflate", "identity"]
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        answers = []
        for content, coding in zip(packed, codings, strict=True):
            headers = SECRET | {
                "Idempotency-Key": "k1",
                "Content-Encoding": coding,
                "Content-Type": "application/json",
            }
            answers.append(await client.post("/v1/events", content=content, headers=headers))
        other = await client.post("/v1/events", content=body[:-1] + b" }", headers=headers)
    assert [answer.status_code for answer in answers] == [202] * 4
    assert len({answer.content for answer in answers}) == 1
    assert len(log.events) == 1
    assert other.status_code == 409


async def test_a_body_that_cannot_be_unpacked_is_refused_as_without_a_key(tmp_path: Path) -> None:
    headers = SECRET | {"Idempotency-Key": "k1", "Content-Encoding": "gzip"}
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        for _ in range(2):
            answer = await client.post("/v1/events", content=b"no gzip", headers=headers)
            assert answer.status_code == 400
            assert answer.json()["error"]["code"] == "invalid_encoding"
