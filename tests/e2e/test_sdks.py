"""Other vendors' own SDKs, unmodified, against a stack that is out of sorts at first: every event arrives once."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import posthog
import pytest
import rudderstack.analytics as rudder
import segment.analytics as segment
from aiohttp import web

from tests.e2e.test_one_event import unique
from tests.support.comparison import rows
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
KEY = "pk_dev_local"
COUNT = 23
SDKS = Path(__file__).parent / "sdks"
REFUSALS = (429, 503, 503, 429)
_HOP = {"host", "content-length", "transfer-encoding", "connection"}


@asynccontextmanager
async def out_of_sorts(url: str) -> AsyncIterator[tuple[str, list[int]]]:
    """An address in front of the stack that answers as its edge does when it is too much, and then passes on."""
    left, answered = list(REFUSALS), []

    async def handle(request: web.Request) -> web.Response:
        data = await request.read()
        if left and request.method == "POST":
            answered.append(left.pop(0))
            body = {"error": {"code": "unavailable", "message": "try again"}}
            return web.json_response(body, status=answered[-1], headers={"Retry-After": "1"})
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        async with session.request(request.method, url + request.path_qs, data=data, headers=headers) as answer:
            answered.append(answer.status)
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    app = web.Application(client_max_size=20_000_000)
    app.router.add_route("*", "/{path:.*}", handle)
    # the body goes on as it came: unpacked by nobody on the way
    runner = web.AppRunner(app, auto_decompress=False)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}", answered
        finally:
            await runner.cleanup()


def segment_python(host: str, user: str) -> None:
    client = segment.Client(KEY, host=host, upload_size=5, upload_interval=0.05, gzip=True, max_retries=10)
    client.identify(user, {"email": f"{user}@example.com", "plan": "pro"}, anonymous_id=f"{user}-browser")
    for n in range(COUNT):
        client.track(user, "Bought", {"n": n})
    client.shutdown()


def rudder_python(host: str, user: str) -> None:
    client = rudder.Client(KEY, host=host, upload_size=5, upload_interval=0.05, gzip=True, max_retries=10)
    client.identify(user, {"email": f"{user}@example.com", "plan": "pro"}, anonymous_id=f"{user}-browser")
    for n in range(COUNT):
        client.track(user, "Bought", {"n": n})
    client.shutdown()


def posthog_python(host: str, user: str) -> None:
    client = posthog.Posthog(KEY, host=host, flush_at=5, flush_interval=0.05, gzip=True, max_retries=10)
    who = {"$anon_distinct_id": f"{user}-browser", "$set": {"email": f"{user}@example.com", "plan": "pro"}}
    client.capture("$identify", distinct_id=user, properties=who)
    for n in range(COUNT):
        client.capture("Bought", distinct_id=user, properties={"n": n})
    client.shutdown()


async def _run(*command: str, cwd: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 150)
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.fixture(scope="module")
async def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDKs of the other language, fresh from their registry."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here")
    folder = tmp_path_factory.mktemp("sdks") / "node"
    shutil.copytree(SDKS, folder)
    await _run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", cwd=folder)
    return folder


async def check_all_arrive_once(stack: LocalStack, send: Callable[[str, str], Any]) -> None:
    user = unique("sdk")
    async with out_of_sorts(stack.url) as (host, answered):
        await send(host, user)
    assert set(answered) == {*REFUSALS, 200}, answered
    result = await eventually(
        lambda: rows(
            stack,
            "SELECT type, count(), uniqExact(event_id), uniqExact(JSONExtractInt(properties, 'n')) "
            "FROM events_resolved WHERE type IN ('Bought', '$identify') AND contact_id IN "
            "(SELECT contact_id FROM events_resolved WHERE has(identifiers.value, {user:String})) "
            "GROUP BY type ORDER BY type",
            user=user,
        ),
        "all events",
        meets=lambda result: [row[0] for row in result] == ["$identify", "Bought"] and result[1][1] >= COUNT,
    )
    assert [tuple(row) for row in result] == [("$identify", 1, 1, 1), ("Bought", COUNT, COUNT, COUNT)]
    async with stack.client() as client:
        for name in (f"external_id:{user}", f"email:{user}@example.com", f"anonymous_id:{user}-browser"):
            contact = (await client.get(f"/v1/contacts/{name}")).json()
            assert (contact["external_id"], contact["attributes"]["plan"]) == (user, "pro"), name


@pytest.mark.parametrize("sdk", [segment_python, rudder_python, posthog_python], ids=lambda sdk: sdk.__name__)
async def test_an_sdk_of_python_loses_and_repeats_nothing(stack: LocalStack, sdk: Callable[[str, str], None]) -> None:
    await check_all_arrive_once(stack, lambda host, user: asyncio.to_thread(sdk, host, user))


@pytest.mark.parametrize("script", ["segment", "posthog"])
async def test_an_sdk_of_node_loses_and_repeats_nothing(stack: LocalStack, node_modules: Path, script: str) -> None:
    async def send(host: str, user: str) -> None:
        await _run("node", f"{script}.mjs", host, KEY, user, str(COUNT), cwd=node_modules)

    await check_all_arrive_once(stack, send)
