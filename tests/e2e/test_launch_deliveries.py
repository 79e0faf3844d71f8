"""Trigger launches on a running stack: each recipient's message goes once where the campaign says, whole and signed."""

import asyncio
import datetime as dt
from base64 import b64encode
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from standardwebhooks.webhooks import Webhook as Verifier

from schemas.control import control_state
from schemas.control.control_state import Campaign
from tests.e2e.test_altcraft import START, SYNC, altcraft
from tests.e2e.test_one_event import unique
from tests.support.stack import LocalStack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Answer, Got, WebhookReceiver, receiver

pytestmark = pytest.mark.e2e


async def people(client: httpx.AsyncClient, count: int) -> tuple[str, list[str]]:
    tag = unique("t")
    emails = [f"{tag}-{n}@example.com" for n in range(count)]
    for email in emails:
        assert (await altcraft(client, "profiles/import", SYNC, email=email, data={"tag": tag}))["error"] == 0
    return tag, emails


async def campaign(client: httpx.AsyncClient, **delivery: str) -> Any:
    body = {"kind": "trigger", "name": "Hello", "channel": "email", "delivery": delivery}
    made = await client.post("/v1/campaigns", json=body)
    assert made.status_code == 201, made.text
    return made.json()


async def arrived(endpoint: WebhookReceiver, count: int) -> list[Got]:
    async def got() -> list[Got]:
        return endpoint.got

    items: list[Got] = await eventually(got, f"{count} requests", meets=lambda result: len(result) >= count)
    return items


async def test_a_launch_is_delivered_once_to_its_url_with_what_is_attached(stack: LocalStack) -> None:
    data = f"data:text/plain;base64,{b64encode(b'x' * 700_000).decode()}"
    async with stack.client() as client, receiver() as endpoint:
        tag, emails = await people(client, 3)
        made = await campaign(client, url=endpoint.url())
        webhook = made["delivery"]["webhook_id"]
        secret = (await client.post(f"/v1/webhooks/{webhook}/rotate", json={})).json()["secret"]
        launch = {"id": made["id"], "custom_request": {"tag": tag}, "content": {"title": "Hi"}, "custom_data": {"a": 1}}
        attach = [{"name": "a.txt", "data": data}]
        headers = {"X-Request-Id": unique("launch")}
        for _ in range(2):
            answer = await client.post(f"/api/v1.1/{START}", json={**launch, "attach": attach}, headers=headers)
            assert answer.json()["error"] == 0, answer.text
        got = await arrived(endpoint, 3)
        await asyncio.sleep(0.5)
        assert len(endpoint.got) == 3, "a repeated launch makes no second delivery"
        for request in got:
            message = Verifier(secret).verify(request.body, request.headers)
            assert (message["type"], message["data"]["campaign_id"]) == ("message.requested", made["id"])
            assert message["data"]["properties"]["attach"] == [
                {"name": "a.txt", "type": "text/plain", "bytes": 700_000, "data": data}
            ]
            assert message["data"]["properties"]["content"] == {"title": "Hi"}
        assert sorted(request.json["data"]["properties"]["to"]["email"] for request in got) == emails
        deliveries = await eventually(
            lambda: _data(client, f"/v1/campaigns/{made['id']}/deliveries"),
            "deliveries",
            meets=lambda result: len(result) == 3,
        )
        assert {row["state"] for row in deliveries} == {"requested"}
        logged = await eventually(
            lambda: _data(client, f"/v1/webhooks/{webhook}/deliveries"),
            "the log",
            meets=lambda result: len(result) == 3,
        )
        assert {attempt["status"] for attempt in logged} == {"succeeded"}
        assert (await client.delete(f"/v1/webhooks/{webhook}")).status_code == 409, "its messages go there"


async def _data(client: httpx.AsyncClient, path: str) -> Any:
    return (await client.get(path)).json()["data"]


