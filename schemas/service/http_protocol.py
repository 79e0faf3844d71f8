"""Bytes of a connection in, requests whose head, body and number are bounded out: uvicorn's protocol with limits.

1. A head (request line and headers, a chunked body's trailers too) has at most ``MAX_HEAD_BYTES`` and
   ``MAX_HEADERS``; over that the answer is 431. Bytes count as they arrive: the parser keeps a header until it ends.
   One read of the socket, 256 KiB, may stand above that for a moment.
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
    """A connection with limits; a subclass may have other limits. The check of a header costs next to nothing."""

    max_head_bytes = MAX_HEAD_BYTES
    max_headers = MAX_HEADERS
    body_s = BODY_S
    _sweeping: set[int] = set()  # noqa: RUF012 - ids of the event loops that have a sweep
    _unfinished = 0
    """Bytes received since a head ended, a piece of a body came or a request began, without the bytes of that read."""
    _received = 0
    """Bytes of the read that is being parsed."""
    _deadline = _NEVER
    _in_request = _is_too_large = _refused = False

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
        self._received = len(data)
        self._unfinished += self._received
        HttpToolsProtocol.data_received(self, data)
        if self._is_too_large or self._unfinished > self.max_head_bytes:
            self._refuse(
                431, f"a request's head has at most {self.max_head_bytes} bytes and {self.max_headers} headers"
            )

    def on_message_begin(self) -> None:
        self._in_request = True
        self._unfinished = 0
        self._deadline = self.loop.time() + HEAD_S
        HttpToolsProtocol.on_message_begin(self)

    def on_headers_complete(self) -> None:
        if self._unfinished + self._received > self.max_head_bytes:
            # checked only here: fewer bytes cannot hold a head over the limit
            head = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            self._is_too_large |= head > self.max_head_bytes
        # headers are counted here, not while they arrive: those of a head within its limit need little memory
        self._is_too_large |= len(self.headers) > self.max_headers
        self._unfinished = 0
        self._deadline = self.loop.time() + self.body_s
        if not self._is_too_large:
            HttpToolsProtocol.on_headers_complete(self)

    def on_body(self, body: bytes) -> None:
        self._unfinished = 0
        if not self._is_too_large:
            HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        self._unfinished = 0
        self._in_request = False
        self._deadline = _NEVER
        if not self._is_too_large:
            HttpToolsProtocol.on_message_complete(self)

    def expire(self, now: float) -> None:
        """Refuse a request that has not arrived in time."""
        if now <= self._deadline or self._refused:
            return
        if self._in_request or self._unfinished:
            self._refuse(408, "the request did not arrive in time")
        else:
            self._refused = True  # without a request there is no answer
            self.transport.close()

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
