"""What the scheme of ``CLICKHOUSE_URL`` says is what goes over the wire, on every port."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from processors.backfill import reader
from schemas.settings import Settings, complaints
from sinks.clickhouse import connect

CLIENT_HELLO = 0x16


async def first_bytes(scheme: str, connect: Callable[[Settings], Awaitable[Any]]) -> bytes:
    """Of a client that connects to a listener on a port that is neither 443 nor 8443."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(requests: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        data = await requests.read(64)
        if not heard.done():
            heard.set_result(data)
        answers.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(clickhouse_url=f"{scheme}://admin:secret@127.0.0.1:{port}")
    client = asyncio.ensure_future(connect(settings))
    try:
        async with asyncio.timeout(30):
            return await heard
    finally:
        client.cancel()
        await asyncio.gather(client, return_exceptions=True)
        server.close()


@pytest.mark.clickhouse
@pytest.mark.parametrize("connect", [connect.connected, reader._connected])
async def test_https_is_tls_on_a_port_that_is_not_tls_by_custom(connect: Callable[[Settings], Awaitable[Any]]) -> None:
    assert (await first_bytes("https", connect))[0] == CLIENT_HELLO
    assert (await first_bytes("http", connect)).startswith((b"GET ", b"POST "))


@pytest.mark.parametrize("url", ["ftp://admin:secret@db:21", "clickhouse://admin:secret@db:9000", "admin:secret@db"])
def test_another_scheme_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(clickhouse_url=url)
    (line,) = complaints(refused.value)
    assert "CLICKHOUSE_URL=" in line
    assert "https?" in line
    assert "secret" not in line
