"""Settings in, the edge as an ASGI app out: routes, lifespan, and the error shape of our own paths."""

import gc
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from ingest.control import ControlWriter
from ingest.dialects import OPERATIONS
from ingest.edge import Edge, collector
from ingest.forward import Forward
from ingest.pages import Pages
from ingest.publish import Publisher
from ingest.receipts import Receipts
from ingest.recent import Recent
from ingest.repeats import Repeats
from ingest.request import IngestEndpoint
from ingest.view import MergeView
from schemas import topics, web
from schemas.control import ControlState
from schemas.errors import Refused
from schemas.kafka import Tail
from schemas.process import announce_ready
from schemas.settings import Settings


class HotPaths:
    """The paths that take events by one dictionary look-up, everything else by Starlette's router.

    An ingest endpoint answers its own errors, so what stands in front of the router would add a fifth to the
    cost of a request and nothing else.
    """

    def __init__(self, endpoints: dict[str, IngestEndpoint], app: web.App) -> None:
        self._endpoints = endpoints
        self._app = app

    async def __call__(self, scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._endpoints.get(scope["path"])
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self._app(scope, receive, send)


def build_edge(settings: Settings) -> Edge:
    """The edge's parts, nothing connected yet."""
    instance = f"edge_{secrets.token_hex(8)}"
    publisher = Publisher(settings)
    return Edge(
        settings=settings,
        instance=instance,
        control=ControlState(),
        publisher=publisher,
        collector=collector(settings, publisher),
        receipts=Receipts(instance),
        view=MergeView(settings.home / "state" / "edge-merges", settings.partitions),
        recent=Recent(),
        repeats=Repeats(),
    )


def _lifespan(edge: Edge, forward: Forward) -> Callable[[object], AbstractAsyncContextManager[None]]:
    control = Tail(edge.settings, topics.CONTROL, lambda r: edge.control.apply(r.key, r.value))
    merges = Tail(edge.settings, topics.MERGES, edge.view.apply, positions=edge.view.positions())
    receipts = Tail(edge.settings, topics.RECEIPTS, edge.receipts.apply, from_end=True)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(edge.view.close)
            for part in (edge.publisher, forward, control, merges, receipts):
                await part.start()
                stack.push_async_callback(part.stop)
            # what is alive now stays: no collection need look at it again, and requests leave no cycles behind
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 50)
            announce_ready(edge.settings)
            yield

    return lifespan


def build_app(edge: Edge, forward: Forward | None = None) -> HotPaths:
    """The whole edge; connects to nothing before its lifespan starts."""
    settings = edge.settings
    forward = forward or Forward(settings.query)
    pages = Pages(edge, forward, ControlWriter(settings, edge.control, edge.publisher))

    endpoints = {o.path: IngestEndpoint(o, edge, forward) for o in OPERATIONS}

    async def read(request: Request) -> Response:
        if request.url.path in endpoints:
            raise Refused("method_not_allowed", "this path takes POST")
        return await forward.handle(request)

    routes = [
        *(Route(o.path, endpoints[o.path], methods=list(o.methods)) for o in OPERATIONS),
        Route("/v1/segments", pages.create_segment, methods=["POST"]),
        Route("/v1/segments/{id}", pages.edit_segment, methods=["PATCH"]),
        Route("/v1/segments/{id}", pages.delete_segment, methods=["DELETE"]),
        Route("/v1/campaigns", pages.create_campaign, methods=["POST"]),
        Route("/v1/campaigns/{id}", pages.edit_campaign, methods=["PATCH"]),
        Route("/health/live", pages.live),
        Route("/health/ready", pages.ready),
        Route("/v1/{path:path}", read, methods=["GET"]),
        Route("/tasks/{id}", read, methods=["GET"]),
        Route("/graphql", forward.handle, methods=["GET", "POST"]),
    ]
    router = Router(routes, redirect_slashes=False, lifespan=_lifespan(edge, forward))
    plain = {path: endpoint for path, endpoint in endpoints.items() if "{" not in path}
    return HotPaths(plain, web.Surface(router))
