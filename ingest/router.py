"""A request in; the endpoint that answers it, and around it CORS, idempotency and the request's span."""

from starlette.responses import Response

from ingest.dialects import OPERATIONS
from ingest.events.edge import Edge
from ingest.events.endpoint import IngestEndpoint
from ingest.http.cors import CorsPolicy
from ingest.http.idempotency import HEADER, IdempotencyMiddleware
from schemas.service import web
from schemas.service.memory_budget import HELD, release
from schemas.tracing.context import TRACE, TRACEPARENT
from schemas.tracing.spans import watching

_TRACEPARENT = TRACEPARENT.encode()


class FastPathRouter:
    """The paths that take events by one dictionary look-up, everything else by Starlette's router.

    An ingest endpoint answers its own errors, so a middleware before the router would add a fifth to the
    cost of a request and nothing else.
    """

    def __init__(self, endpoints: dict[str, IngestEndpoint], app: web.App, edge: Edge) -> None:
        self._endpoints = endpoints
        self._app = app
        self._edge = edge
        self._cors = CorsPolicy(edge.control, [(o.path, o.methods) for o in OPERATIONS])
        self._once = IdempotencyMiddleware(
            self._plain, edge.control, edge.rate_limiter, edge.idempotency, edge.settings.max_body_bytes
        )

    async def __call__(self, scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        app: web.App = self._plain
        tracer, span = self._edge.tracer, None
        if scope["type"] == "http":
            method = scope["method"]
            headers = scope[web.HEADERS] = dict(scope["headers"])
            if method == "OPTIONS":
                app = self._preflight
            elif b"origin" in headers:
                send = self._cors.answering(scope, send, self._edge.clock())
            if method == "POST":
                if HEADER in headers:
                    app = self._repeatable
                elif (endpoint := self._endpoints.get(scope["path"])) is not None:
                    app = endpoint
            if tracer is not None:
                route = scope["path"] if scope["path"] in self._endpoints else ""
                span = tracer.request(method, route, headers.get(_TRACEPARENT, b""))
                if span is not None:
                    scope[TRACE], send = span.traceparent, watching(span, send)
        try:
            await app(scope, receive, send)
        finally:
            if span is not None:
                span.end()
            if HELD in scope:
                release(scope)

    async def _repeatable(self, scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        await self._once(scope, receive, send, self._edge.clock())

    async def _plain(self, scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            # some SDKs put a slash behind the path
            endpoint = self._endpoints.get(scope["path"]) or self._endpoints.get(scope["path"].rstrip("/"))
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _preflight(self, scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        """A CORS preflight: a browser asks whether a page may send its request."""
        headers = self._cors.preflight(scope["path"], scope[web.HEADERS])
        if headers is None:
            await self._app(scope, receive, send)
            return

        async def answer(scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
            scope[web.EXTRA_HEADERS] = headers
            await Response(status_code=204)(scope, receive, send)

        await web.ErrorMiddleware(answer)(scope, receive, send)