async def test_a_launch_goes_to_a_webhook_that_asks_for_nothing_of_it_or_to_a_topic(stack: LocalStack) -> None:
    topic = unique("mail")
    async with stack.client() as client, receiver() as endpoint:
        tag, emails = await people(client, 2)
        hook = (await client.post("/v1/webhooks", json={"url": endpoint.url(), "types": ["never"]})).json()
        to_hook = await campaign(client, webhook_id=hook["id"])
        to_topic = await campaign(client, topic=topic)
        for made in (to_hook, to_topic):
            launched = await altcraft(client, START, id=made["number"], custom_request={"tag": tag})
            assert launched["error"] == 0, launched
        assert sorted(g.json["data"]["properties"]["to"]["email"] for g in await arrived(endpoint, 2)) == emails
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    by_contact: dict[str, Any] = {}
    try:
        deadline = asyncio.get_running_loop().time() + 20
        while len(by_contact) < 2 and asyncio.get_running_loop().time() < deadline:
            consumer.subscribe([f"customer.local.{topic}"])
            for records in (await consumer.getmany(timeout_ms=500)).values():
                by_contact |= {r.key.decode(): orjson.loads(r.value) for r in records}
    finally:
        await consumer.stop()
    assert sorted(row["data"]["properties"]["to"]["email"] for row in by_contact.values()) == emails
    assert {key: row["data"]["contact_id"] for key, row in by_contact.items()} == {key: key for key in by_contact}


async def test_a_message_that_comes_too_late_is_not_sent_and_is_told_as_failed(stack: LocalStack) -> None:
    async with stack.client() as client, receiver() as endpoint:
        tag, _ = await people(client, 1)
        hook = (await client.post("/v1/webhooks", json={"url": endpoint.url(), "types": ["never"]})).json()
        made = await campaign(client, webhook_id=hook["id"])
        await client.patch(f"/v1/webhooks/{hook['id']}", json={"status": "disabled"})
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3)
        launch = {"id": made["id"], "custom_request": {"tag": tag}, "expiration": soon.isoformat()}
        assert (await altcraft(client, START, **launch))["error"] == 0
        await eventually(
            lambda: _data(client, f"/v1/campaigns/{made['id']}/deliveries"),
            "it waits",
            meets=lambda result: len(result) == 1,
        )
        await asyncio.sleep(max(0.0, (soon - dt.datetime.now(dt.UTC)).total_seconds()) + 0.1)
        await client.patch(f"/v1/webhooks/{hook['id']}", json={"status": "enabled"})
        deliveries = await eventually(
            lambda: _data(client, f"/v1/campaigns/{made['id']}/deliveries"),
            "it is told as failed",
            meets=lambda result: result[0]["state"] == "failed",
        )
        assert len(deliveries) == 1
        logged = await eventually(lambda: _data(client, f"/v1/webhooks/{hook['id']}/deliveries"), "the log")
        assert (logged[0]["status"], logged[0]["error"]) == ("failed", "expired: it was not sent")
        assert endpoint.got == []


async def gone(_got: Got) -> Answer:
    return 410, b""


async def test_a_message_that_its_endpoint_refuses_for_good_is_told_as_failed(stack: LocalStack) -> None:
    async with stack.client() as client, receiver(gone) as endpoint, receiver(gone) as listener:
        tag, _ = await people(client, 1)
        made = await campaign(client, url=endpoint.url())
        body = {"url": listener.url(), "types": ["message.requested"]}
        other = (await client.post("/v1/webhooks", json=body)).json()
        elsewhere = await campaign(client, topic=unique("mail"))
        for row in (elsewhere, made):
            assert (await altcraft(client, START, id=row["id"], custom_request={"tag": tag}))["error"] == 0
        path = "/v1/campaigns/{}/deliveries"
        (delivery,) = await eventually(
            lambda: _data(client, path.format(made["id"])),
            "it is told as failed",
            meets=lambda result: bool(result) and result[0]["state"] == "failed",
        )
        stats = (await client.get(f"/v1/campaigns/{made['id']}")).json()["stats"]
        assert (stats["requested"], stats["failed"], stats["delivered"]) == (1, 1, 0), delivery
        all_of_it = await _data(client, f"/v1/contacts/{delivery['contact_id']}/events")
        events = [row for row in all_of_it if row["type"] == "message.failed"]
        assert [event["properties"]["reason"] for event in events] == ["status 410"]
        await eventually(lambda: _data(client, f"/v1/webhooks/{other['id']}/deliveries"), "the listener's log")
        (heard,) = await _data(client, path.format(elsewhere["id"]))
        assert heard["state"] == "requested", "who only listens fails for nobody but itself"


