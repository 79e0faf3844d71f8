"""`POST /v1/campaigns/{id}/launch` in; the plan of a launch, or a job on `control` and its result, out.

The client's own id or the Idempotency-Key identifies a launch. A repeated request means the same launch, finished or
not, at any edge and after any crash.
"""

import asyncio
import hashlib
import logging
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.control.writer import ControlWriter
from ingest.events.canonical import check_depth
from ingest.events.edge import Edge
from ingest.http.idempotency import IDEMPOTENCY_SEED
from ingest.http.json_body import json_of
from ingest.http.read_api import ReadApiClient
from schemas import ids
from schemas.api import serialize, wait_parameters
from schemas.api.requests.body import checked
from schemas.api.requests.campaigns import NewLaunch
from schemas.api.serialize import UNSENT
from schemas.control.access import Principal
from schemas.control.control_state import Campaign, encode
from schemas.control.launch_jobs import KIND, MAX_OPEN, PREFIX, Audience, LaunchJob, LaunchJobs, job_id
from schemas.control.lookup import require_campaign
from schemas.errors import ApiError
from schemas.rules import rule_tree
from schemas.service.web import JsonResponse

log = logging.getLogger(__name__)

OVERRIDE = "campaigns:override_consent"
LOOK_S = 0.03
MAX_CONTENT = 64 * 1024
"""Bytes of content and custom_data: they stand in each message."""


class LaunchRoutes:
    """Handlers; ``schemas.service.web.ErrorMiddleware`` answers their errors."""

    def __init__(self, edge: Edge, read_api: ReadApiClient, writer: ControlWriter, jobs: LaunchJobs) -> None:
        self._edge = edge
        self._read_api = read_api
        self._writer = writer
        self._jobs = jobs

    def routes(self) -> list[Route]:
        return [Route("/v1/campaigns/{id}/launch", self.launch, methods=["POST"])]

    async def launch(self, request: Request) -> Response:
        """200 when it is done, 202 with its address when it takes longer; raises ``ApiError`` (403, 404, 409, 422)."""
        principal = self._edge.authorise(request, "campaigns:write")
        home = (principal.workspace, principal.environment)
        campaign = require_campaign(self._edge.control.campaigns[home], request.path_params["id"])
        body = checked(NewLaunch, await json_of(request, self._edge.settings))
        self._check(principal, campaign, body)
        job = self._job(request, principal, campaign, body)
        earlier = self._jobs.get(*home, job.id)
        if earlier is not None and not body.dry_run:
            return await self._repeated(request, earlier, job)
        question = body.model_dump(include={"segment", "contact", "rule", "override_consent"})
        plan: dict[str, Any] = {}
        if body.dry_run or body.contact is not None:
            place = f"/internal/campaigns/{quote(campaign.id, safe='')}/plan"
            plan = await self._read_api.post(request, place, question, principal.environment)
            contact = plan.pop("contact")
            if contact is not None:
                job = job.model_copy(update={"audience": Audience(contact=contact)})
        if body.dry_run:
            audience = job.audience.model_dump(exclude_defaults=True)
            return JsonResponse({"dry_run": True, "campaign_id": campaign.id, "audience": audience, **plan})
        if self._jobs.open_of(principal.workspace) >= MAX_OPEN:
            raise ApiError("rate_limited", f"{MAX_OPEN} launches of the workspace are under way; try again later")
        if body.override_consent:
            log.warning("key %s launches campaign %s as %s without consents", principal.key_id, campaign.id, job.id)
        await self._writer.put(KIND, job)
        self._jobs.apply(*encode(KIND, job))
        if campaign.status in UNSENT:
            sent = {"status": "sent", "sent_ms": job.created_ms, "updated_ms": job.created_ms}
            await self._writer.put("campaign", campaign.model_copy(update=sent))
        return await self._answer(request, job)

    def _check(self, principal: Principal, campaign: Campaign, body: NewLaunch) -> None:
        if not campaign.delivery:
            message = 'the campaign goes nowhere: PATCH it with {"delivery": {"webhook_id" | "url" | "topic": ...}}'
            raise ApiError("conflict", message, "delivery")
        if campaign.status in ("paused", "archived"):
            raise ApiError("conflict", f"the campaign is {campaign.status}", "status")
        if body.override_consent and OVERRIDE not in principal.scopes:
            raise ApiError("missing_scope", f"the key lacks the scope {OVERRIDE}", "override_consent")
        home = (principal.workspace, principal.environment)
        segments = self._edge.control.segments[home]
        if body.segment is not None and body.segment not in segments:
            raise ApiError("not_found", "no such segment: an id such as seg_... is needed", "segment")
        if body.rule is not None:
            rule_tree.check("", body.rule, *self._edge.control.rules_and_lists(home))
        if body.variant is not None and all(body.variant != variant.id for variant in campaign.variants):
            raise ApiError("invalid_field", "the campaign has no such variant", "variant")
        for name, value in (("content", body.content), ("custom_data", body.custom_data)):
            # it becomes a property of an event, and orjson writes no deep value
            check_depth(value or {}, name, self._edge.settings.max_depth)
        if len(orjson.dumps([body.content, body.custom_data])) > MAX_CONTENT:
            raise ApiError("too_large", f"content and custom_data are larger than {MAX_CONTENT} bytes", "content")

    def _job(self, request: Request, principal: Principal, campaign: Campaign, body: NewLaunch) -> LaunchJob:
        now_ms, seed = self._edge.clock(), request.scope.get(IDEMPOTENCY_SEED)
        own = f"id/{body.id}" if body.id is not None else f"key/{seed}" if seed else ""
        home = (principal.workspace, principal.environment)
        fields = body.model_dump(exclude={"dry_run", "id"})
        return LaunchJob.model_validate(
            {
                "id": job_id(*home, campaign.id, own) if own else ids.new_id(PREFIX, now_ms),
                "workspace": principal.workspace,
                "environment": principal.environment,
                "created_ms": now_ms,
                "campaign": campaign.id,
                "audience": {"segment": body.segment or "", "contact": body.contact or "", "rule": body.rule},
                "content": body.content,
                "custom_data": body.custom_data,
                "variant": body.variant or "",
                "override_consent": body.override_consent,
                "key_id": principal.key_id,
                "digest": hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest(),
            }
        )

    async def _repeated(self, request: Request, earlier: LaunchJob, job: LaunchJob) -> Response:
        if earlier.digest != job.digest:
            raise ApiError("conflict", "this id came with another launch before", "id")
        return await self._answer(request, earlier)

    async def _answer(self, request: Request, job: LaunchJob) -> Response:
        """Answers 200 once the launch is done, or 202 if it takes longer than ``timeout_ms``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_parameters.timeout_ms(request.query_params) / 1000
        while not job.done_ms and loop.time() < deadline:
            await asyncio.sleep(LOOK_S)
            job = self._jobs.get(job.workspace, job.environment, job.id) or job
        headers = {"Location": f"/v1/campaigns/{quote(job.campaign, safe='')}/launches/{job.id}"}
        return JsonResponse(serialize.launch(job), 200 if job.done_ms else 202, headers)
