"""Requests to replay or discard records in quarantine in; a job on `control`, and its result, out."""

import asyncio
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.control.quarantine import request_of
from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.json_body import json_of
from ingest.http.read_api import ReadApiClient
from schemas import ids
from schemas.api import serialize
from schemas.control.quarantine_jobs import (
    DISCARD,
    KIND,
    MAX_OPEN,
    REPLAY,
    QuarantineFilter,
    QuarantineJob,
    QuarantineJobs,
)
from schemas.errors import ApiError
from schemas.service.web import JsonResponse
from schemas.times import DAY_MS

PLAN = "/internal/quarantine/plan"
WITHIN_MS = "5000"
LOOK_S = 0.05


class QuarantineRoutes:
    """Handlers; ``schemas.service.web.ErrorMiddleware`` answers their errors."""

    def __init__(self, edge: Edge, read_api: ReadApiClient, writer: ControlWriter, jobs: QuarantineJobs) -> None:
        self._edge = edge
        self._read_api = read_api
        self._writer = writer
        self._jobs = jobs

    def routes(self) -> list[Route]:
        return [
            Route("/v1/quarantine/replay", self.replay, methods=["POST"]),
            Route("/v1/quarantine/discard", self.discard, methods=["POST"]),
            Route("/v1/quarantine/{id}/replay", self.replay_one, methods=["POST"]),
            Route("/v1/quarantine/{id}/discard", self.discard_one, methods=["POST"]),
        ]

    async def replay(self, request: Request) -> Response:
        """Replay the records of a filter; with ``dry_run`` answer what a replay would do now."""
        principal = self._edge.authorise(request, "admin")
        chosen, dry_run = request_of(await self._json(request), self._edge.clock())
        if dry_run:
            return JsonResponse(await self._read_api.post(request, PLAN, chosen.model_dump(), principal.environment))
        return self._answer(await self._job(request, REPLAY, chosen))

    async def discard(self, request: Request) -> Response:
        """Discard the records of a filter; they stay readable until they expire."""
        self._edge.authorise(request, "admin")
        chosen, dry_run = request_of(await self._json(request), self._edge.clock())
        if dry_run:
            raise ApiError("invalid_field", "a dry run is of a replay; a discard only marks records", "dry_run")
        return self._answer(await self._job(request, DISCARD, chosen))

    async def replay_one(self, request: Request) -> Response:
        """Replays a record; raises ``ApiError``: 404, or 409 if it was replayed or discarded, or cannot be replayed."""
        record = await self._record(request)
        if record["replay"]["would"] != REPLAY:
            raise ApiError("conflict", f"it is not replayed: {record['replay']['message']}")
        job = await self._job(request, REPLAY, self._only(record))
        if job.done_ms and not job.counts.get("replayed"):
            raise ApiError("conflict", "it is not replayed: another request was first, or its contact was erased")
        return self._answer(job)

    async def discard_one(self, request: Request) -> Response:
        """Discards a record; raises ``ApiError``: 404, or 409 if it was replayed or discarded before."""
        record = await self._record(request)
        if record["status"] != "open":
            raise ApiError("conflict", f"it was {record['status']} before")
        return self._answer(await self._job(request, DISCARD, self._only(record)))

    async def _record(self, request: Request) -> Any:
        self._edge.authorise(request, "admin")
        record = await self._read_api.get_json(request, f"/v1/quarantine/{quote(request.path_params['id'], safe='')}")
        if record is None:
            raise ApiError("not_found", "no such record in quarantine")
        return record

    def _only(self, record: Any) -> QuarantineFilter:
        # the clock of the stage that wrote it may be ahead
        return QuarantineFilter(ids=(record["id"],), until_ms=self._edge.clock() + DAY_MS)

    async def _job(self, request: Request, action: str, chosen: QuarantineFilter) -> QuarantineJob:
        """Durable; done, unless that takes longer than the request waits."""
        principal = self._edge.authorise(request, "admin")
        within_s = int(request.query_params.get("timeout_ms", WITHIN_MS)) / 1000  # checked with the other parameters
        if self._jobs.open_of(principal.workspace) >= MAX_OPEN:
            raise ApiError("rate_limited", f"{MAX_OPEN} jobs of the workspace wait already; try again when one is done")
        now_ms = self._edge.clock()
        job = QuarantineJob.model_validate(
            {
                "id": ids.new_id("qjb_", now_ms),
                "workspace": principal.workspace,
                "created_ms": now_ms,
                "action": action,
                "filter": chosen,
                "key_id": principal.key_id,
                "unowned": "instance" in principal.scopes,
            }
        )
        await self._writer.put(KIND, job)
        deadline = asyncio.get_running_loop().time() + within_s
        while asyncio.get_running_loop().time() < deadline:
            current = self._jobs.get(job.workspace, job.id)
            if current is not None and current.done_ms:
                return current
            await asyncio.sleep(LOOK_S)
        return job

    async def _json(self, request: Request) -> Any:
        return await json_of(request, self._edge.settings)

    @staticmethod
    def _answer(job: QuarantineJob) -> Response:
        headers = {"Location": f"/v1/quarantine/jobs/{job.id}"}
        return JsonResponse(serialize.quarantine_job(job), 200 if job.done_ms else 202, headers)