@pytest.mark.parametrize(
    ("delivery", "param"),
    [
        ({"webhook_id": "whk_nowhere"}, "delivery.webhook_id"),
        ({"topic": ".."}, "delivery.topic"),
        ({"topic": "shop.orders"}, "delivery.topic"),
        ({"topic": "shop_orders"}, "delivery.topic"),
        ({"topic": "x" * 101}, "delivery.topic"),
        ({"url": "ftp://example.com"}, "delivery.url"),
        ({"url": "http://user:x@example.com"}, "delivery.url"),
        ({"topic": "a", "url": "http://example.com"}, "delivery"),
    ],
    ids=str,
)
async def test_a_wrong_delivery_is_named(stack: LocalStack, delivery: dict[str, str], param: str) -> None:
    async with stack.client() as client:
        body = {"kind": "trigger", "name": "Hello", "channel": "email", "delivery": delivery}
        answer = await client.post("/v1/campaigns", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, param), answer.text


async def test_a_workspace_has_a_bounded_number_of_topics(stack: LocalStack) -> None:
    async with stack.client() as client:
        made = (await client.post("/v1/workspaces", json={"name": unique("topics")})).json()
        client.headers["Authorization"] = f"Bearer {made['key']['key']}"
        body = {"kind": "trigger", "name": "Hello", "channel": "email"}
        codes = [
            (await client.post("/v1/campaigns", json={**body, "delivery": {"topic": f"t{n}"}})).status_code
            for n in range(21)
        ]
        assert codes == [201] * 20 + [422]
        again = await client.post("/v1/campaigns", json={**body, "delivery": {"topic": "t3"}})
        assert again.status_code == 201, "one that it has already"


async def test_a_topic_that_kafka_refuses_is_its_messages_failure_and_nobody_elses(stack: LocalStack) -> None:
    sender = stack.pid("webhooks")
    async with stack.client() as client, receiver() as endpoint:
        tag, _ = await people(client, 1)
        made = await campaign(client, topic=unique("mail"))
        broken = Campaign.model_validate({**made_record(made), "delivery": {"topic": "." * 300}})
        await control_put(stack, "campaign", broken)
        launch = {"id": made["id"], "custom_request": {"tag": tag}}
        assert (await altcraft(client, START, **launch))["error"] == 0

        async def stats() -> Any:
            return (await client.get(f"/v1/campaigns/{made['id']}")).json()["stats"]

        figures = await eventually(stats, "the failure", meets=lambda result: result["failed"] == 1)
        assert figures["requested"] == 1
        hook = (await client.post("/v1/webhooks", json={"url": endpoint.url(), "types": ["beacon"]})).json()
        await client.post("/v1/events", json={"type": "beacon", "user_id": "u"})
        assert [item.json["type"] for item in await arrived(endpoint, 1)] == ["beacon"], hook
    assert stack.pid("webhooks") == sender, "the sender goes on"


def made_record(shown: Any) -> dict[str, Any]:
    """A campaign's record, of how the API shows it."""
    return {
        "id": shown["id"],
        "workspace": "local",
        "environment": "production",
        "created_ms": 1,
        "updated_ms": 1,
        "name": shown["name"],
        "channel": shown["channel"],
        "status": "active",
        "kind": "trigger",
        "number": shown["number"],
        "trigger": shown["trigger_url"].rsplit("/", 1)[-1],
    }


async def control_put(stack: LocalStack, kind: str, record: control_state.ControlRecord) -> None:
    """Write a definition past the edge, as an older version or a person might have."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.settings.bootstrap)
    await producer.start()
    try:
        key, value = control_state.encode(kind, record)
        await producer.send_and_wait("control", value, key=key)
    finally:
        await producer.stop()
