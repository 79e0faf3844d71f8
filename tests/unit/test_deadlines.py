"""What does not answer is told with 503 and a Retry-After, in time, whatever it is that is silent."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from clickhouse_connect.driver.exceptions import DatabaseError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router

from ingest.events.publish import Publisher
from schemas.errors import ApiError
from schemas.service import web
from schemas.service.kafka import TailEndedError
from schemas.settings import Settings
from sinks.clickhouse import writer
from sinks.read_api.request.client import ClickHouseReader

LONG_S = 60.0


async def answer(endpoint: Callable[[Request], Awaitable[Response]], within_s: float = 0.05) -> httpx.Response:
    surface = web.ErrorMiddleware(Router([Route("/", endpoint)]), lambda _scope: within_s)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(surface), base_url="http://test") as client:
        return await client.get("/")


async def hang(_request: Request) -> Response:
    await asyncio.sleep(LONG_S)
    return Response()


async def test_a_read_that_is_not_answered_is_refused_at_its_deadline() -> None:
    began = time.monotonic()
    refused = await answer(hang)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
    assert refused.headers["retry-after"] == "1"
    assert time.monotonic() - began < LONG_S / 2


async def test_an_answer_that_has_begun_may_take_its_time() -> None:
    async def slow(_request: Request) -> Response:
        async def lines() -> Any:
            yield b"a"
            await asyncio.sleep(0.3)
            yield b"b"

        return StreamingResponse(lines())

    assert (await answer(slow)).content == b"ab"


@pytest.mark.parametrize("error", [KafkaConnectionError("gone"), TailEndedError("over"), TimeoutError()])
async def test_a_dependency_that_is_away_is_no_error_of_ours(error: Exception) -> None:
    async def fail(_request: Request) -> Response:
        raise error

    assert (await answer(fail)).status_code == 503


class Silent:
    """aiokafka's producer while the broker is frozen: the record lies in a batch that is never acknowledged."""

    def __init__(self) -> None:
        self.sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def send(self, *_args: Any, **_options: Any) -> "asyncio.Future[Any]":
        return self.sent


async def test_a_definition_that_kafka_does_not_acknowledge_is_refused(tmp_path: Path) -> None:
    publisher = Publisher(Settings(home=tmp_path, publish_deadline_s=0.05))
    producer = publisher._producer = Silent()
    with pytest.raises(ApiError) as refused:
        await publisher.send("control", b"{}", key=b"k")
    assert refused.value.status == 503
    assert not producer.sent.cancelled(), "the batch belongs to others too"


class Full:
    """A client of a ClickHouse that answers with this code; with 0 it is well."""

    def __init__(self, code: int) -> None:
        self.code = code

    async def query(self, *_args: Any, **_options: Any) -> Any:
        if not self.code:
            return SimpleNamespace(result_rows=[])
        error = DatabaseError(f"Code: {self.code}. DB::Exception: it says so")
        error.code = self.code
        raise error


async def test_a_sink_that_cannot_store_says_what_it_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAITS_S", (0.01, 0.01))
    sink = writer.Writer(Settings(home=tmp_path))
    full = sink._client = Full(243)  # type: ignore[assignment]
    asking = asyncio.create_task(sink.recent_ids("resolved", 1, 1))
    await asyncio.sleep(0.05)
    with pytest.raises(ApiError, match="query waits: Code: 243"):
        await sink.check()
    full.code = 0
    assert await asking == []
    await sink.check()


@pytest.mark.parametrize(("code", "refused"), [(243, True), (241, True), (236, True), (62, False)])
async def test_a_full_disk_of_the_database_is_no_error_of_ours(tmp_path: Path, code: int, refused: bool) -> None:
    reader = ClickHouseReader(Settings(home=tmp_path))
    reader._client = Full(code)  # type: ignore[assignment]
    with pytest.raises(ApiError if refused else DatabaseError):
        await reader.rows("SELECT 1")
