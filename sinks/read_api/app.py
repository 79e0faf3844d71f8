"""Settings in, the read API as an ASGI app out.

Routes are matched on the path as it was sent, each part decoded afterwards: an identifier may contain a slash.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from schemas import topics
from schemas.control.control_state import ControlState
from schemas.control.development import check_keys
from schemas.control.launch_jobs import LaunchJobs
from schemas.control.quarantine_jobs import QuarantineJobs
from schemas.errors import ApiError
from schemas.limits import TIMEOUT_MS
from schemas.service import clock, web
from schemas.service.exposition import Exposition, exposed
from schemas.service.heartbeat import Check, beating, states_of
from schemas.service.kafka import Probe, Tail
from schemas.service.process import announce_ready, end_with
from schemas.settings import Settings
from sinks.console.app import Console
from sinks.read_api.contacts.read_your_writes import WrittenContacts
from sinks.read_api.control.consistency import ConsistencyCheck
from sinks.read_api.graphql import execution
from sinks.read_api.graphql.loaders import Loaders
from sinks.read_api.graphql.types import Context
from sinks.read_api.request import weight
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.context import authorise
from sinks.read_api.request.edge_client import EdgeClient, EdgeWrites
from sinks.read_api.request.record_times import RecordTimes
from sinks.read_api.request.tenant import Tenant
from sinks.read_api.routes import INTERNAL, routes
from sinks.read_api.services import ReadServices

PAGE_S = 20.0
READY_WITHIN_S = 1.0
"""Less than the edge waits for it."""


def graph_endpoint(settings: Settings, api: ReadServices, edge: EdgeClient) -> Callable[[Request], Awaitable[Response]]:
    """GraphQL: every field asks for its own scope, so any valid key may come in."""
    control, tail, reader = api.control, api.tail, api.reader

    async def endpoint(request: Request) -> Response:
        if request.method == "GET" and "query" not in request.query_params:
            if not settings.graphql_explorer:
                raise ApiError("not_found", "the explorer is off: HEADWATER_GRAPHQL_EXPLORER=1")
            return execution.explorer()
        principal = await authorise(request, control, tail, None)
        body = await execution.body_of(request)
        await tail.catch_up()
        place = (principal.workspace, principal.environment)
        home = Tenant(*place, control.segments[place])
        context = Context(
            principal=principal,
            tenant=home,
            reader=reader,
            control=control,
            loaders=Loaders(reader, control, home),
            launches=api.launches,
            writes=EdgeWrites(edge, request.headers, request.query_params),
        )
        return await execution.execute(body, context, may_write=request.method == "POST")

    return endpoint


def _health(needs: Mapping[str, Check]) -> list[Route]:
    async def live(_request: Request) -> Response:
        return web.JsonResponse({"status": "live"})

    async def ready(request: Request) -> Response:
        if web.is_draining(request):
            return web.JsonResponse({"status": "draining"}, 503)
        components = await states_of(needs, READY_WITHIN_S)
        is_ready = all(component["state"] == "ok" for component in components.values())
        return web.JsonResponse(
            {"status": "ready" if is_ready else "unavailable", "components": components}, 200 if is_ready else 503
        )

    return [Route("/health/live", live), Route("/health/ready", ready)]


def _tail(settings: Settings, control: ControlState, jobs: QuarantineJobs, launches: LaunchJobs) -> Tail:
    def take(record: Any) -> None:
        control.apply(record.key, record.value)
        jobs.take(record)
        launches.take(record)

    return Tail(settings, topics.CONTROL, take, patience_s=settings.read_deadline_s / 2)


def build_app(settings: Settings) -> web.ErrorMiddleware:
    """Connects to nothing before its lifespan starts."""
    control, jobs, launches = ControlState(), QuarantineJobs(), LaunchJobs()
    tail = _tail(settings, control, jobs, launches)
    reader = ClickHouseReader(settings)
    edge = EdgeClient(settings)
    parity = ConsistencyCheck(settings, control, reader)
    console = Console(settings, control, tail)
    probe = Probe(settings, topics.EVENTS)
    needs = {"kafka": probe.ask, "clickhouse": reader.check}

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(exposed(settings, Exposition(settings, "query", (), tuple)))
            await stack.enter_async_context(beating(settings, needs))
            stack.push_async_callback(probe.stop)
            for part in (reader, tail, edge, parity, console):
                await part.start()
                stack.push_async_callback(part.stop)
            check_keys(control, settings, clock.now_ms(), "query_host")
            watching = asyncio.create_task(end_with([tail]), name="tails")
            stack.callback(watching.cancel)
            announce_ready(settings)
            yield

    services = ReadServices(
        control=control,
        jobs=jobs,
        launches=launches,
        tail=tail,
        reader=reader,
        written=WrittenContacts(reader),
        parity=parity,
        times=RecordTimes(settings),
    )
    graphql = Route("/graphql", graph_endpoint(settings, services, edge), methods=["GET", "POST"])
    router = Router(
        [*routes(services), graphql, *_health(needs), *console.routes()],
        redirect_slashes=False,
        lifespan=lifespan,
    )

    async def as_sent(scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("latin-1").partition("?")[0]
        with weight.counted():
            await router(scope, receive, send)

    def within_s(scope: web.Scope) -> float:
        # an edge that waits for its own write gives its deadline itself
        waits = scope["path"] in (f"{INTERNAL}/contacts/written", f"{INTERNAL}/events/linked")
        # a page asks the API, whose answer may have to wait for a customer's endpoint
        asks = scope["path"].startswith("/console/")
        return settings.read_deadline_s + (TIMEOUT_MS[1] / 1000 if waits else PAGE_S if asks else 0)

    return web.ErrorMiddleware(as_sent, within_s)
