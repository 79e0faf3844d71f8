"""An ASGI app in; the app with a request id and errors in one shape out.

1. ``X-Request-Id`` stands on every answer: the client's own where it is a sane one, else a new one.
2. An endpoint's exception becomes ``{"error": {"code", "message", "param", "request_id"}}``: ``ApiError`` with its
   status, 404 and 405 of the router, and 500 for everything else, which is logged with the request id.
"""

import asyncio
import hashlib
import logging
import math
import os
import re
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import uvicorn
from aiokafka.errors import KafkaError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from uvicorn.config import STARTUP_FAILURE

from schemas import ids
from schemas.control import access
from schemas.control.access import Principal
from schemas.control.control_state import ControlState
from schemas.errors import ApiError, CannotStart
from schemas.service import clock
from schemas.service.http_protocol import BoundedProtocol
from schemas.service.kafka import TailEndedError

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_VALUE = re.compile(r":[^/]+")
"""An identifier's value in a path: it is personal data."""
REQUEST_ID = "headwater.request_id"
HEADERS = "headwater.header_map"
"""The scope's headers by name; the edge sets it before any of its endpoints runs."""
EXTRA_HEADERS = "headwater.headers"
"""Headers that every answer to a request carries beside its own, refusals too."""
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
DRAINING = "draining"
RETRY_AFTER = {"Retry-After": "1"}


