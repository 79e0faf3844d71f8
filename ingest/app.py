"""Settings in, the edge as an ASGI app out: routes, lifespan, and the error shape of our own paths."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from ingest import openapi
from ingest.contacts.barrier import Barrier
from ingest.contacts.erasure import Erasures
from ingest.control.launch_routes import LaunchRoutes
from ingest.control.quarantine_routes import QuarantineRoutes
from ingest.control.writer import ControlWriter
from ingest.dialects import OPERATIONS
from ingest.events.ack_cache import EventAckCache
from ingest.events.edge import Edge, accumulator
from ingest.events.endpoint import IngestEndpoint
from ingest.events.merge_map import MergeMapReplica
from ingest.events.publish import Publisher
from ingest.events.receipts import Receipts
from ingest.events.replay_cache import RequestReplayCache
from ingest.http.health import Health
from ingest.http.idempotency import IdempotencyStore
from ingest.http.key_usage import KeyUsageRecorder
from ingest.http.rate_limit import RateLimiter
from ingest.http.read_api import ReadApiClient
from ingest.metrics import Metrics
from ingest.router import FastPathRouter
from ingest.write_routes import write_routes
from schemas import topics
from schemas.api.routes import READS
from schemas.control.control_state import ControlState
from schemas.control.development import check_keys
from schemas.control.launch_jobs import LaunchJobs
from schemas.control.quarantine_jobs import QuarantineJobs
from schemas.errors import ApiError
from schemas.service import web
from schemas.service.exposition import exposed
from schemas.service.heartbeat import beating
from schemas.service.kafka import Tail
from schemas.service.process import announce_ready, end_with
from schemas.settings import Settings
from schemas.tracing.start import started

READ_PATHS = frozenset(route.path for route in READS if route.method == "GET")


def build_edge(settings: Settings) -> Edge:
    """The edge's parts, nothing connected yet."""
    instance = f"edge_{secrets.token_hex(8)}"
    number = f"-{settings.worker}" if settings.worker else ""
    state_path = settings.home / "state"
    publisher, state = Publisher(settings), ControlState()
    return Edge(
        settings=settings,
        instance=instance,
        control=state,
        publisher=publisher,
        accumulator=accumulator(settings, publisher),
        receipts=Receipts(instance),
        merge_map=MergeMapReplica(state_path / f"edge-merges{number}", settings.partitions, state.erased),
        ack_cache=EventAckCache(),
        rate_limiter=RateLimiter(state, settings.rate_limit),
        idempotency=IdempotencyStore(state_path / f"edge-answers{number}"),
        replay_cache=RequestReplayCache(),
        tracer=started("ingest"),
    )


