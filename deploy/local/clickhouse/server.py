"""Requests of any ClickHouse HTTP client in, answers of the engine inside this process out.

``python -m deploy.local.clickhouse.server --path DIR --port N`` serves ClickHouse's HTTP interface over chDB.

1. It listens on loopback only and refuses a browser's requests for another site. Any user may read; writing takes
   the password of the stack, which stands in a file that only its owner reads.
2. Every request is a session of its own: a ``session_id`` is accepted and has no effect.
3. 200 to an insert means that the engine has written it.
"""

import asyncio
import hmac
import logging
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import orjson
import typer
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deploy.local.clickhouse import native_frames
from deploy.local.clickhouse.codes import ClickHouseError, content_type, refusal, status_of
from deploy.local.clickhouse.disk import FLOOR_BYTES
from deploy.local.clickhouse.encoding import EncodingError, TooLargeError, choose, decode, encode, form_fields
from deploy.local.clickhouse.engine import Engine, EngineQuery, QueryResult
from deploy.local.clickhouse.password import password_of
from deploy.local.clickhouse.sources import check_reads, check_sources
from deploy.local.clickhouse.sql import parse
from schemas.retry import repeated
from schemas.service.http_protocol import BoundedProtocol

log = logging.getLogger(__name__)

# Parameters of the interface itself; every other one is a setting for the engine, which knows its own.
INTERFACE = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PARALLEL = 16
MAX_INSERT, MAX_QUERY = 256 << 20, 16 << 20
"""Bytes of a body, with the password and without. The sink's blocks have a tenth of the first: a fetch's records."""


class FrontProtocol(BoundedProtocol):
    """A query's parameters stand in its URL; ClickHouse's own bound for that is 1 MiB."""

    max_head_bytes = 1024 * 1024
    body_s = 300.0


class Front:
    """An embedded engine, its threads and the routes to it."""

    def __init__(self, path: Path, password: str, floor_bytes: int = FLOOR_BYTES) -> None:
        self._engine = Engine(path, floor_bytes)
        self._password = password.encode()
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="clickhouse")

    def app(self) -> Starlette:
        routes = [
            Route("/", self.handle, methods=["GET", "POST"]),
            Route("/ping", ok),
            Route("/health", self.health),
            Route("/replicas_status", ok),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    async def handle(self, request: Request) -> Response:
        may_write = self._may_write(request)
        most = MAX_INSERT if may_write else MAX_QUERY
        body = await read_body(request, most)
        if body is None:
            return self._refused(request, too_large(most), close=True)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, request, body, may_write)

    async def health(self, _request: Request) -> Response:
        """Whether there is room to write."""
        reason = await asyncio.get_running_loop().run_in_executor(self._threads, self._engine.floor.look)
        content = orjson.dumps({"state": "disk_full" if reason else "ok", "reason": reason})
        return Response(content, 503 if reason else 200, media_type="application/json")

    async def _watch(self) -> None:
        async def look() -> None:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._engine.floor.look)

        def report(error: Exception, pause_s: float) -> None:
            log.error("checking the free space failed, retrying in %g s", pause_s, exc_info=error)

        await repeated(look, 1, (OSError, RuntimeError), report)

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        watch = asyncio.create_task(self._watch())
        yield
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        self._threads.shutdown()
        self._engine.close()

    def _answer(self, request: Request, body: bytes, may_write: bool) -> Response:
        try:
            refuse_foreign(request.headers)
            if request.method == "GET" and "query" not in request.query_params:
                return PlainTextResponse("Ok.\n")
            query = question(request, body, may_write=may_write)
            check_sources(query.statement.sql, self._engine.table_functions)
            answer = self._engine.execute(query)
            content = self._content(query, answer, request.query_params.get("client_protocol_version", ""))
        except ClickHouseError as error:
            return self._refused(request, error)
        headers = self._headers(request)
        headers["X-ClickHouse-Format"] = query.statement.format or query.format
        headers["X-ClickHouse-Summary"] = summary(answer)
        headers["Content-Type"] = content_type(headers["X-ClickHouse-Format"])
        content, encoding = framed(request, content), ""
        if request.query_params.get("enable_http_compression") in {"1", "true"}:
            encoding = choose(request.headers.get("Accept-Encoding", ""))
        if encoding:
            content, headers["Content-Encoding"] = encode(content, encoding), encoding
        return Response(content, headers=headers)

    def _content(self, query: EngineQuery, answer: QueryResult, version: str) -> bytes:
        """The answer's bytes; Native as clients of this protocol version have it."""
        number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0
        if not number or not answer.body or (query.statement.format or query.format) != "Native":
            return answer.body
        return self._engine.native(query, answer, number)

    def _headers(self, request: Request) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": request.query_params.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Server-Display-Name": self._engine.host,
            "X-ClickHouse-Timezone": self._engine.timezone,
        }

    def _refused(self, request: Request, error: ClickHouseError, *, close: bool = False) -> Response:
        """``close``: the rest of the body was not read, so the connection is of no more use."""
        headers = {**self._headers(request), "X-ClickHouse-Exception-Code": str(error.code)}
        if close:
            headers["Connection"] = "close"
        text = f"{error} (version {self._engine.version} (chDB))\n".encode()
        return Response(framed(request, text), status_of(str(error)), headers, "text/plain; charset=UTF-8")

    def _may_write(self, request: Request) -> bool:
        """Whether a POST brings the password, in any of the three ways of ClickHouse's clients."""
        given = request.headers.get("X-ClickHouse-Key") or request.query_params.get("password") or ""
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            with suppress(ValueError):
                given = b64decode(credentials, validate=True).decode("latin-1").partition(":")[2]
        return request.method == "POST" and hmac.compare_digest(given.encode("utf-8", "replace"), self._password)