class JsonResponse(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def is_draining(request: Request) -> bool:
    """Whether balancers should send requests elsewhere, as the process is about to end."""
    return DRAINING in request.scope.get("state", ())


def refusal(refused: ApiError, request_id: str, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """The answer to a refused request."""
    all_headers = dict(headers or {})
    if refused.status in (429, 503):
        all_headers |= RETRY_AFTER
    if refused.allow:
        all_headers["Allow"] = ", ".join(refused.allow)
    return JsonResponse({"error": refused.body(request_id)}, refused.status, all_headers)


def refused_by(error: HTTPException) -> ApiError:
    """The router's own exceptions in our words."""
    if error.status_code == 405:
        return ApiError("method_not_allowed", "this path takes another method")
    if error.status_code == 404:
        return ApiError("not_found", "no such path")
    return ApiError("internal" if error.status_code >= 500 else "invalid_type", str(error.detail))


class ErrorMiddleware:
    """Outermost; inside it every scope has its request id under ``REQUEST_ID``.

    An answer has begun before ``within_s``, where that is given; else it is 503.
    ``on_refused`` is called for each refused request.
    ``app`` is a ``Router`` or anything that raises: Starlette's own error handlers would answer before this does.
    """

    def __init__(
        self,
        app: App,
        within_s: Callable[[Scope], float] | None = None,
        on_refused: Callable[[Scope, ApiError], None] | None = None,
    ) -> None:
        self._app = app
        self._within_s = within_s
        self._on_refused = on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, _briefly(send))
            return
        supplied = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        request_id = ids.request_id(supplied, clock.now_ms())
        scope[REQUEST_ID] = request_id
        scope.setdefault("app", self)  # makes Starlette raise its 404 and 405, which are rendered as JSON here
        header = (b"x-request-id", request_id.encode())
        started = failed = False

        async def identified(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if not deadline.expired() and not failed:
                    deadline.reschedule(None)
                message["headers"] = [*message.get("headers", ()), *scope.get(EXTRA_HEADERS, ()), header, NO_SNIFFING]
            await send(message)

        try:
            async with asyncio.timeout(self._within_s(scope) if self._within_s else None) as deadline:
                await self._app(scope, receive, identified)
        except ClientDisconnect:
            log.debug("%s %s %s: the client went away", scope["method"], scope["path"], request_id)
        except Exception as error:
            failed = True
            if not isinstance(error, ApiError | HTTPException):
                path = _VALUE.sub(":…", scope["path"])
                log.exception("%s %s %s", scope["method"], path, request_id, extra={"request_id": request_id})
            if self._on_refused is not None and isinstance(error, ApiError | HTTPException):
                self._on_refused(scope, error if isinstance(error, ApiError) else refused_by(error))
            if started:
                raise  # the answer has begun: it cannot become an error
            await answer_to(error, request_id)(scope, receive, identified)


def answer_to(error: Exception, request_id: str) -> JsonResponse:
    """The answer to an endpoint's exception."""
    if isinstance(error, ApiError):
        return refusal(error, request_id)
    if isinstance(error, HTTPException):
        return refusal(refused_by(error), request_id, error.headers)
    if isinstance(error, KafkaError | TailEndedError | TimeoutError):
        return refusal(ApiError("unavailable", "a dependency does not answer; try again"), request_id)
    return refusal(ApiError("internal", "internal error; it has been logged"), request_id)


def authorise(
    control: ControlState, headers: Mapping[bytes, bytes], query: Mapping[str, str], scope: str | None, now_ms: int
) -> Principal:
    """The key's principal, in the environment of the request.

    Raises ``ApiError``: 401 without a valid key, 403 without the scope, 422 for an unknown environment.
    """
    principal = access.authorise(control, access.key_of(headers, query), scope, now_ms)
    access.check_place(principal, headers, query)
    environment = access.environment_of(control, principal, headers, query)
    return principal if environment == principal.environment else principal._replace(environment=environment)


class DrainingServer(uvicorn.Server):
    """After SIGTERM it reports not ready and answers for ``drain_s`` more; a second SIGTERM stops it at once."""

    def __init__(self, config: uvicorn.Config, drain_s: float) -> None:
        super().__init__(config)
        self._drain_s = drain_s
        self._ends_at = math.inf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self._drain_s and self.started and self._ends_at == math.inf:
            self.lifespan.state[DRAINING] = True  # a request's scope has a copy of it
            self._ends_at = time.monotonic() + self._drain_s
            log.info("draining for %g s", self._drain_s)
            return
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._ends_at:
            self.should_exit = True
        return await super().on_tick(counter)


def bound_socket(host: str, port: int, name: str, stack: str = "") -> socket.socket:
    """A socket of a port; with a ``stack`` other processes of that stack may have the port too (``SO_REUSEPORT``).

    Ends the process where others have it; ``name`` is the port's variable.
    """
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    own = socket.socket(family)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if stack:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        own.bind(address)
    except OSError as error:
        sys.exit(f"port {port} of {host} is taken ({error.strerror}): set {name} to a free one")
    if stack and (other := _claim(port, stack)):
        sys.exit(
            f"port {port} of {host} is taken by edges of another stack (process {other}): set {name} to a free one; "
            "edges of one stack have the same Kafka and topic prefix"
        )
    return own


def _claim(port: int, stack: str) -> int | None:
    """Says that this process has the port for the stack; returns a process that has it for another one.

    Linux alone shares a port's connections. A socket with an abstract name is seen where the port is, in the same
    network namespace, and goes with its process.
    """
    if sys.platform != "linux":
        return None
    own = hashlib.sha256(stack.encode()).hexdigest()[:16]
    _claims.append(socket.socket(socket.AF_UNIX))
    _claims[-1].bind(f"\0headwater/{port}/{own}/{os.getpid()}-{secrets.token_hex(4)}")
    claimed = re.findall(rf"@headwater/{port}/(\w+)/(\d+)-", Path("/proc/net/unix").read_text())
    return next((int(process) for other, process in claimed if other != own), None)


_claims: list[socket.socket] = []
"""Kept open for as long as this process lives."""


def serve(app: App, host: str, port: int, drain_s: float = 0.0, *, name: str, stack: str = "") -> None:
    """Runs an app in this process until SIGTERM, and ``drain_s`` more. Set up logging before.

    ``name`` and ``stack``: those of ``bound_socket``.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    server = DrainingServer(config, drain_s)
    with suppress(KeyboardInterrupt):
        own = bound_socket(host, port, name, stack)
        if not stack:
            own.close()  # the server binds each address of the host itself
        server.run([own] if stack else None)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _briefly(send: Send) -> Send:
    """Logs only the reason, without a traceback, if the process cannot start."""

    async def brief(message: Message) -> None:
        last = message.get("message", "").strip().rpartition("\n")[2]
        name, _, reason = last.partition(": ")
        await send({**message, "message": reason} if name.endswith(CannotStart.__name__) else message)

    return brief
