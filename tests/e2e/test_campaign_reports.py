"""A provider reports to its endpoint, and a campaign's figures say so: through every process of a running stack."""

import secrets
import time
from typing import Any

import pytest

from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import Campaign
from schemas.service import kafka
from tests.support import signed_callbacks
from tests.support.builders import ENVIRONMENT, WORKSPACE, cid
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
WITHIN_S = 15.0


async def defined(stack: LocalStack, campaign: str) -> None:
    now = time.time_ns() // 1_000_000
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": now, "updated_ms": now}
    sample = Campaign(id=campaign, name="Autumn", channel="email", status="sent", number=1, **home)
    key, value = control_state.encode("campaign", sample)
    producer = kafka.producer(stack.settings)
    await producer.start()
    try:
        await producer.send_and_wait(topics.name(topics.CONTROL, stack.settings), value, key=key)
    finally:
        await producer.stop()


async def test_a_providers_report_is_counted_once(stack: LocalStack) -> None:
    campaign, email = f"cmp_{secrets.token_hex(4)}", f"u{secrets.token_hex(4)}@x.io"
    await defined(stack, campaign)
    now = time.time_ns() // 1_000_000
    async with stack.client() as client:
        made = await client.post(
            "/v1/receivers", json={"provider": "mailgun", "signing_secret": signed_callbacks.SECRET}
        )
        assert made.status_code == 201, made.text
        receiver = made.json()
        assert receiver["url"] == f"{stack.url}/v1/receivers/mailgun/{receiver['id']}"
        listed = await client.get("/v1/receivers")
        assert receiver["id"] in [row["id"] for row in listed.json()["data"]]
        assert signed_callbacks.SECRET not in made.text + listed.text
        for status in ("accepted", "delivered", "delivered", "opened"):
            payload: dict[str, Any] = {
                "event": status,
                "id": f"{campaign}-{status}",
                "timestamp": now / 1000,
                "recipient": email,
                "message": {"headers": {"message-id": f"{campaign}@x"}},
                "user-variables": {"campaign_id": campaign, "variant": "a"},
            }
            _, headers, body = signed_callbacks.mailgun(payload, now)
            answer = await client.post(receiver["url"], headers=headers, content=body)
            assert (answer.status_code, answer.json()) == (200, {"accepted": 1}), answer.text
        expected = {"sent": 1, "delivered": 1, "opened": 1, "clicked": 0}

        async def figures() -> dict[str, int]:
            stats = (await client.get(f"/v1/campaigns/{campaign}")).json()["stats"]
            return {kind: stats[kind] for kind in expected}

        await eventually(figures, "the campaign's figures", WITHIN_S, meets=lambda answer: answer == expected)
        (delivery,) = (await client.get(f"/v1/campaigns/{campaign}/deliveries")).json()["data"]
        assert (delivery["state"], delivery["contact_id"]) == ("opened", cid(f"email:{email}"))
        gone = await client.delete(f"/v1/receivers/{receiver['id']}")
        refused = await client.post(receiver["url"], headers=headers, content=body)
        assert (gone.status_code, refused.status_code) == (204, 404)
