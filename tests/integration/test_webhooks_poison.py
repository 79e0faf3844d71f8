"""Records on `deliveries` that cannot be used, and endpoints that cannot be called: failures of their own."""

import secrets
from pathlib import Path

import pytest

from schemas.records.deliveries import WebhookDelivery
from tests.support.builders import event
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import process
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Answer, Got, receiver
from tests.support.webhook_sender import upstream, webhook

pytestmark = pytest.mark.kafka


BODIES = (b"\xff{", b"[]", b'{"data":{"properties":[{"attach":1,"expiration":"x"}]}}')


def poison(webhook_id: str, body: bytes, workspace: str, environment: str) -> WebhookDelivery:
    """A record that this release did not write, before its last attempt."""
    return WebhookDelivery(
        id=f"dlv_{secrets.token_hex(8)}",
        webhook_id=webhook_id,
        workspace=workspace,
        environment=environment,
        contact_id="",
        event_id="evt_poison",
        type="message.requested",
        seq=1,
        status="pending",
        attempts=9,
        due_ms=1,
        updated_ms=1,
        body=body,
    )


async def refuse_poison(got: Got) -> Answer:
    return (500 if got.headers["webhook-id"] == "evt_poison" else 200), b""


async def test_a_delivery_that_cannot_be_read_is_its_own_failure(kafka: str, tmp_path: Path) -> None:
    settings = fresh_settings(tmp_path, kafka=kafka).model_copy(update={"webhook_allow_private": True})
    async with upstream(settings) as up, receiver(refuse_poison) as endpoint, process(settings, "webhooks"):
        hook = await up.define(webhook(endpoint.url(), "after"))
        nowhere = await up.define(webhook("http://[", "after"))
        poisoned = [poison(hook.id, body, hook.workspace, hook.environment) for body in BODIES]
        for delivery in poisoned:
            await up.deliver(delivery)

        async def have_failed() -> bool:
            result = await up.deliveries(hook)
            return all(d["id"] in result and result[d["id"]]["status"] == "failed" for d in poisoned)

        await eventually(have_failed, "each of them has failed")
        await up.events(event("external_id:u1", event_id="evt_after", type="after"))

        async def has_arrived() -> bool:
            return "evt_after" in [got.headers["webhook-id"] for got in endpoint.got]

        await eventually(has_arrived, "the event behind them")

        async def is_logged() -> bool:
            return bool(await up.attempts(nowhere))

        await eventually(is_logged, "the attempt to call an URL that cannot be parsed")
        first = (await up.attempts(nowhere))[0]
    assert (first["status"], first["response_code"]) == ("pending", 0)
    assert first["error"]
