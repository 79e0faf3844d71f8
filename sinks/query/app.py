"""Settings in, the read API as an ASGI app out: who may ask, which function answers.

Routes are matched on the path as it was sent, each part decoded afterwards: an identifier may contain a slash.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from schemas import topics, web
from schemas.access import Principal
from schemas.campaigns import shape as campaign_shape
from schemas.control import ControlState
from schemas.errors import Refused
from schemas.kafka import Tail
from schemas.process import announce_ready
from schemas.settings import Settings
from sinks.graph import endpoint as graph
from sinks.graph.loaders import Loaders
from sinks.graph.types import Context
from sinks.query import (
    audience,
    belonging,
    campaigns,
    contact_list,
    contacts,
    definitions,
    identities,
    params,
    quarantine,
    tasks,
)
from sinks.query.contacts import Home
from sinks.query.params import Paging
from sinks.query.reader import Reader
from sinks.query.writes import Edge, Writes


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorised request: who, about what, with which parameters."""

    principal: Principal
    home: Home
    request: Request

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query_params)

    @property
    def paging(self) -> Paging:
        return params.paging(self.query)

    def part(self, name: str) -> str:
        """A part of the path, decoded."""
        text: str = self.request.path_params[name]
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise Refused("not_found", "the path is not UTF-8") from None


Answer = Callable[[Asked], Awaitable[Any]]


