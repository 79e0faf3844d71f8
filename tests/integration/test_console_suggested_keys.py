"""A public port that refuses `/v1/keys`: the live page is shown without suggestions."""

from typing import Any

import pytest
from aiohttp import web

from schemas.settings import Settings
from sinks.console.live.page import _suggested_keys
from sinks.console.web.api import Api, ApiConnection
from sinks.console.web.session import Session
from tests.support.services import free_port

pytestmark = pytest.mark.kafka  # it may use sockets

KEYS = {"data": [{"id": "key_1", "name": "shop"}]}


async def suggested(port: int) -> list[dict[str, Any]]:
    connection = ApiConnection(Settings(edge_url=f"http://127.0.0.1:{port}"))
    await connection.start()
    try:
        return await _suggested_keys(Api(connection, Session("sk_test", "")))
    finally:
        await connection.stop()


@pytest.mark.parametrize("status", [200, 403, 429, 503])
async def test_the_live_page_needs_no_keys(status: int) -> None:
    async def keys(_request: web.Request) -> web.Response:
        return web.json_response(KEYS if status == 200 else {"error": {"code": "unavailable"}}, status=status)

    app, port = web.Application(), free_port()
    app.router.add_get("/v1/keys", keys)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        assert await suggested(port) == (KEYS["data"] if status == 200 else [])
    finally:
        await runner.cleanup()


async def test_the_live_page_needs_no_answer() -> None:
    assert await suggested(free_port()) == []
