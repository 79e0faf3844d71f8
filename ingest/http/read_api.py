"""Reads in, the read API's answers out: one port serves everything, and the edge itself stays write-only."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from yarl import URL

from ingest.http import body
from ingest.http.cors import WORKSPACE
from schemas.api import parameters
from schemas.errors import STATUS, ApiError
from schemas.json_bytes import json_bytes
from schemas.service.memory_budget import UNKNOWN
from schemas.service.web import REQUEST_ID

_HOP = frozenset({"connection", "date", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"})
NAMES = frozenset({"x-forwarded-host", "x-forwarded-proto"})
MAX_BODY = 256 * 1024
"""Bytes of a body that is handed on: a rule or a GraphQL document."""
CONNECT_S = 2.0
NAMED = "headwater.named"
"""Key of the request's scope: the headers with the name by which a browser calls this server."""
PATIENCE = "headwater.patience"
"""Name in a request's scope: the deadline of its answer, if it differs from that of a read."""
PAGE_S = 40.0
"""A page of the console calls the API, which may wait for an endpoint of a customer's."""
QUIET_S = 60.0
"""A stream without data or a heartbeat for so long is closed."""
LATER_S = 1.0
"""The read API itself ends slow queries; if it does not answer at all, the request ends this much later."""


class ReadApiClient:
    """Hands requests on to ``sinks query``; where it is away the answer is 503."""

    def __init__(self, base_url: str, within_s: float = 10.0) -> None:
        self._base = base_url
        self._timeout = aiohttp.ClientTimeout(total=within_s + LATER_S, connect=CONNECT_S)
        # a client may read a whole list slowly, so the deadline applies to each part of it
        self._streaming = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=within_s + LATER_S)

    async def start(self) -> None:
        # answers pass through as they are, compressed ones too
        self._session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=False)

    async def stop(self) -> None:
        await self._session.close()

    async def check(self) -> None:
        """Raises ``ApiError`` with the reason where the read API says that it is not ready."""
        async with self._session.get(f"{self._base}/health/ready") as answer:
            if answer.status == 200:
                return
            health = orjson.loads(await answer.read())
        components = health.get("components", {}).items()
        away = [
            f"{name}: {component.get('reason', '')}" for name, component in components if component.get("state") != "ok"
        ]
        raise ApiError("unavailable", "; ".join(away) or f"it answers {answer.status}")

    async def check_front(self, url: str) -> None:
        """Raises ``ApiError`` with the reason where the embedded database says that it does not write."""
        async with self._session.get(f"{url}/health") as answer:
            if answer.status != 200:
                raise ApiError("unavailable", str(orjson.loads(await answer.read())["reason"]))

    async def proxy(self, request: Request) -> Response:
        """The read API's answer to the same request; only a POST has a body. Raises ``ApiError`` (413)."""
        owner = request.scope.get(WORKSPACE, UNKNOWN)
        raw = await body.read(request.receive, MAX_BODY, owner) if request.method == "POST" else b""
        body.hold(request.scope, raw, owner)
        return await self._pass(request, request.method, raw)

    async def page(self, request: Request) -> Response:
        """The console's answer; the request names the server as the browser does. Raises ``ApiError`` (413)."""
        host = request.headers.get("host", "")
        request.scope[NAMED] = {"X-Forwarded-Host": host, "X-Forwarded-Proto": request.url.scheme}
        request.scope[PATIENCE] = aiohttp.ClientTimeout(total=PAGE_S, connect=CONNECT_S)
        return await self.proxy(request)

    async def stream(self, request: Request) -> Response:
        """Streams the console's endless answer until the browser or the read API closes the connection."""
        headers = {k: v for k, v in request.headers.items() if k not in _HOP}
        query = f"?{request.url.query}" if request.url.query else ""
        try:
            answer = await self._session.get(
                URL(f"{self._base}{request.url.path}{query}", encoded=True),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=QUIET_S),
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away() from error

        async def parts() -> AsyncIterator[bytes]:
            try:
                async for part in answer.content.iter_any():
                    yield part
            except (aiohttp.ClientError, TimeoutError) as error:
                raise _away() from error
            finally:
                answer.close()  # with the browser gone the read API need not go on

        kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP | {"x-request-id"}}
        return StreamingResponse(parts(), answer.status, kept)

    async def proxy_get(self, request: Request, path: str = "", status: int = 0) -> StreamingResponse:
        """Returns the read API's answer to a GET of ``path``, by default the path that the request wrote to.

        ``status`` replaces the status 200. Raises ``ApiError`` (503), which says that the write is durable.
        """
        try:
            answer = await self._pass(request, "GET", b"", path)
        except ApiError as refused:
            raise _written(path or request.url.path) from refused
        if answer.status_code >= 500:
            async for _ in answer.body_iterator:
                pass  # read to its end, the connection is free again
            raise _written(path or request.url.path)
        if status and answer.status_code == 200:
            answer.status_code = status
        return answer

    async def get_json(self, request: Request, path: str) -> Any:
        """The read API's answer to the caller's GET of another path, as JSON; ``None`` for 404.

        Raises ``ApiError``: 503 where the read API cannot answer, 403 where the key may not read it.
        """
        headers = {k: v for k, v in request.headers.items() if k not in _HOP | {"accept-encoding"}}
        url = URL(self._base + path, encoded=True).with_query(
            [(k, v) for k, v in request.query_params.multi_items() if k in parameters.EVERYWHERE]
        )
        try:
            async with self._session.get(url, headers=headers) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away() from error
        if answer.status >= 500:
            raise _away()
        if answer.status == 403:
            raise ApiError("missing_scope", "the key may not read this")
        return orjson.loads(raw) if answer.status == 200 else None

    async def allowed_methods(self, request: Request) -> set[str]:
        """The methods that the read API takes on this path; empty where it has none."""
        url = f"{self._base}{request.scope['raw_path'].decode('latin-1').split('?', 1)[0]}"
        try:
            async with self._session.options(URL(url, encoded=True)) as answer:
                allowed = answer.headers.get("Allow", "") if answer.status != 404 else ""
                return {method.strip() for method in allowed.split(",") if method.strip()}
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away() from error

    async def post(self, request: Request, path: str, value: Any, environment: str, within_s: float = 0.0) -> Any:
        """The read API's answer to this path for the request's key; raises its refusal as ``ApiError``.

        ``within_s`` takes the place of the usual deadline.
        """
        timeout = aiohttp.ClientTimeout(total=within_s, connect=CONNECT_S) if within_s else self._timeout
        headers = {k: v for k, v in request.headers.items() if k in ("authorization", "x-api-key")}
        query = {k: v for k, v in request.query_params.items() if k == "apiKey"} | {"environment": environment}
        try:
            async with self._session.post(
                self._base + path, data=json_bytes(value, "body"), headers=headers, params=query, timeout=timeout
            ) as answer:
                body = orjson.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            raise _away() from error
        if answer.status >= 500:
            raise _away()
        if answer.status != 200:
            why = body["error"]
            raise ApiError(why["code"] if why["code"] in STATUS else "internal", why["message"], why.get("param"))
        return body

    async def request_json(self, path: str, headers: Mapping[str, str], value: Any = None) -> tuple[int, Any]:
        """Status and value of a question of the edge's own: a GET, with a body a POST; raises ``ApiError`` (503)."""
        try:
            async with self._session.request(
                "GET" if value is None else "POST",
                URL(f"{self._base}{path}", encoded=True),
                headers=headers,
                data=None if value is None else json_bytes(value, "body"),
                allow_redirects=False,
            ) as answer:
                body = orjson.loads(await answer.read())
                if answer.status >= 500:
                    raise _away()
                return answer.status, body
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            raise _away() from error

    async def _pass(self, request: Request, method: str, raw: bytes, path: str = "") -> StreamingResponse:
        query = request.url.query
        if path or method != request.method:
            # of a write's parameters a read takes those alone that every route has
            query = urlencode([(k, v) for k, v in request.query_params.multi_items() if k in parameters.EVERYWHERE])
        url = self._base + (path or request.scope["raw_path"].decode("latin-1").split("?", 1)[0])
        headers = {k: v for k, v in request.headers.items() if k not in _HOP | NAMES}
        headers["X-Request-Id"] = request.scope[REQUEST_ID]
        headers |= request.scope.get(NAMED, {})
        try:
            answer = await self._session.request(
                method,
                URL(f"{url}?{query}" if query else url, encoded=True),
                headers=headers,
                data=raw or None,
                allow_redirects=False,
                timeout=request.scope.get(PATIENCE, self._streaming),
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away() from error
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP | {"x-request-id"}}
        return StreamingResponse(answer.content.iter_any(), answer.status, kept)


def _written(path: str) -> ApiError:
    return ApiError("unavailable", f"it is saved, but the read API is unavailable: do not repeat it, read {path}")


def _away() -> ApiError:
    return ApiError("unavailable", "the read API is unavailable; try again")
