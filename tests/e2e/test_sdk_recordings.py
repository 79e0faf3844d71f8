"""Requests that SDKs made on their journeys, sent again in seconds: the same must come of them."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sdks.journey import Names, faults
from tests.sdks.proxy import Request, load
from tests.sdks.readback import comes_true, read_back
from tests.support.services import ROOT
from tests.support.stack import SECRET, LocalStack

pytestmark = pytest.mark.e2e
FOLDER = ROOT / "tests" / "recordings"
RECORDINGS = sorted(FOLDER.glob("*/*.json.gz"))
AT_ONCE = 8


def named(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix().removesuffix(".json.gz")


async def send(client: httpx.AsyncClient, request: Request) -> None:
    """As an SDK does, again where the edge asks for it."""
    for pause_s in (1, 2, 4, 8, 0):
        answer = await client.request(request.method, request.target, headers=request.headers, content=request.body)
        if answer.status_code != 503:
            break
        await asyncio.sleep(pause_s)
    assert answer.status_code < 400 or (request.method == "GET" and answer.status_code == 404), (
        request.target,
        answer.text,
    )
    requested_headers = request.headers.get("access-control-request-headers", "")
    allowed = {name.strip().lower() for name in answer.headers.get("access-control-allow-headers", "").split(",")}
    assert {name.strip().lower() for name in requested_headers.split(",") if name} <= allowed


async def replay(url: str, requests: list[Request]) -> tuple[int, int]:
    """In the order in which they came, by a client that adds nothing of its own; when it began and ended."""
    began_ms = int(time.time() * 1000)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        client.headers.clear()
        for request in requests:
            await send(client, request)
    return began_ms, int(time.time() * 1000)


def left(client: httpx.Client, head: Mapping[str, Any], sent_ms: tuple[int, int]) -> list[str]:
    """What differs from a right journey."""
    names = Names(head["run"])
    later_ms = sent_ms[0] - head["ended_ms"], sent_ms[1] - head["began_ms"]
    return faults(
        names, read_back(client, names), head["cannot"], head["began_ms"], head["ended_ms"], later_ms=later_ms
    )


@pytest.fixture(scope="module")
async def replayed(stack: LocalStack) -> dict[Path, Any]:
    """When each was sent again, or what it failed with; some go at once."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(path: Path) -> tuple[int, int]:
        async with free:
            return await replay(stack.url, load(path)[1])

    sent = await asyncio.gather(*map(one, RECORDINGS), return_exceptions=True)
    return dict(zip(RECORDINGS, sent, strict=True))


def test_there_are_recordings_of_every_runtime() -> None:
    assert {path.parent.name for path in RECORDINGS} >= {"browser", "node", "python", "go", "java", "rust"}


@pytest.mark.parametrize("path", RECORDINGS, ids=named)
async def test_the_requests_of_an_sdk_come_to_the_same_again(
    stack: LocalStack, replayed: dict[Path, Any], path: Path
) -> None:
    sent_ms = replayed[path]
    assert isinstance(sent_ms, tuple), sent_ms
    head: Any = load(path)[0]
    items: list[str] = []

    with httpx.Client(base_url=stack.url, headers=SECRET, timeout=30, trust_env=False) as client:

        def right() -> bool:
            items[:] = left(client, head, sent_ms)
            return not items

        assert await asyncio.to_thread(comes_true, right, 15), "\n".join(items)
