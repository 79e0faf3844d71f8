"""Webhook test requests in; a sample message to the endpoint, and its response to the edge, out.

The request takes the path of a real message: signed, to a checked address, within the same limits of time and bytes. It
is no delivery: no queue, log, metric or breaker counts it, and it is never retried.
"""

import asyncio
import logging
import secrets
from typing import Any

import orjson

from schemas import topics
from schemas.control.control_state import ControlState, Webhook
from schemas.limits import NOTIFICATIONS
from schemas.records import codec, deliveries, webhook_tests
from schemas.records.deliveries import WebhookTestRequest, WebhookTestResult
from schemas.records.identity import partition_of
from schemas.service.clock import now_ms
from schemas.service.kafka import Tail
from schemas.settings import Settings
from schemas.times import iso
from sinks.delivery import sign
from sinks.delivery.backoff import AttemptOutcome
from sinks.delivery.deliver import Deliverer
from sinks.delivery.lease import share_of
from sinks.webhooks.delivery_log import DeliveryLog, LogRow
from sinks.webhooks.subscriptions import find_webhook

log = logging.getLogger(__name__)

MOST_AT_ONCE, MOST_OF_WORKSPACE = 32, 4
"""Test messages under way, of all workspaces and of one."""
CONTACT, SEGMENT = "cnt_example", "seg_example"
"""Ids in examples; no contact and no segment has them."""
_NAMES = {"external_id": "u1", "email": "ada@example.com", "phone": None}
_MESSAGE = {
    "campaign_id": "cmp_example",
    "campaign_name": "Example",
    "message_id": "msg_example",
    "variant": "a",
    "channel": "email",
}
_CREATED, _UPDATED, _MERGED, _UNSUBSCRIBED, _ENTERED, _LEFT = NOTIFICATIONS


class ExampleSender:
    """Follows `webhook-tests` from its end: the edges of earlier requests have stopped waiting.

    Of several senders, the sender of the first share sends.
    """

    def __init__(
        self,
        settings: Settings,
        control: ControlState,
        definitions: Tail,
        deliverer: Deliverer,
        delivery_log: DeliveryLog,
    ) -> None:
        self._settings = settings
        self._control = control
        self._definitions = definitions
        self._deliverer = deliverer
        self._delivery_log = delivery_log
        self._tasks: set[asyncio.Task[None]] = set()
        self._flying: dict[str, int] = {}
        """Tests under way, by workspace."""
        self.tail = Tail(settings, topics.WEBHOOK_TESTS, self._take, from_end=True)

    async def stop(self) -> None:
        """Stop following the topic, and cancel the tests under way; the edge answers 503 for them."""
        await self.tail.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, record: Any) -> None:
        try:
            test = webhook_tests.decode_webhook_test(record.value or b"")
        except codec.UndecodableError:
            log.exception("skipping webhook-tests/%s", record.offset)
            return
        if test["until_ms"] > now_ms() and share_of(self._settings) == 0:
            task = asyncio.create_task(self._try(test), name="test message")
            self._tasks.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # a lost lease ends the process by itself; any other error belongs to this request
            log.warning("a test message was given up: %r", error)

    async def _try(self, test: WebhookTestRequest) -> None:
        await self._definitions.catch_up()
        webhook = find_webhook(self._control, test["webhook_id"])
        if webhook is None:
            return  # the webhook was deleted meanwhile
        at_ms = now_ms()
        event_id = f"evt_{secrets.token_hex(16)}"
        body = example(webhook, test["type"], event_id, at_ms)
        headers: dict[str, str] = {}
        try:
            attempt_id = deliveries.attempt_id(
                deliveries.delivery_id(webhook.id, event_id, test["type"]), 1, secrets.token_hex(4)
            )
            headers = sign.headers(
                event_id=event_id, attempt_id=attempt_id, at_ms=at_ms, body=body, secrets=webhook.secrets(at_ms)
            )
        except Exception as error:  # noqa: BLE001 - a secret that cannot be used is this endpoint's failure
            reason = f"it cannot be signed: {type(error).__name__}"
            outcome = AttemptOutcome(code=0, error=reason, duration_ms=0, reason=deliveries.UNSIGNED)
        else:
            outcome = await self._send(webhook, body, headers)
        result = WebhookTestResult(
            id=test["id"],
            event_id=event_id,
            response_code=outcome.code,
            reason=outcome.reason,
            error=outcome.error,
            duration_ms=outcome.duration_ms,
            url=webhook.url,
            request_headers=orjson.dumps(headers),
            request_body=body,
            response_body=outcome.response,
        )
        await self._reply(test["reply_to"], result)

    async def _send(self, webhook: Webhook, body: bytes, headers: dict[str, str]) -> AttemptOutcome:
        own = self._flying.get(webhook.workspace, 0)
        if own >= MOST_OF_WORKSPACE or sum(self._flying.values()) >= MOST_AT_ONCE:
            reason = "too many test messages are under way: try again"
            return AttemptOutcome(code=0, error=reason, duration_ms=0, reason=deliveries.BUSY)
        self._flying[webhook.workspace] = own + 1
        try:
            return await self._deliverer.send(webhook.url, body, headers)
        finally:
            self._flying[webhook.workspace] -= 1
            if not self._flying[webhook.workspace]:
                del self._flying[webhook.workspace]

    async def _reply(self, edge: str, result: WebhookTestResult) -> None:
        key = edge.encode()
        partition = partition_of(edge, topics.partition_count(topics.RECEIPTS, self._settings))
        row = LogRow(topics.RECEIPTS, key, webhook_tests.encode_webhook_test_result(result), partition)
        await self._delivery_log.write([row], urgent=True)


def example(webhook: Webhook, kind: str, event_id: str, at_ms: int) -> bytes:
    """Returns a sample body of this type: it has the fields of a real message, and ``test`` marks it as an example."""
    message = {
        "id": event_id,
        "type": kind,
        "created_at": iso(at_ms),
        "test": True,
        "data": _data(webhook, kind, at_ms),
    }
    return orjson.dumps(message)


def _data(webhook: Webhook, kind: str, at_ms: int) -> dict[str, Any]:
    """Builds sample data in the shape that ``messages`` and ``subscriptions`` build from real records."""
    at = iso(at_ms)
    if kind in (_ENTERED, _LEFT):
        segment = webhook.segments[0] if webhook.segments else SEGMENT
        return {
            "contact_id": CONTACT,
            "identifiers": _NAMES,
            "segment_id": segment,
            "segment_name": "Example",
            "segment_version": 1,
            "reason": "event",
            "at": at,
            "event_id": "evt_example",
        }
    if kind == _MERGED:
        return {"contact_id": CONTACT, "merged_contact_id": "cnt_example_other", "event_id": "evt_example"}
    if kind in (_CREATED, _UPDATED, _UNSUBSCRIBED):
        contact: dict[str, Any] = {
            "id": CONTACT,
            **_NAMES,
            "anonymous_ids": [],
            "consents": {"email": kind != _UNSUBSCRIBED},
            "attributes": {"plan": "pro"},
            "created_at": at,
            "updated_at": at,
        }
        news = {"consents": ["email"]} if kind == _UNSUBSCRIBED else {}
        return {"contact_id": CONTACT, "contact": contact, **news}
    properties = {"example": True}
    happened = {"contact_id": CONTACT, "identifiers": _NAMES, "event_id": "evt_example", "timestamp": at}
    group, _, verb = kind.partition(".")
    if group != "message" or not verb:
        return {**happened, "properties": properties}
    return {**happened, **_MESSAGE, f"{verb}_at": at, "properties": properties}
