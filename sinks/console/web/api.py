"""A session's key and a call of the public API in; the JSON response out: the console's only access to data."""

from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from schemas.errors import STATUS, ApiError
from schemas.settings import Settings
from sinks.console.web.session import Session

_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=2)
_AWAY = "the public port does not answer; try again"


def path(*parts: str) -> str:
    """Joins ``/v1/`` and the parts, each encoded whole."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


class ApiConnection:
    """The connection to the API; all sessions share one."""

    def __init__(self, settings: Settings) -> None:
        self.base = settings.edge

    async def start(self) -> None:
        self.session = aiohttp.ClientSession(timeout=_TIMEOUT)

    async def stop(self) -> None:
        await self.session.close()


class Api:
    """The public API, with a session's key."""

    def __init__(self, connection: ApiConnection, session: Session) -> None:
        self._connection = connection
        self._headers = {"Authorization": f"Bearer {session.key}"}
        if session.environment:
            self._headers["Headwater-Environment"] = session.environment

    async def get(self, place: str, **query: str) -> Any:
        """Gets a value; raises the API's ``ApiError``."""
        return await self._call("GET", place, None, query)

    async def ask(self, place: str) -> tuple[int, Any]:
        """Returns status and value of any response; raises ``ApiError`` (503)."""
        try:
            url = URL(self._connection.base + place, encoded=True)
            async with self._connection.session.get(url, headers=self._headers) as answer:
                return answer.status, orjson.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            raise ApiError("unavailable", _AWAY) from error

    async def text(self, place: str) -> str:
        """Returns a text response; empty if the key lacks the scope, or without a response."""
        try:
            url = URL(self._connection.base + place, encoded=True)
            async with self._connection.session.get(url, headers=self._headers) as answer:
                return await answer.text() if answer.status == 200 else ""
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError):
            return ""

    async def find(self, place: str, **query: str) -> Any:
        """Gets a value like ``get``, or ``None`` for a missing object."""
        try:
            return await self.get(place, **query)
        except ApiError as refused:
            if refused.code == "not_found":
                return None
            raise

    async def send(self, method: str, place: str, body: Any = None, **query: str) -> Any:
        """Returns the response to a write, ``None`` for an empty one; raises the API's ``ApiError``."""
        return await self._call(method, place, body, query)

    async def _call(self, method: str, place: str, body: Any, query: dict[str, str]) -> Any:
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        url = URL(self._connection.base + place, encoded=True)
        try:
            async with self._connection.session.request(
                method,
                url.update_query({name: value for name, value in query.items() if value}),
                data=None if body is None else orjson.dumps(body),
                headers=headers,
                allow_redirects=False,
            ) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError("unavailable", _AWAY) from error
        try:
            answer_value = orjson.loads(raw) if raw else None
        except orjson.JSONDecodeError as error:
            raise ApiError("unavailable", f"an answer of {answer.status} is not JSON") from error
        if answer.status >= 400:
            why = answer_value.get("error", {}) if isinstance(answer_value, dict) else {}
            code = why.get("code", "internal")
            raise ApiError(code if code in STATUS else "internal", why.get("message", _AWAY), why.get("param"))
        return answer_value
