"""A method, a path and a body in; the API's answer out, or an error that says whether to fix the call or the host.

Answers of 429 and 503 are waited for and asked again: the API promises that nothing doubles by that.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import aiohttp
import orjson

from deploy.client.config import ApiAccess

CONNECT_S, READ_S = 5.0, 60.0
ATTEMPTS = 8
LONGEST_PAUSE_S = 10.0
PAGE = 100
MAX_MESSAGE = 500


class ApiUnreachableError(Exception):
    """No server answers at the address, or it is not Headwater."""


class ApiRefusedError(Exception):
    """The API answered and refuses; ``code`` and ``param`` are its own."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param


class ApiAnswer(NamedTuple):
    """``attempts``: how often the call was made; of all but the last it is not known whether they were taken."""

    status: int
    body: dict[str, Any]
    attempts: int = 1


class ApiClient:
    """A connection pool to an API, with a key."""

    def __init__(self, access: ApiAccess, *, patience: int = ATTEMPTS) -> None:
        """``patience``: how often a call is tried that the API cannot take now."""
        self.access = access
        self._patience = patience

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self.access.key}", "User-Agent": "headwater-cli"}
        if self.access.environment:
            headers["Headwater-Environment"] = self.access.environment
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=READ_S)
        connector = aiohttp.TCPConnector(limit=32)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer's JSON, empty for 204; raises ``ApiRefusedError`` and ``ApiUnreachableError``."""
        answer = await self.ask(method, path, body, query=query)
        if answer.status >= 400:
            raise refusal(answer.status, answer.body)
        return answer.body

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiAnswer:
        """Status and JSON of an answer that says more than wait; raises ``ApiUnreachableError``."""
        data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if data is not None else {})}
        status: int = 0
        value: dict[str, Any] = {}
        for attempt in range(self._patience):
            try:
                async with self._session.request(
                    method, self.access.url + path, data=data, params=query, headers=sent, allow_redirects=False
                ) as answer:
                    status, retry_after = answer.status, answer.headers.get("Retry-After", "")
                    value = _value(self.access.url, status, await answer.read())
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if attempt + 1 >= self._patience:
                    reason = str(error) or type(error).__name__
                    raise ApiUnreachableError(f"{self.access.url} does not answer: {reason}") from error
                retry_after = ""
            else:
                if status not in (429, 503):
                    return ApiAnswer(status, value, attempt + 1)
            if attempt + 1 < self._patience:
                await asyncio.sleep(pause_s(attempt, retry_after))
        return ApiAnswer(status, value, self._patience)

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Each line of a streamed answer; raises ``ApiRefusedError`` and ``ApiUnreachableError``."""
        try:
            async with self._session.get(self.access.url + path, params=query, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise refusal(answer.status, _value(self.access.url, answer.status, await answer.read()))
                async for line in answer.content:
                    yield _value(self.access.url, answer.status, line)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ApiUnreachableError(f"{self.access.url} does not answer: {reason}") from error

    async def listed(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.call("GET", path, query={"limit": str(PAGE), **(query or {}), "cursor": cursor})
            for item in page["data"]:
                yield item
            cursor = page.get("next_cursor")


def part(text: str) -> str:
    """A part of a path, encoded."""
    return quote(text, safe="")


def pause_s(attempt: int, retry_after: str) -> float:
    """Seconds until the next attempt: the API's Retry-After, else doubling from a quarter."""
    retry_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 6 else 0.0
    return min(max(retry_s, 0.25 * 2.0**attempt), LONGEST_PAUSE_S)


def refusal(status: int, value: Mapping[str, Any]) -> ApiRefusedError:
    error = value.get("error")
    if not isinstance(error, dict):
        return ApiRefusedError(status, "unknown", f"the API answers {status}")
    text = str(error.get("message", ""))[:MAX_MESSAGE]
    return ApiRefusedError(status, str(error.get("code", "")), text, error.get("param"))


def _value(url: str, status: int, raw: bytes) -> dict[str, Any]:
    if not raw:
        return {}
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiUnreachableError(f"{url} answers {status}, and not in JSON: is this Headwater?") from error
    if not isinstance(value, dict):
        raise ApiUnreachableError(f"{url} answers {status} with a JSON value that is no object: is this Headwater?")
    return value
