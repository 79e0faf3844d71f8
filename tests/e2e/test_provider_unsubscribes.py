"""Somebody unsubscribes by the provider's link: consent, segment, the next campaign's audience and webhook agree."""

import secrets
import time
from typing import Any

import httpx
import pytest

from schemas.times import iso
from tests.support import signed_callbacks
from tests.support.stack import LocalStack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import receiver

pytestmark = pytest.mark.e2e


class Provider:
    """SendGrid, as it would report about this address."""

    def __init__(self, client: httpx.AsyncClient, path: str, address: str) -> None:
        self._client, self._path, self._address = client, path, address

    async def report(self, kind: str, at_s: float | None = None) -> None:
        now_ms = int(time.time() * 1000)
        fact = {
            "email": self._address,
            "event": kind,
            "timestamp": int(time.time() if at_s is None else at_s),
            "sg_event_id": secrets.token_hex(8),
            "sg_message_id": f"{secrets.token_hex(8)}.filter",
        }
        _, headers, body = signed_callbacks.sendgrid([fact], now_ms)
        answer = await self._client.post(self._path, headers=headers, content=body)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", ["unsubscribe", "group_unsubscribe", "spamreport"])
async def test_who_unsubscribes_at_the_provider_has_unsubscribed_everywhere(stack: LocalStack, kind: str) -> None:
    name = secrets.token_hex(4)
    user, address, consent = f"u-{name}", f"u-{name}@example.com", f"letters_{name}"
    async with receiver() as endpoint, stack.client() as client:
        made = await client.post(
            "/v1/receivers",
            json={"provider": "sendgrid", "public_key": signed_callbacks.sendgrid_public(), "consent": consent},
        )
        assert (made.status_code, made.json()["consent"]) == (201, consent), made.text
        provider = Provider(client, httpx.URL(made.json()["url"]).path, address)
        rule = {"consent": consent, "value": True}
        segment = (await client.post("/v1/segments", json={"name": name, "rule": rule})).json()["id"]
        hook = {"url": endpoint.url(), "types": ["contact.unsubscribed", "segment.left", "subscribed"]}
        webhook = (await client.post("/v1/webhooks", json=hook)).json()["id"]
        hour_ago = iso(int(time.time() * 1000) - 3_600_000)  # providers tell whole seconds
        consent_event = {"external_id": user, "email": address, "consents": {consent: True}, "timestamp": hour_ago}
        joined = await client.post("/v1/contacts?sync=true&timeout_ms=10000", json=consent_event)
        assert joined.json()["segments"] == [segment], joined.text
        contact_id = joined.json()["id"]

        async def state() -> dict[str, Any]:
            consents = (await client.get(f"/v1/contacts/external_id:{user}/consents")).json()
            contact = (await client.get(f"/v1/contacts/external_id:{user}")).json()
            audience = (await client.get(f"/v1/segments/{segment}/contacts")).json()["data"]
            messages = [got.json["type"] for got in endpoint.got if contact_id in got.body.decode()]
            return {
                "listed": {consent["consent"]: consent["value"] for consent in reversed(consents["data"])}.get(consent),
                "shown": contact["consents"].get(consent),
                "segments": contact["segments"],
                "audience": [row["external_id"] for row in audience],
                "told": sorted(set(messages)),
            }

        await provider.report(kind)

        agreed = {
            "listed": False,
            "shown": False,
            "segments": [],
            "audience": [],
            "told": ["contact.unsubscribed", "segment.left"],
        }

        agree = "consent, segment, audience and webhook agree"
        await eventually(state, agree, 30, meets=lambda result: result == agreed)

        # who subscribes again at the provider's page has not consented here, and an old report changes nothing
        await provider.report("group_resubscribe")
        again = await client.post(
            "/v1/contacts?sync=true&timeout_ms=10000", json={"external_id": user, "consents": {consent: True}}
        )
        assert again.json()["segments"] == [segment], again.text
        await provider.report(kind, at_s=time.time() - 1800)
        seen = {"type": f"seen_{name}", "user_id": user}
        assert (await client.post("/v1/events?sync=true&timeout_ms=10000", json=seen)).status_code == 200
        after = await state()
        assert (after["shown"], after["audience"]) == (True, [user])
        assert (await client.delete(f"/v1/webhooks/{webhook}")).status_code == 204
        assert (await client.delete(f"/v1/segments/{segment}")).status_code == 204
