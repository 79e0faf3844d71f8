"""`POST /v1/campaigns` and `PATCH /v1/campaigns/{id}` in; the campaign with its figures, as reads show it, out.

The destination of a trigger's messages is an existing webhook, a URL (which creates a webhook for this campaign alone;
its secret by `POST /v1/webhooks/{id}/rotate`), or a Kafka topic, which is created with the workspace in its name.
"""

import asyncio
import secrets
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, UnknownError
from starlette.requests import Request
from starlette.responses import Response

from ingest.control import campaigns, webhooks
from ingest.control.webhook_routes import SECRET_BYTES
from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.json_body import json_of
from ingest.http.read_api import ReadApiClient
from ingest.http.ssrf_guard import check_target
from schemas import topics
from schemas.api.requests.body import checked
from schemas.api.requests.campaigns import CampaignEdit, NewCampaign
from schemas.control import url_policy
from schemas.control.control_state import Campaign, Webhook
from schemas.control.lookup import require_campaign
from schemas.errors import ApiError
from schemas.records.records import REQUESTED
from schemas.service import kafka

MOST_TOPICS = 20
"""Topics of all campaigns of a workspace."""


class CampaignRoutes:
    """Handlers; ``schemas.service.web.ErrorMiddleware`` answers their errors."""

    def __init__(self, edge: Edge, read_api: ReadApiClient, writer: ControlWriter) -> None:
        self._edge = edge
        self._read_api = read_api
        self._writer = writer

    async def create(self, request: Request) -> Response:
        principal = self._edge.authorise(request, "campaigns:write")
        body = checked(NewCampaign, await json_of(request, self._edge.settings))
        if body.id is not None and self._edge.control.has_campaign(principal.workspace, body.id):
            raise ApiError("conflict", f"there is a campaign {body.id} in this workspace already", "id")
        campaign = campaigns.new_campaign(
            body,
            principal.workspace,
            principal.environment,
            self._edge.clock(),
            number=self._writer.next_number(principal.workspace),
            trigger=secrets.token_hex(24),
        )
        await self._put(campaign, None)
        return await self._read_api.proxy_get(request, f"/v1/campaigns/{campaign.id}", 201)

    async def edit(self, request: Request) -> Response:
        """The read API's answer after the edit, so that the figures are true."""
        principal = self._edge.authorise(request, "campaigns:write")
        before = require_campaign(
            self._edge.control.campaigns[principal.workspace, principal.environment], request.path_params["id"]
        )
        body = checked(CampaignEdit, await json_of(request, self._edge.settings))
        await self._put(campaigns.edited_campaign(before, body, self._edge.clock()), before)
        return await self._read_api.proxy_get(request)

    async def _put(self, campaign: Campaign, before: Campaign | None) -> None:
        """Writes the webhook before the campaign, so that a campaign never names a missing webhook."""
        segments = self._edge.control.segments[campaign.workspace, campaign.environment]
        if campaign.launch_on_entry not in ("", before.launch_on_entry if before else "", *segments):
            raise ApiError("invalid_field", "no such segment: an id such as seg_... is needed", "launch_on_entry")
        delivery, previous = campaign.delivery, before.delivery if before else None
        if delivery is not None and delivery != previous:
            delivery = await self._settled(campaign, delivery, previous or {})
            campaign = campaign.model_copy(update={"delivery": delivery})
        await self._writer.put("campaign", campaign)

    async def _settled(self, campaign: Campaign, delivery: dict[str, Any], previous: dict[str, Any]) -> dict[str, Any]:
        """Raises ``ApiError`` (422) naming the field."""
        if "topic" in delivery:
            await self._make_topic(campaign, delivery["topic"])
            return delivery
        home = (campaign.workspace, campaign.environment)
        if "url" not in delivery:
            if delivery["webhook_id"] not in self._edge.control.webhooks[home]:
                raise ApiError("invalid_field", "no such webhook", "delivery.webhook_id")
            return delivery
        webhook = await self._endpoint(campaign, delivery["url"], previous)
        await self._writer.put("webhook", webhook)
        return {"url": webhook.url, "webhook_id": webhook.id}

    async def _make_topic(self, campaign: Campaign, name: str) -> None:
        edge = self._edge
        used = {(other.delivery or {}).get("topic") for other in edge.control.campaigns_of(campaign.workspace)} - {None}
        if name not in used and len(used) >= MOST_TOPICS:
            raise ApiError("invalid_field", f"a workspace has at most {MOST_TOPICS} topics", "delivery.topic")
        try:
            async with asyncio.timeout(edge.settings.publish_deadline_s):
                await kafka.make_topic(edge.settings, topics.customer(campaign.workspace, name, edge.settings))
        except (TimeoutError, KafkaConnectionError, UnknownError) as error:
            raise ApiError("unavailable", "Kafka does not answer; try again") from error
        except KafkaError as error:
            reason = f"Kafka refuses the topic: {type(error).__name__}"
            raise ApiError("invalid_field", reason, "delivery.topic") from error

    async def _endpoint(self, campaign: Campaign, url: str, previous: dict[str, Any]) -> Webhook:
        try:
            url_policy.checked_url(url)
        except ApiError as refused:
            raise ApiError(refused.code, refused.message, "delivery.url") from None
        await check_target(self._edge.settings, url, "delivery.url")
        own = self._edge.control.webhooks_by_id.get(previous.get("webhook_id", "")) if "url" in previous else None
        now_ms = self._edge.clock()
        if own is not None:
            return own.model_copy(update={"url": url, "updated_ms": now_ms})
        definition = {"url": url, "types": [REQUESTED]}
        entropy = secrets.token_bytes(SECRET_BYTES)
        made = webhooks.new_webhook(definition, campaign.workspace, campaign.environment, now_ms, entropy)
        return made.model_copy(update={"types": (), "campaign": campaign.id})
