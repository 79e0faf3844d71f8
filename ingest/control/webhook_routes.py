"""Requests that define, test and retry webhooks and rotate their secrets in; records on `control`, and answers, out."""

import asyncio
import secrets
from typing import Any

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from ingest.control import webhooks
from ingest.control.segment_routes import SegmentRoutes
from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.read_api import ReadApiClient
from ingest.http.ssrf_guard import check_target
from schemas import ids, topics
from schemas.api import serialize
from schemas.control.control_state import Webhook
from schemas.control.lookup import require
from schemas.errors import ApiError
from schemas.records import codec, deliveries, webhook_tests
from schemas.records.deliveries import WebhookTestRequest
from schemas.records.identity import partition_of
from schemas.service.kafka import Tail
from schemas.service.web import JsonResponse

FOUND_S, ASK_S = 3.0, 0.1
"""How long an attempt that has been made may take to stand in the log, and how often it is looked for."""
SECRET_BYTES = 24
TEST_S = 14.0
"""How long the result of a test message is waited for: its endpoint has ten seconds, and a second for its body."""
MOST_RETRIES = 1000
"""Deliveries that one request asks to try again."""


class WebhookRoutes:
    """Handlers; ``schemas.service.web.ErrorMiddleware`` answers their errors."""

    def __init__(
        self, edge: Edge, pages: SegmentRoutes, read_api: ReadApiClient, writer: ControlWriter, definitions: Tail
    ) -> None:
        self._edge = edge
        self._pages = pages
        self._read_api = read_api
        self._writer = writer
        self._definitions = definitions

    async def create(self, request: Request) -> Response:
        home = self._pages.home(request, "webhooks:write")
        entropy = secrets.token_bytes(SECRET_BYTES)
        segments = self._edge.control.segments[home]
        value = await self._pages.json(request)
        webhook = webhooks.new_webhook(value, *home, self._edge.clock(), entropy, segments=segments)
        await check_target(self._edge.settings, webhook.url)
        await self._writer.put("webhook", webhook)
        return JsonResponse(serialize.webhook_with_secret(webhook), 201)

    async def edit(self, request: Request) -> Response:
        webhook = await self._webhook(request)
        value = await self._pages.json(request)
        segments = self._edge.control.segments[webhook.workspace, webhook.environment]
        edited = webhooks.edited_webhook(webhook, value, self._edge.clock(), segments=segments)
        if edited.url != webhook.url:
            await check_target(self._edge.settings, edited.url)
        await self._writer.put("webhook", edited)
        return JsonResponse(serialize.webhook(edited))

    async def delete(self, request: Request) -> Response:
        """Raises ``ApiError`` (409) where a campaign's messages go there."""
        webhook = await self._webhook(request)
        self._check_unused(webhook)
        await self._writer.put("webhook", webhook.model_copy(update={"deleted": True}))
        return Response(status_code=204)

    def _check_unused(self, webhook: Webhook) -> None:
        campaigns = self._edge.control.campaigns[webhook.workspace, webhook.environment].values()
        users = [
            c.id for c in campaigns if (c.delivery or {}).get("webhook_id") == webhook.id and c.status != "archived"
        ]
        if users:
            raise ApiError("conflict", f"messages of campaigns go there: {', '.join(sorted(users)[:5])}")

    async def rotate(self, request: Request) -> Response:
        webhook = await self._webhook(request)
        value = await self._pages.json(request, default={})
        entropy = secrets.token_bytes(SECRET_BYTES)
        rotated = webhooks.rotated_webhook(webhook, value, self._edge.clock(), entropy)
        await self._writer.put("webhook", rotated)
        return JsonResponse(serialize.webhook_with_secret(rotated))

    async def test(self, request: Request) -> Response:
        """200 with the endpoint's answer, or the reason why it has none; 503 if the sender does not report in time."""
        webhook = await self._webhook(request)
        kind = webhooks.test_type(webhook, await self._pages.json(request, default={}))
        test_id = ids.new_id("tst_", self._edge.clock())
        settings, until_ms = self._edge.settings, self._edge.clock() + round(TEST_S * 1000)
        test = WebhookTestRequest(
            id=test_id, webhook_id=webhook.id, type=kind, reply_to=self._edge.instance, until_ms=until_ms
        )
        result = self._edge.receipts.expect_test(test_id)
        try:
            async with asyncio.timeout(TEST_S):
                topic = topics.name(topics.WEBHOOK_TESTS, settings)
                await self._edge.publisher.send(
                    topic, webhook_tests.encode_webhook_test(test), partition=0, key=webhook.id.encode()
                )
                return JsonResponse(webhooks.tested(webhook, kind, await result))
        except TimeoutError as error:
            raise ApiError("unavailable", "the sender of webhooks does not answer; try again") from error
        finally:
            result.cancel()

    async def retry(self, request: Request) -> Response:
        """202 once the retry request is stored in Kafka; the attempt follows at once."""
        webhook = await self._webhook(request)
        delivery = deliveries.delivery_of(request.path_params["delivery_id"])
        logged = None if delivery is None else await self._logged(request)
        if delivery is None or logged is None:
            raise ApiError("not_found", "no such delivery")
        await self._ask_again(delivery, logged["contact_id"] or "")
        return JsonResponse({"delivery_id": delivery, "webhook_id": webhook.id, "status": deliveries.PENDING}, 202)

    async def retry_all(self, request: Request) -> Response:
        """Retry the deliveries whose last attempt ended as the filter says, oldest first, at most ``MOST_RETRIES``."""
        webhook = await self._webhook(request)
        chosen = webhooks.retry_filter(await self._pages.json(request), self._edge.clock())
        path = f"/internal/webhooks/{webhook.id}/unsent"
        question = {**chosen, "limit": MOST_RETRIES + 1}
        deliveries = (await self._read_api.post(request, path, question, webhook.environment))["data"]
        await asyncio.gather(
            *(
                self._ask_again(delivery["delivery_id"], delivery["contact_id"])
                for delivery in deliveries[:MOST_RETRIES]
            )
        )
        summary = {
            "webhook_id": webhook.id,
            "retried": len(deliveries[:MOST_RETRIES]),
            "more": len(deliveries) > MOST_RETRIES,
        }
        return JsonResponse(summary, 202)

    async def _ask_again(self, delivery: str, contact_id: str) -> None:
        """The request is durable when this returns."""
        settings, request = self._edge.settings, deliveries.retry_request(delivery, self._edge.clock())
        await self._edge.publisher.send(
            topics.name(topics.DELIVERIES, settings),
            codec.encode_delivery(request),
            key=deliveries.retry_key(delivery),
            partition=partition_of(deliveries.home_of(contact_id, delivery), settings.partitions),
        )

    async def _webhook(self, request: Request) -> Webhook:
        """Returns the webhook's newest definition on `control`, even if another edge wrote it."""
        home = self._pages.home(request, "webhooks:write")
        try:
            async with asyncio.timeout(self._edge.settings.publish_deadline_s):
                await self._definitions.catch_up()
        except (KafkaError, TimeoutError) as error:
            raise ApiError("unavailable", "Kafka does not answer; try again") from error
        return require(self._edge.control.webhooks[home], request.path_params["id"], "webhook")

    async def _logged(self, request: Request) -> Any:
        """The logged attempt. The log may be a moment late, so the edge reads it several times."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + FOUND_S
        path = request.url.path.removesuffix("/retry")
        while True:
            attempt = await self._read_api.get_json(request, path)
            if attempt is not None or clock() > deadline:
                return attempt
            await asyncio.sleep(ASK_S)
