"""Requests about a test environment in; counts of accepted and refused events, the refused ones, or a reset, out.

The read API lists the accepted events: ``GET /v1/test/good``.
"""

from starlette.requests import Request
from starlette.responses import Response

from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.read_api import ReadApiClient
from schemas.control.lookup import require_test_environment
from schemas.errors import ApiError
from schemas.limits import DEFAULT_LIMIT, MAX_LIMIT
from schemas.service.web import JsonResponse
from schemas.times import iso

GOOD = "/v1/test/good"


class TestEnvironmentRoutes:
    """Handlers; each raises ``ApiError`` (409) in an environment of another kind."""

    __test__ = False
    """Not a test class: pytest is not to collect it."""

    def __init__(self, edge: Edge, read_api: ReadApiClient, writer: ControlWriter) -> None:
        self._edge = edge
        self._read_api = read_api
        self._writer = writer

    async def counts(self, request: Request) -> Response:
        principal = self._edge.authorise(request, "contacts:read")
        here = require_test_environment(self._edge.control, principal.workspace, principal.environment)
        good = await self._read_api.get_json(request, GOOD)
        if good is None:
            raise ApiError("unavailable", "the read API cannot count now; try again")
        bad = len(self._edge.rejected.since((here.workspace, here.id), here.reset_ms))
        return JsonResponse(
            {"good": good["total"], "bad": bad, "total": good["total"] + bad, "since": iso(here.reset_ms)}
        )

    async def bad(self, request: Request) -> Response:
        principal = self._edge.authorise(request, "contacts:read")
        here = require_test_environment(self._edge.control, principal.workspace, principal.environment)
        kind = request.query_params.get("type", "")
        calls = self._edge.rejected.since((here.workspace, here.id), here.reset_ms, kind)
        shown = [call.to_json() for call in calls[: _limit(request)]]
        return JsonResponse({"data": shown, "total": len(calls), "since": iso(here.reset_ms)})

    async def reset(self, request: Request) -> Response:
        """Starts the counts anew: earlier events no longer count, but are not deleted."""
        principal = self._edge.authorise(request, "contacts:write")
        here = require_test_environment(self._edge.control, principal.workspace, principal.environment)
        # an event of this very millisecond may be earlier or later: it counts as earlier
        now_ms = max(self._edge.clock(), here.reset_ms) + 1
        await self._writer.put("environment", here.model_copy(update={"reset_ms": now_ms}))
        return JsonResponse({"since": iso(now_ms)})


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= MAX_LIMIT:
        raise ApiError("invalid_field", f"limit must be a number from 1 to {MAX_LIMIT}", "limit")
    return int(text)
