"""Requests about typed columns in; their definitions on `control`, and responses, out."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.json_body import json_of
from schemas.api import serialize
from schemas.api.requests.access import TypedColumnEdit
from schemas.api.requests.body import checked
from schemas.control.control_state import TypedColumn
from schemas.control.lookup import require
from schemas.errors import ApiError
from schemas.limits import MAX_NAME, MOST_TYPED_COLUMNS
from schemas.service.web import JsonResponse


class TypedColumnRoutes:
    """Handlers for the key's environment. One write at a time keeps this edge within the bound."""

    def __init__(self, edge: Edge, writer: ControlWriter) -> None:
        self._edge = edge
        self._writer = writer
        self._one = asyncio.Lock()

    async def put(self, request: Request) -> Response:
        """Defines a typed column; raises ``ApiError``: 422, or 409 if the environment is at its limit."""
        principal = self._edge.authorise(request, "admin")
        name = _name(request)
        body = checked(TypedColumnEdit, await json_of(request, self._edge.settings))
        async with self._one:
            here = self._edge.control.typed_columns.get((principal.workspace, principal.environment), {})
            column = here.get(name)
            if column is None and len(here) >= MOST_TYPED_COLUMNS:
                message = f"the environment has {MOST_TYPED_COLUMNS} typed columns, the most: delete one first"
                raise ApiError("conflict", message, "property")
            if column is None or column.type != body.type:
                column = TypedColumn(
                    id=f"{principal.environment}.{name}",
                    workspace=principal.workspace,
                    environment=principal.environment,
                    property=name,
                    type=body.type,
                    created_ms=self._edge.clock(),
                )
                await self._writer.put("typed_column", column)
        return JsonResponse(serialize.typed_column(column, None), 202)

    async def delete(self, request: Request) -> Response:
        """Deletes a typed column; raises ``ApiError`` (404)."""
        principal = self._edge.authorise(request, "admin")
        here = self._edge.control.typed_columns.get((principal.workspace, principal.environment), {})
        column = require(here, request.path_params["property"], "typed column")
        await self._writer.put("typed_column", column.model_copy(update={"deleted": True}))
        return Response(status_code=204)


def _name(request: Request) -> str:
    name: str = request.path_params["property"]
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise ApiError(
            "invalid_field", f"must be the name of a property, 1 to {MAX_NAME} printable characters", "property"
        )
    return name
