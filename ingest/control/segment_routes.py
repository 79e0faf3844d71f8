"""Requests that create, change and delete segments in; records on `control`, and answers, out."""

import asyncio
import time
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ingest.control import writer
from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.json_body import json_of
from ingest.http.read_api import ReadApiClient
from schemas.control.control_state import Segment
from schemas.errors import ApiError
from schemas.service.web import JsonResponse

WARNINGS = "/internal/segments/warnings"
SETTLES_WITHIN_S = 1.0


class SegmentRoutes:
    """Handlers; ``schemas.service.web.ErrorMiddleware`` answers their errors."""

    def __init__(self, edge: Edge, read_api: ReadApiClient, writer: ControlWriter) -> None:
        self._edge = edge
        self._read_api = read_api
        self._writer = writer

    async def create_segment(self, request: Request) -> Response:
        workspace, environment = self.home(request, "segments:write")
        segment = writer.new_segment(await self.json(request), workspace, environment, self._edge.clock())
        self._writer.check_references(segment)
        await self._writer.put("segment", segment)
        await self.settled(segment)
        answer = await self._read_api.proxy_get(request, f"/v1/segments/{segment.id}", 201)
        return await self._warned(request, segment, answer)

    async def _warned(self, request: Request, segment: Segment, answer: StreamingResponse) -> Response:
        """The answer with the rule's warnings; without them if the read API is unavailable: the segment is written."""
        if segment.rule is None or answer.status_code not in (200, 201):
            return answer
        try:
            report = await self._read_api.post(request, WARNINGS, {"rule": segment.rule}, segment.environment)
        except ApiError:
            return answer
        if not report["warnings"]:
            return answer
        raw = b"".join([bytes(part) async for part in answer.body_iterator])  # type: ignore[arg-type]
        return JsonResponse({**orjson.loads(raw), "warnings": report["warnings"]}, answer.status_code)

    async def settled(self, *segments: Segment) -> None:
        """Waits a moment for the segments' backfill: with little history it ends before the request is answered."""
        deadline = time.monotonic() + SETTLES_WITHIN_S
        control, partitions = self._edge.control, self._edge.settings.partitions
        waiting = list(segments)
        while waiting and time.monotonic() < deadline:
            waiting = [segment for segment in waiting if control.standing(segment, partitions)[0] == "backfilling"]
            if waiting:
                await asyncio.sleep(0.02)  # a record from another process: nothing here could be awaited

    async def edit_segment(self, request: Request) -> Response:
        """The read API's answer after the edit, so that the counts are true."""
        workspace, environment = self.home(request, "segments:write")
        segment = self._writer.segment(workspace, environment, request.path_params["id"])
        edited = writer.edited_segment(segment, await self.json(request), self._edge.clock())
        self._writer.check_references(edited)
        await self._writer.put("segment", edited)
        await self.settled(edited)
        answer = await self._read_api.proxy_get(request)
        return answer if edited.rule == segment.rule else await self._warned(request, edited, answer)

    async def delete_segment(self, request: Request) -> Response:
        workspace, environment = self.home(request, "segments:write")
        segment = self._writer.segment(workspace, environment, request.path_params["id"])
        self._writer.check_unused(segment)
        await self._writer.put("segment", segment.model_copy(update={"deleted": True}))
        return Response(status_code=204)

    def home(self, request: Request, scope: str) -> tuple[str, str]:
        """Workspace and environment of the caller; raises ``ApiError`` (401, 403, 422, 429)."""
        principal = self._edge.authorise(request, scope)
        return principal.workspace, principal.environment

    async def json(self, request: Request, default: Any = None) -> Any:
        """The body's value; ``default`` if the body is empty and may be."""
        return await json_of(request, self._edge.settings, default)