class Reads:
    """Each method answers one path."""

    def __init__(self, control: ControlState, tail: Tail, reader: Reader) -> None:
        self._control = control
        self._tail = tail
        self._reader = reader

    async def contact(self, asked: Asked) -> Any:
        return await contacts.get(self._reader, asked.home, asked.part("id"))

    async def contact_events(self, asked: Asked) -> Any:
        return await contacts.events(self._reader, asked.home, asked.part("id"), asked.paging)

    async def contact_identity(self, asked: Asked) -> Any:
        return await identities.identity(self._reader, asked.home, asked.part("id"))

    async def contact_segments(self, asked: Asked) -> Any:
        rows = await contacts.segments(self._reader, asked.home, asked.part("id"))
        known = self._control.segments[asked.home.workspace, asked.home.environment]
        named = [{**row, "name": known[row["id"]].name} for row in rows]
        return params.slice_of(asked.paging, named)

    async def contacts(self, asked: Asked) -> Any:
        segment = asked.query.get("segment_id")
        return await contact_list.contacts(self._reader, asked.home, asked.query, asked.paging, segment)

    async def segments(self, asked: Asked) -> Any:
        await self._tail.catch_up()
        paging = asked.paging
        found = definitions.segments_of(self._control, asked.home)
        shapes = await definitions.with_counts(self._reader, asked.home, found)
        return params.slice_of(paging, shapes)

    async def segment(self, asked: Asked) -> Any:
        await self._tail.catch_up()
        found = definitions.segment_named(self._control, asked.home, asked.part("id"))
        return (await definitions.with_counts(self._reader, asked.home, [found]))[0]

    async def segment_contacts(self, asked: Asked) -> Any:
        await self._tail.catch_up()
        segment = definitions.segment_named(self._control, asked.home, asked.part("id"))
        return await contact_list.contacts(self._reader, asked.home, {}, asked.paging, segment.id)

    async def keys(self, asked: Asked) -> Any:
        await self._tail.catch_up()
        return params.slice_of(asked.paging, definitions.keys_of(self._control, asked.principal.workspace))

    async def environments(self, asked: Asked) -> Any:
        await self._tail.catch_up()
        return params.slice_of(asked.paging, definitions.environments_of(self._control, asked.principal.workspace))

    async def task(self, asked: Asked) -> Any:
        return await tasks.task(self._reader, asked.principal.workspace, asked.part("id"), now_ms())

    async def quarantine(self, asked: Asked) -> Any:
        unowned = "instance" in asked.principal.scopes
        return await quarantine.quarantined(self._reader, asked.principal.workspace, asked.paging, unowned=unowned)

    async def campaigns(self, asked: Asked) -> Any:
        await self._tail.catch_up()
        found = campaigns.campaigns_of(self._control, asked.home, asked.query.get("status"))
        return params.slice_of(asked.paging, [campaign_shape(one) for one in found])

    async def campaign(self, asked: Asked) -> Any:
        await self._tail.catch_up()
        return campaign_shape(campaigns.campaign_named(self._control, asked.home, asked.part("id")))

    async def triggered(self, request: Request) -> Any:
        """The contacts that a trigger's link names; whoever has the link may use it, so it is the key."""
        await self._tail.catch_up()
        campaign = self._control.triggers.get(request.path_params["trigger"])
        if campaign is None:
            raise Refused("not_found", "no such trigger")
        home = Home(campaign.workspace, campaign.environment)
        return await audience.by_hash(self._reader, home, request.query_params.get("who", ""))

    async def refused(self, asked: Asked) -> Any:
        a, b = asked.query.get("a", ""), asked.query.get("b", "")
        return {"refused": await belonging.is_refused(self._reader, asked.home, a, b)}

    async def audience(self, asked: Asked) -> Any:
        try:
            body = orjson.loads(await asked.request.body())
        except orjson.JSONDecodeError as error:
            raise Refused("invalid_json", f"not valid JSON: {error}") from error
        return await audience.audience(self._reader, asked.home, body)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def routes(reads: Reads, control: ControlState) -> list[Route]:
    """Path, scope, answer."""
    table: tuple[tuple[str, str, Answer], ...] = (
        ("/v1/contacts", "contacts:read", reads.contacts),
        ("/v1/contacts/{id}", "contacts:read", reads.contact),
        ("/v1/contacts/{id}/events", "contacts:read", reads.contact_events),
        ("/v1/contacts/{id}/segments", "contacts:read", reads.contact_segments),
        ("/v1/contacts/{id}/identity", "contacts:read", reads.contact_identity),
        ("/v1/segments", "segments:read", reads.segments),
        ("/v1/segments/{id}", "segments:read", reads.segment),
        ("/v1/segments/{id}/contacts", "segments:read", reads.segment_contacts),
        ("/v1/keys", "admin", reads.keys),
        ("/v1/environments", "admin", reads.environments),
        ("/v1/tasks/{id}", "events:ingest", reads.task),
        ("/tasks/{id}", "events:ingest", reads.task),
        ("/v1/quarantine", "admin", reads.quarantine),
        ("/v1/campaigns", "campaigns:read", reads.campaigns),
        ("/v1/campaigns/{id}", "campaigns:read", reads.campaign),
        # what the edge asks for itself; its public port passes on nothing but /v1
        ("/internal/refused", "events:ingest", reads.refused),
        ("/internal/audience", "contacts:read", reads.audience),
    )

    def route(path: str, scope: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            headers = dict(request.scope["headers"])
            principal = web.authorise(control, headers, request.query_params, scope, now_ms())
            place = (principal.workspace, principal.environment)
            asked = Asked(principal, Home(*place, control.segments[place]), request)
            return web.Json(await answer(asked))

        return Route(path, endpoint, methods=["POST"] if answer == reads.audience else ["GET"])

    async def triggered(request: Request) -> Response:
        return web.Json(await reads.triggered(request))

    return [*(route(*row) for row in table), Route("/internal/trigger/{trigger}", triggered)]


def graph_endpoint(
    settings: Settings, control: ControlState, tail: Tail, reader: Reader, edge: Edge
) -> Callable[[Request], Awaitable[Response]]:
    """GraphQL: every field asks for its own scope, so any valid key may come in."""

    async def endpoint(request: Request) -> Response:
        if request.method == "GET" and "query" not in request.query_params:
            if not settings.graphql_explorer:
                raise Refused("not_found", "the explorer is off: HEADWATER_GRAPHQL_EXPLORER=1")
            return graph.explorer()
        principal = web.authorise(control, dict(request.scope["headers"]), request.query_params, None, now_ms())
        said = await graph.asked(request)
        await tail.catch_up()
        place = (principal.workspace, principal.environment)
        home = Home(*place, control.segments[place])
        context = Context(
            principal=principal,
            home=home,
            reader=reader,
            control=control,
            loaders=Loaders(reader, control, home),
            writes=Writes(edge, request.headers, request.query_params),
        )
        return await graph.execute(said, context, may_write=request.method == "POST")

    return endpoint


def build_app(settings: Settings) -> web.Surface:
    """Connects to nothing before its lifespan starts."""
    control = ControlState()
    tail = Tail(settings, topics.CONTROL, lambda record: control.apply(record.key, record.value))
    reader = Reader(settings)
    edge = Edge(settings)

    async def live(_request: Request) -> Response:
        return web.Json({"status": "live"})

    async def ready(_request: Request) -> Response:
        is_ready = await reader.is_ready()
        return web.Json({"status": "ready" if is_ready else "starting"}, 200 if is_ready else 503)

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in (reader, tail, edge):
                await part.start()
                stack.push_async_callback(part.stop)
            announce_ready(settings)
            yield

    graphql = Route("/graphql", graph_endpoint(settings, control, tail, reader, edge), methods=["GET", "POST"])
    health = [Route("/health/live", live), Route("/health/ready", ready)]
    router = Router(
        [*routes(Reads(control, tail, reader), control), graphql, *health],
        redirect_slashes=False,
        lifespan=lifespan,
    )

    async def as_sent(scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("latin-1").partition("?")[0]
        await router(scope, receive, send)

    return web.Surface(as_sent)