def _lifespan(
    edge: Edge,
    read_api: ReadApiClient,
    followed: tuple[Tail, Tail],
    parts: Sequence[KeyUsageRecorder | Erasures],
    health: Health,
    *,
    metrics: Metrics,
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    receipts = Tail(edge.settings, topics.RECEIPTS, edge.receipts.apply, from_end=True)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(edge.merge_map.close)
            stack.callback(edge.idempotency.close)
            stack.push_async_callback(health.stop)
            await read_api.start()
            stack.push_async_callback(read_api.stop)
            await stack.enter_async_context(exposed(edge.settings, metrics.exposition))
            await stack.enter_async_context(beating(edge.settings, health.needs))
            for part in (edge.publisher, *followed, receipts, *parts):
                await part.start()
                stack.push_async_callback(part.stop)
            check_keys(edge.control, edge.settings, edge.clock())
            # what is alive now stays: no collection need look at it again, and requests leave no cycles behind, of
            # which one with a thousand contacts is twenty thousand objects
            gc.collect()
            gc.freeze()
            gc.set_threshold(200_000, 20, 50)
            watching = asyncio.create_task(end_with([*followed, receipts]), name="tails")
            stack.callback(watching.cancel)
            refusals = topics.name(topics.REFUSALS, edge.settings)
            await stack.enter_async_context(edge.refusals.telling(edge.control, edge.publisher, refusals))
            announce_ready(edge.settings)
            yield

    return lifespan


def _all(*folds: Callable[[Any], None]) -> Callable[[Any], None]:
    def take(record: Any) -> None:
        for fold in folds:
            fold(record)

    return take


def _console(read_api: ReadApiClient) -> list[Route]:
    """Paths that a browser requests."""
    return [
        Route("/", read_api.page),
        Route("/console/live/stream", read_api.stream),
        Route("/console", read_api.page),
        Route("/console/{path:path}", read_api.page, methods=["GET", "POST"]),
    ]


def _documents() -> list[Route]:
    return [
        Route("/openapi.json", openapi.openapi),
        Route("/docs", openapi.page),
        Route("/docs/{name}", openapi.part),
    ]


def build_app(edge: Edge, read_api: ReadApiClient | None = None) -> FastPathRouter:
    """The whole edge; connects to nothing before its lifespan starts."""
    settings = edge.settings
    read_api = read_api or ReadApiClient(settings.query, settings.read_deadline_s)
    writer = ControlWriter(settings, edge.control, edge.publisher)
    merges = Tail(settings, topics.MERGES, edge.merge_map.apply, positions=edge.merge_map.positions())
    erasures, jobs = Erasures(edge, read_api, writer, Barrier(settings, merges)), QuarantineJobs()
    launches = LaunchJobs()
    edge.forget = erasures.forget
    control = Tail(settings, topics.CONTROL, _all(erasures.apply, jobs.take, launches.take))
    uses = KeyUsageRecorder(edge.rate_limiter, writer.put)
    health, metrics = Health(settings, read_api, edge.control), Metrics(edge)

    endpoints = [(o, IngestEndpoint(o, edge, read_api)) for o in OPERATIONS]
    hot = {o.path: endpoint for o, endpoint in endpoints if "{" not in o.path and "POST" in o.methods}

    async def ask(request: Request) -> Response:
        """A question of the read API that has a body."""
        edge.throttle(request)
        return await read_api.proxy(request)

    async def read(request: Request) -> Response:
        if request.url.path in hot and request.url.path not in READ_PATHS:
            raise ApiError("method_not_allowed", "this path takes POST", allow=["POST"])
        edge.throttle(request)
        return await (read_api.stream if request.url.path == "/v1/live" else read_api.proxy)(request)

    async def other(request: Request) -> Response:
        """405 with ``Allow`` if the edge or the read API knows the path, else 404."""
        path = request.url.path
        allow = {method for route in writes if route.path_regex.match(path) for method in route.methods or ()}
        allow |= await read_api.allowed_methods(request)
        if allow:
            raise ApiError("method_not_allowed", f"this path takes {', '.join(sorted(allow))}", allow=allow)
        raise ApiError("not_found", "no such path")

    writes = [
        *write_routes(edge, read_api, writer, control),
        *QuarantineRoutes(edge, read_api, writer, jobs).routes(),
        *LaunchRoutes(edge, read_api, writer, launches).routes(),
        *(Route(o.path, endpoint, methods=list(o.methods)) for o, endpoint in endpoints),
        Route("/v1/segments/preview", ask, methods=["POST"]),
        Route("/v1/segments/{id}/explain", ask, methods=["POST"]),
        Route("/v1/contacts/{id:path}", erasures.erase, methods=["DELETE"]),
    ]
    routes = [
        *writes,
        *_console(read_api),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        Route("/metrics", metrics.answer),
        *_documents(),
        Route("/v1/{path:path}", read, methods=["GET"]),
        Route("/tasks/{id}", read, methods=["GET"]),
        Route("/graphql", read, methods=["GET", "POST"]),
        Route("/v1/{path:path}", other, methods=["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    ]
    lifespan = _lifespan(edge, read_api, (control, merges), (uses, erasures), health, metrics=metrics)
    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    return FastPathRouter(hot, web.ErrorMiddleware(router, on_refused=edge.refusals.note_other), edge)
