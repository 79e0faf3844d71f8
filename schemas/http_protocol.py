"""Bytes of a connection in, requests whose head, body and number are bounded out: uvicorn's protocol with limits.

1. A head (request line and headers, a chunked body's trailers too) has at most ``MAX_HEAD_BYTES`` and
   ``MAX_HEADERS``; over that the answer is 431. Bytes count as they arrive: the parser keeps a header until it ends.
2. A head has ``HEAD_S`` to arrive and a body ``BODY_S``; over that the answer is 408.
3. A process keeps at most ``MAX_CONNECTIONS``; one more is answered with 503.

One sweep a second looks at the deadlines of all connections, so a request costs no timer.
"""

import asyncio
import http
from typing import Any, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 100
HEAD_S = 10.0
BODY_S = 30.0
MAX_CONNECTIONS = 10_000
SWEEP_S = 1.0
_NEVER = float("inf")
_CODES = {408: "timeout", 431: "head_too_large", 503: "unavailable"}


class BoundedProtocol(HttpToolsProtocol):
    """One connection; a subclass may have other limits."""

    max_head_bytes = MAX_HEAD_BYTES
    max_headers = MAX_HEADERS
    body_s = BODY_S
    _sweeping: set[int] = set()  # noqa: RUF012 - ids of the event loops that have a sweep
    _head_bytes = 0
    """Of the head that is being read, as far as its parts are complete."""
    _silent_bytes = 0
    """Received since the parser last had something to tell."""
    _deadline = _NEVER
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._deadline = self.loop.time() + HEAD_S
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, "too many connections")
            return
        if id(self.loop) not in self._sweeping:
            self._sweeping.add(id(self.loop))
            self.loop.call_later(SWEEP_S, _sweep, self.loop, self.connections, self._sweeping)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._silent_bytes += len(data)
        super().data_received(data)
        if self._is_too_large() or self._silent_bytes > self.max_head_bytes:
            self._refuse(
                431, f"a request's head has at most {self.max_head_bytes} bytes and {self.max_headers} headers"
            )

    def on_message_begin(self) -> None:
        self._silent_bytes = self._head_bytes = 0
        self._deadline = self.loop.time() + HEAD_S
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        if not self._is_too_large():
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= self.max_headers:
            self._head_bytes = self.max_head_bytes + 1
        if not self._is_too_large():
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._silent_bytes = 0
        self._deadline = self.loop.time() + self.body_s
        if not self._is_too_large():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        if not self._is_too_large():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._silent_bytes = 0
        self._deadline = _NEVER
        if not self._is_too_large():
            super().on_message_complete()

    def expire(self, now: float) -> None:
        """Refuse a request that has not arrived in time."""
        if now <= self._deadline or self._refused:
            return
        if self._silent_bytes or self._head_bytes:
            self._refuse(408, "the request did not arrive in time")
        else:
            self._refused = True  # nothing was asked, so nothing is answered
            self.transport.close()

    def _count(self, size: int) -> None:
        self._silent_bytes = 0
        self._head_bytes += size

    def _is_too_large(self) -> bool:
        return self._head_bytes > self.max_head_bytes

    def _refuse(self, status: int, message: str) -> None:
        self._refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            # its answer may have begun; the application learns that the client is gone
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle is None or cycle.response_complete or not cycle.response_started:
            body = orjson.dumps({"error": {"code": _CODES[status], "message": message, "param": None}})
            phrase = http.HTTPStatus(status).phrase.encode()
            head = (
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head % (status, phrase, len(body)) + body)
        self.transport.close()


def _sweep(loop: asyncio.AbstractEventLoop, connections: set[Any], sweeping: set[int]) -> None:
    now = loop.time()
    for connection in list(connections):
        cast("BoundedProtocol", connection).expire(now)
    if connections:
        loop.call_later(SWEEP_S, _sweep, loop, connections, sweeping)
    else:
        sweeping.discard(id(loop))
