"""Requests that make and revoke keys, environments and workspaces in; records on `control`, and answers, out."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from ingest.control import access
from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.json_body import json_of
from schemas.api import serialize
from schemas.api.answers.access import WorkspaceMadeShape
from schemas.api.requests.access import NewEnvironment, NewKey, NewWorkspace, WorkspaceEdit
from schemas.api.requests.body import checked
from schemas.control.lookup import require
from schemas.errors import ApiError
from schemas.service.web import JsonResponse


class AccessRoutes:
    """Handlers that perform one write at a time, so this edge assigns each number and name once.

    ``caught_up`` returns when this edge has read every definition that any edge has written until now.
    """

    def __init__(self, edge: Edge, writer: ControlWriter, caught_up: Callable[[], Awaitable[None]]) -> None:
        self._edge = edge
        self._writer = writer
        self._caught_up = caught_up
        self._lock = asyncio.Lock()

    async def create_key(self, request: Request) -> Response:
        principal = self._edge.authorise(request, "admin")
        body = checked(NewKey, await json_of(request, self._edge.settings))
        key, secret = access.new_key(body, principal, self._edge.control, self._edge.clock())
        await self._writer.put("key", key)
        return JsonResponse(serialize.made_key(key, secret), 201)

    async def revoke_key(self, request: Request) -> Response:
        """Raises ``ApiError``: 404, and 409 for the last key that can make others.

        Two edges may each revoke one of two keys at the same time. Each reads both records before it answers,
        so at least the later edge sees that no key is left, and restores its own.
        """
        principal = self._edge.authorise(request, "admin")
        async with self._lock:
            await self._catch_up(self._edge.settings.publish_deadline_s)
            key = self._edge.control.key_named(principal.workspace, request.path_params["id"])
            if key is None:
                raise ApiError("not_found", "no such key")
            access.check_revocable(key, self._edge.control, self._edge.clock())
            await self._writer.put("key", key.model_copy(update={"deleted": True}))
            try:
                await self._catch_up(self._edge.settings.publish_deadline_s)
                access.check_revocable(key, self._edge.control, self._edge.clock())
            except ApiError:
                await self._writer.put("key", key)
                raise
        return Response(status_code=204)

    async def _catch_up(self, within_s: float) -> None:
        """Raises ``ApiError`` (503)."""
        try:
            async with asyncio.timeout(within_s):
                await self._caught_up()
        except (KafkaError, TimeoutError) as error:
            raise ApiError("unavailable", "Kafka does not answer; try again") from error

    async def create_environment(self, request: Request) -> Response:
        principal = self._edge.authorise(request, "admin")
        body = checked(NewEnvironment, await json_of(request, self._edge.settings))
        async with self._lock:
            made = access.new_environment(body, principal.workspace, self._edge.control, self._edge.clock())
            await self._writer.put("environment", made)
        return JsonResponse(serialize.environment(made), 201)

    async def create_workspace(self, request: Request) -> Response:
        """Writes the key last: once it is valid, its workspace and environments exist."""
        self._edge.authorise(request, access.INSTANCE)
        body = checked(NewWorkspace, await json_of(request, self._edge.settings))
        async with self._lock:
            now_ms = self._edge.clock()
            workspace, environments = access.new_workspace(body, self._edge.control, now_ms)
            key, secret = access.first_key(workspace, now_ms)
            await self._writer.put("workspace", workspace)
            for environment in environments:
                await self._writer.put("environment", environment)
            await self._writer.put("key", key)
        answer: WorkspaceMadeShape = {
            **serialize.workspace(workspace),
            "environments": [serialize.environment(environment) for environment in environments],
            "key": serialize.made_key(key, secret),
        }
        return JsonResponse(answer, 201)

    async def edit_workspace(self, request: Request) -> Response:
        """Raises ``ApiError`` (404) for any workspace but the key's own."""
        principal = self._edge.authorise(request, "admin")
        workspace = require(self._edge.control.workspaces, principal.workspace, "workspace")
        if request.path_params["id"] != workspace.id:
            raise ApiError("not_found", "no such workspace")
        body = checked(WorkspaceEdit, await json_of(request, self._edge.settings))
        edited = access.edited_workspace(workspace, body)
        await self._writer.put("workspace", edited)
        return JsonResponse(serialize.workspace(edited))
