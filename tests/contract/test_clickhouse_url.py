"""What the scheme of ``CLICKHOUSE_URL`` says is what goes over the wire, on every port."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from processors.backfill import reader
from schemas.errors import CannotStart
from schemas.service.clickhouse_auth import database_connection
from schemas.settings import Settings, complaints
from sinks.clickhouse import connect
from tests.support.certificates import Authority, Certificate

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


@asynccontextmanager
async def behind_tls(upstream: str, certificate: Certificate, authority: Path | None) -> AsyncIterator[int]:
    """The port of a TLS listener in front of a database; with ``authority`` it asks clients for a certificate."""
    where = urlsplit(upstream)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(requests: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(where.hostname, where.port)
        await asyncio.gather(copy(requests, forth), copy(back, answers))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.clickhouse
@pytest.mark.parametrize("asks", [False, True])
async def test_a_server_with_an_authority_of_its_own_is_reached(clickhouse: str, tmp_path: Path, asks: bool) -> None:
    authority, where = Authority(tmp_path), urlsplit(clickhouse)
    (tmp_path / "password").write_text(f"{where.password}\n")
    own = authority.sign("client")
    async with behind_tls(clickhouse, authority.sign("server"), authority.certificate if asks else None) as port:
        settings = Settings(
            clickhouse_url=f"https://{where.username}@127.0.0.1:{port}",
            clickhouse_password_file=str(tmp_path / "password"),
            clickhouse_ca_file=str(authority.certificate),
            clickhouse_cert_file=str(own.certificate) if asks else "",
            clickhouse_key_file=str(own.key) if asks else "",
        )
        client = await connect.connected(settings, 10)
        assert (await client.query("SELECT 6 * 7")).result_rows == [(42,)]
        await client.close()
        strange = Authority(tmp_path, "strange")
        distrusting = settings.model_copy(update={"clickhouse_ca_file": str(strange.certificate)})
        with pytest.raises(connect.NoAnswerError, match="CERTIFICATE_VERIFY_FAILED"):
            await connect.connected(distrusting, 0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"clickhouse_ca_file": "/nowhere/ca"}, "HEADWATER_CLICKHOUSE_CA_FILE=/nowhere/ca"),
        ({"clickhouse_password_file": "/nowhere/p"}, "HEADWATER_CLICKHOUSE_PASSWORD_FILE=/nowhere/p"),
        ({"clickhouse_ca_file": "/ca", "clickhouse_url": "http://db:8123"}, "need CLICKHOUSE_URL=https"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(given: dict[str, str], expected: str) -> None:
    with pytest.raises(CannotStart, match=expected):
        database_connection(Settings(clickhouse_url="https://db:8443").model_copy(update=given))


@pytest.mark.parametrize("url", ["ftp://admin:secret@db:21", "clickhouse://admin:secret@db:9000", "admin:secret@db"])
def test_another_scheme_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(clickhouse_url=url)
    (line,) = complaints(refused.value)
    assert "CLICKHOUSE_URL=" in line
    assert "https?" in line
    assert "secret" not in line