async def read_body(request: Request, most: int) -> bytes | None:
    """The body; ``None`` if it has more than ``most`` bytes: it is not read to its end."""
    length = request.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > most:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)


def too_large(most: int) -> ClickHouseError:
    message = f"The body of a request has at most {most} bytes here, as it comes and decoded."
    return refusal(223, "QUERY_IS_TOO_LARGE", message)


def framed(request: Request, content: bytes) -> bytes:
    """With ``compress=1`` in ClickHouse's own frames, errors too, as its clients expect."""
    if request.query_params.get("compress") != "1":
        return content
    method = request.query_params.get("network_compression_method", "LZ4").upper()
    return native_frames.pack(content, native_frames.METHODS.get(method, native_frames.LZ4))


async def ok(_request: Request) -> Response:
    return PlainTextResponse("Ok.\n")


def question(request: Request, body: bytes, *, may_write: bool) -> EngineQuery:
    """Raises ``ClickHouseError`` for an unreadable request."""
    query, headers = dict(request.query_params), request.headers
    most = MAX_INSERT if may_write else MAX_QUERY
    kind = headers.get("Content-Type", "")
    try:
        body = decode(body, headers.get("Content-Encoding", ""), most)
        if query.get("decompress") == "1":
            body = native_frames.unpack(body, most)
        if kind.startswith("multipart/form-data"):  # clients use a form when parameters are too long for a URL
            query |= form_fields(body, kind)
            body = b""
    except TooLargeError as error:
        raise too_large(most) from error
    except (EncodingError, native_frames.FrameError) as error:
        raise refusal(117, "INCORRECT_DATA", str(error)) from error
    if "query" in query:
        body = query["query"].encode() + b"\n" + body
    statement = parse(body)
    if not may_write:
        check_reads(statement.sql)
    return EngineQuery(
        statement=statement,
        format=headers.get("X-ClickHouse-Format") or query.get("default_format") or "TabSeparated",
        database=headers.get("X-ClickHouse-Database") or query.get("database") or "",
        settings={k: v for k, v in query.items() if k not in INTERFACE and not k.startswith("param_")},
        params={k.removeprefix("param_"): v for k, v in query.items() if k.startswith("param_")},
        read_only=not may_write,
    )


def refuse_foreign(headers: Headers) -> None:
    """A web page may make its reader's browser send requests here; a browser names the page's origin."""
    host = urlsplit("//" + headers.get("Host", "")).hostname
    foreign = headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}
    origin = headers.get("Origin")
    if foreign or (origin and urlsplit(origin).hostname not in LOOPBACK) or (host and host not in LOOPBACK):
        raise refusal(497, "ACCESS_DENIED", "Requests from other sites and by other names are refused.")


def summary(answer: QueryResult) -> str:
    """ClickHouse writes the figures as strings."""
    figures = {
        "read_rows": answer.read_rows,
        "read_bytes": answer.read_bytes,
        "written_rows": answer.written_rows,
        "written_bytes": answer.written_bytes,
        "total_rows_to_read": answer.read_rows,
        "result_rows": answer.result_rows,
        "result_bytes": len(answer.body),
        "elapsed_ns": int(answer.elapsed * 1e9),
    }
    return orjson.dumps({name: str(value) for name, value in figures.items()}).decode()


def main(
    path: Annotated[Path, typer.Option(help="The engine's directory; it locks it.")],
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 18123,
    floor_bytes: Annotated[int, typer.Option(help="With less free space nothing is written.")] = FLOOR_BYTES,
) -> None:
    """Serve ClickHouse's HTTP interface over the embedded engine."""
    path.mkdir(parents=True, exist_ok=True)
    uvicorn.run(
        Front(path, password_of(path), floor_bytes).app(),
        host="127.0.0.1",
        port=port,
        http=FrontProtocol,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=3600,  # clients pool connections; one closed under a client costs it a retry
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    typer.run(main)
