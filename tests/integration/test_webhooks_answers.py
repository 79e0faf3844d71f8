"""A receiver's answer over a real connection: the wait that it asks for, and what the log keeps of its body."""

import asyncio

import pytest
from aiohttp import web

from schemas.settings import Settings
from sinks.delivery.deliver import EXCERPT, Deliverer
from sinks.delivery.excerpt import CUT

pytestmark = pytest.mark.kafka  # it may use sockets


@pytest.mark.parametrize(("status", "counts"), [(429, True), (503, True), (500, False), (200, False)])
async def test_an_answers_wait_and_text_are_read(status: int, counts: bool) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "120"}, body=b"caf\xe9" + b"x" * EXCERPT)

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    deliverer = Deliverer(Settings(webhook_allow_private=True), lambda: asyncio.sleep(0))
    await deliverer.start()
    try:
        outcome = await deliverer.send(f"http://127.0.0.1:{port}/", b"{}", {})
    finally:
        await deliverer.stop()
        await runner.cleanup()
    assert outcome.code == status
    assert outcome.retry_after_ms == (120_000 if counts else 0)
    text = outcome.response.decode()
    assert text.startswith("caf\ufffdx")
    assert text.endswith(f"x{CUT}")
