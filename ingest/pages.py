"""Requests that are not events in (definitions, health, reads), answers out: the edge's slower paths."""

import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ingest import body, campaigns, control
from ingest.control import ControlWriter
from ingest.edge import Edge
from ingest.forward import Forward
from schemas.campaigns import shape
from schemas.web import Json, authorise


class Pages:
    """Handlers; what they raise is answered by ``schemas.web.Surface``."""

    def __init__(self, edge: Edge, forward: Forward, writer: ControlWriter) -> None:
        self._edge = edge
        self._forward = forward
        self._writer = writer

    async def create_segment(self, request: Request) -> Response:
        workspace, environment = self._home(request, "segments:write")
        segment = control.new_segment(await self._json(request), workspace, environment, self._edge.clock())
        await self._writer.put("segment", segment)
        return Json({**control.shape(segment), "status": "live", "contacts": 0, "fresh_as_of": None}, 201)

    async def edit_segment(self, request: Request) -> Response:
        """The read API's answer after the edit, so that the counts are true."""
        workspace, environment = self._home(request, "segments:write")
        segment = self._writer.segment(workspace, environment, request.path_params["id"])
        await self._writer.put(
            "segment", control.edited_segment(segment, await self._json(request), self._edge.clock())
        )
        return await self._forward.read(request)

    async def delete_segment(self, request: Request) -> Response:
        workspace, environment = self._home(request, "segments:write")
        segment = self._writer.segment(workspace, environment, request.path_params["id"])
        await self._writer.put("segment", segment.model_copy(update={"deleted": True}))
        return Response(status_code=204)

    async def create_campaign(self, request: Request) -> Response:
        workspace, environment = self._home(request, "campaigns:write")
        campaign = campaigns.new_campaign(
            await self._json(request),
            workspace,
            environment,
            self._edge.clock(),
            number=self._writer.next_number(workspace),
            trigger=secrets.token_hex(24),
        )
        await self._writer.put("campaign", campaign)
        return Json(shape(campaign), 201)

    async def edit_campaign(self, request: Request) -> Response:
        workspace, environment = self._home(request, "campaigns:write")
        campaign = self._writer.campaign(workspace, environment, request.path_params["id"])
        edited = campaigns.edited_campaign(campaign, await self._json(request), self._edge.clock())
        await self._writer.put("campaign", edited)
        return Json(shape(edited))

    async def live(self, _request: Request) -> Response:
        return Json({"status": "live"})

    async def ready(self, _request: Request) -> Response:
        """200 when events are taken and reads are answered."""
        reads = await self._forward.is_ready()
        return Json({"status": "ready" if reads else "starting", "reads": reads}, 200 if reads else 503)

    def _home(self, request: Request, scope: str) -> tuple[str, str]:
        headers = dict(request.scope["headers"])
        principal = authorise(self._edge.control, headers, request.query_params, scope, self._edge.clock())
        return principal.workspace, principal.environment

    async def _json(self, request: Request) -> Any:
        headers: dict[bytes, bytes] = dict(request.scope["headers"])
        limit = self._edge.settings.max_body_bytes
        body.check_content_type(headers.get(b"content-type", b""))
        raw = await body.read(request.receive, limit)
        return body.parse(body.decode(raw, headers.get(b"content-encoding", b""), limit), "")
