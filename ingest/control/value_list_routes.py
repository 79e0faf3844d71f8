"""Requests that create, change and delete named lists in; records on `control`, and responses, out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote
from weakref import WeakValueDictionary

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.control import value_lists
from ingest.control.segment_routes import SegmentRoutes
from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.read_api import ReadApiClient
from schemas.control.definitions import Segment, ValueList
from schemas.control.list_users import users_of
from schemas.control.lookup import require
from schemas.errors import ApiError

Home = tuple[str, str]
T = TypeVar("T")
Change = Callable[[ValueList, T, value_lists.Segments, int], ValueList]


class ValueListRoutes:
    """Handlers; ``schemas.service.web.ErrorMiddleware`` renders their errors."""

    def __init__(
        self,
        edge: Edge,
        segments: SegmentRoutes,
        read_api: ReadApiClient,
        writer: ControlWriter,
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._edge = edge
        self._segments = segments
        self._read_api = read_api
        self._writer = writer
        self._catch_up = catch_up
        self._turns: WeakValueDictionary[Home, asyncio.Lock] = WeakValueDictionary()

    def routes(self) -> list[Route]:
        return [
            Route("/v1/lists", self.create, methods=["POST"]),
            Route("/v1/lists/{name}", self.replace, methods=["PUT"]),
            Route("/v1/lists/{name}", self.delete, methods=["DELETE"]),
            Route("/v1/lists/{name}/values", self.add, methods=["POST"]),
            Route("/v1/lists/{name}/values", self.remove, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        home = self._segments.home(request, "segments:write")
        fields = value_lists.new_of(await self._segments.json(request))  # a wrong body waits for nothing
        async with self._turn(home):
            await self._newest()
            lists = dict(self._edge.control.value_lists[home])
            now_ms, segments = self._edge.clock(), self._segments_of(home)
            record = await asyncio.to_thread(value_lists.new_list, fields, home, lists, segments, now_ms)
            await self._writer.put("list", record)
        return await self._answer(request, record, 201)

    async def replace(self, request: Request) -> Response:
        return await self._edit(request, value_lists.replacement_of, value_lists.replaced)

    async def add(self, request: Request) -> Response:
        return await self._edit(request, value_lists.change_of, value_lists.with_values)

    async def remove(self, request: Request) -> Response:
        return await self._edit(request, value_lists.change_of, value_lists.without_values)

    async def delete(self, request: Request) -> Response:
        """Deletes a list; raises ``ApiError`` (409) while a segment uses it."""
        home = self._segments.home(request, "segments:write")
        async with self._turn(home):
            await self._newest()
            record = self._list(home, request)
            value_lists.check_unused(record, self._segments_of(home))
            await self._writer.put("list", record.model_copy(update={"deleted": True, "values": ()}))
        return Response(status_code=204)

    async def _edit(self, request: Request, read: Callable[[Any], T], change: Change[T]) -> Response:
        home = self._segments.home(request, "segments:write")
        fields = read(await self._segments.json(request))
        async with self._turn(home):
            await self._newest()
            record = self._list(home, request)
            edited = await asyncio.to_thread(change, record, fields, self._segments_of(home), self._edge.clock())
            if edited is not record:
                await self._writer.put("list", edited)
        return await self._answer(request, edited, 200)

    async def _answer(self, request: Request, record: ValueList, status: int) -> Response:
        """Returns the read API's response; with little history, segments of the list already follow it by then."""
        users = users_of(record.name, self._segments_of((record.workspace, record.environment)))
        await self._segments.settled(*users)
        return await self._read_api.proxy_get(request, f"/v1/lists/{quote(record.name)}", status)

    def _list(self, home: Home, request: Request) -> ValueList:
        """Returns a list; raises ``ApiError`` (404)."""
        return require(self._edge.control.value_lists[home], request.path_params["name"], "list")

    def _segments_of(self, home: Home) -> dict[str, Segment]:
        """Returns a copy of the segments for a thread: a check of 10,000 phone numbers takes a second."""
        return dict(self._edge.control.segments[home])

    async def _newest(self) -> None:
        """Reads other edges' writes first; raises ``ApiError`` (503) if Kafka does not answer in time."""
        try:
            async with asyncio.timeout(self._edge.settings.publish_deadline_s):
                await self._catch_up()
        except (TimeoutError, KafkaError) as error:
            raise ApiError("unavailable", "Kafka does not answer; try again") from error

    def _turn(self, home: Home) -> asyncio.Lock:
        """Serialises changes of a tenant's lists: each starts from the previous one's result."""
        return self._turns.setdefault(home, asyncio.Lock())
