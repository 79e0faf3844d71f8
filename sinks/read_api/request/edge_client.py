"""A write that came over the read API in; the edge's answer to the same request of the same key out.

The edge is the only writer, so a mutation is checked, authorised and answered exactly as its endpoint is.
"""

from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from schemas.errors import STATUS, ApiError
from schemas.settings import Settings

_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=2)
_PASSED = ("authorization", "x-api-key", "headwater-environment", "x-request-id")


class EdgeClient:
    """The connection to the edge; one of it for all requests."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.edge

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def stop(self) -> None:
        await self._session.close()

    async def send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> Any:
        """The answer's JSON; raises ``ApiError`` as the edge did."""
        passed = {name: headers[name] for name in _PASSED if name in headers}
        try:
            async with self._session.request(
                method,
                self._base + path,
                data=orjson.dumps(body),
                headers={**passed, "Content-Type": "application/json"},
                params=dict(query),
            ) as answer:
                answer_body = orjson.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ApiError("unavailable", "the edge is unavailable; try again") from error
        if answer.status >= 400 and "error" in answer_body:
            code = answer_body["error"]["code"]
            raise ApiError(
                code if code in STATUS else "internal",
                answer_body["error"]["message"],
                answer_body["error"].get("param"),
            )
        return answer_body


class EdgeWrites:
    """The writes of one request, with its key."""

    def __init__(self, edge: EdgeClient, headers: Mapping[str, str], query: Mapping[str, str]) -> None:
        self._edge = edge
        self._headers = headers
        self._query = {name: query[name] for name in ("apiKey", "environment") if name in query}

    async def send(self, method: str, path: str, body: Any, **query: str) -> Any:
        return await self._edge.send(method, path, body, self._headers, {**self._query, **query})
