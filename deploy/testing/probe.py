"""A test environment in; assertions on its accepted and refused events since the last reset out."""

import time
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from deploy.client.config import ClientOptions, api_access

PAUSE_S = 0.1
WITHIN_S = 10.0
MOST = 100
SHOWN = 10


class TrackingError(Exception):
    """The environment cannot be reached; the text names the necessary setting."""


class TrackingProbe:
    """Blocking, for tests; closed by the fixture."""

    def __init__(self, options: ClientOptions | None = None) -> None:
        """Raises ``ConfigError`` without a key."""
        access = api_access(options or ClientOptions())
        self._url = access.url
        headers = {"Authorization": f"Bearer {access.key}"}
        if access.environment:
            headers["Headwater-Environment"] = access.environment
        self._pool = urllib3.PoolManager(headers=headers, timeout=10.0, retries=False)

    def close(self) -> None:
        self._pool.clear()

    def reset(self) -> None:
        """Reset the counts: earlier events no longer count. Raises ``TrackingError``."""
        self._call("POST", "reset")

    def counts(self) -> dict[str, int]:
        """``good``, ``bad`` and ``total``."""
        counts = self._call("GET", "counts")
        return {name: int(counts[name]) for name in ("good", "bad", "total")}

    def events(self, type: str = "", **properties: Any) -> list[dict[str, Any]]:  # noqa: A002 - the API's own name
        """The events readable by now, newest first, at most 100; with these values of these properties."""
        query: dict[str, Any] = {"limit": MOST, **({"type": type} if type else {})}
        if properties:
            where = [{"property": name, "op": "eq", "value": value} for name, value in properties.items()]
            query["where"] = orjson.dumps(where).decode()
        events: list[dict[str, Any]] = self._call("GET", "good", query)["data"]
        return events

    def refusals(self, type: str = "") -> list[dict[str, Any]]:  # noqa: A002 - same
        """Calls and items that were refused, the newest first."""
        refusals: list[dict[str, Any]] = self._call("GET", "bad", {"limit": MOST, **({"type": type} if type else {})})[
            "data"
        ]
        return refusals

    def expect_event(
        self,
        type: str,  # noqa: A002 - same
        *,
        count: int = 1,
        within_s: float = WITHIN_S,
        **properties: Any,
    ) -> dict[str, Any]:
        """The newest of them once there are ``count``; raises ``AssertionError`` with the other events that came."""
        deadline = time.monotonic() + within_s
        while len(events := self.events(type, **properties)) < count:
            if time.monotonic() > deadline:
                raise AssertionError(self._missing(type, properties, count, len(events)))
            time.sleep(PAUSE_S)
        return events[0]

    def expect_no_refusals(self) -> None:
        """Raises ``AssertionError`` with each refusal; it is known as soon as the request has been answered."""
        refused = self.refusals()
        if refused:
            raise AssertionError("\n".join([f"{len(refused)} refused:", *map(_line, refused[:SHOWN])]))

    def _missing(self, kind: str, properties: dict[str, Any], count: int, present: int) -> str:
        lines = [f"{present} of {count} {kind!r} with {properties or 'any properties'} came; what came instead:"]
        for event in self.events()[:SHOWN]:
            shown = orjson.dumps(event["properties"]).decode()[:200]
            lines += [f"  {event['type']} {shown}"]
        lines += map(_line, self.refusals()[:SHOWN])
        return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing"])

    def _call(self, method: str, word: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        path = f"/v1/test/{quote(word)}" + (f"?{urlencode(query)}" if query else "")
        try:
            answer = self._pool.request(method, self._url + path)
        except urllib3.exceptions.HTTPError as error:
            raise TrackingError(f"{self._url} does not answer: headwater up, or set HEADWATER_URL ({error})") from error
        body: dict[str, Any] = orjson.loads(answer.data) if answer.data else {}
        if answer.status != 200:
            raise TrackingError(f"{self._url}{path}: {body.get('error', {}).get('message', answer.status)}")
        return body


def _line(refused: dict[str, Any]) -> str:
    error = refused["error"]
    return f"  refused {refused['path']}: {error.get('param') or ''} {error['message']} {refused['body'][:200]}"
