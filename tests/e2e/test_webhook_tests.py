"""A webhook is tried: the real sender's signed example at once, its answer or the reason, and no delivery of it."""

import asyncio
import secrets
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from tests.support.stack import LocalStack
from tests.support.webhook_receiver import Answer, Got, receiver

pytestmark = pytest.mark.e2e


async def made(client: httpx.AsyncClient, url: str, *types: str) -> Any:
    answer = await client.post("/v1/webhooks", json={"url": url, "types": types or ("never.sent",)})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def tried(client: httpx.AsyncClient, webhook: Any, body: Any = None) -> Any:
    answer = await client.post(f"/v1/webhooks/{webhook['id']}/test", json=body or {}, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_example_arrives_signed_and_is_no_delivery(stack: LocalStack) -> None:
    async def decide(_got: Got) -> Answer:
        return 200, b"thanks " * 1000

    async with receiver(decide) as endpoint, stack.client() as client:
        webhook = await made(client, endpoint.url("/hook"), "segment.*", "order")
        for kind, data in (
            ("segment.entered", "segment_id"),
            ("contact.updated", "contact"),
            ("contact.merged", "merged_contact_id"),
            ("order", "properties"),
        ):
            result = await tried(client, webhook, {"type": kind})
            got = endpoint.got[-1]
            assert Verifier(webhook["secret"]).verify(got.body, got.headers) == got.json
            assert (got.json["type"], got.json["test"], got.json["id"]) == (kind, True, result["event_id"])
            assert data in got.json["data"]
            assert (result["status"], result["response_code"], result["reason"]) == ("succeeded", 200, None)
            assert result["request"]["body"].encode() == got.body
            assert len(result["response"]["body"].encode()) <= 2048
            assert result["response"]["body"].startswith("thanks")
        first = (await client.post(f"/v1/webhooks/{webhook['id']}/test")).json()
        assert first["type"] == "segment.entered"
        assert len(endpoint.got) == 5
        listed = (await client.get(f"/v1/webhooks/{webhook['id']}/deliveries")).json()
        assert listed["meta"]["total"] == 0
        await client.patch(f"/v1/webhooks/{webhook['id']}", json={"status": "disabled"})
        assert (await tried(client, webhook))["status"] == "succeeded", "it is tried before it is enabled"


async def test_what_an_endpoint_does_wrong_has_a_reason(stack: LocalStack) -> None:
    answers: dict[str, Answer] = {
        "/moved": (0, b"HTTP/1.1 302 x\r\nlocation: /fine\r\ncontent-length: 0\r\n\r\n"),
        "/nonsense": (0, b"\x00\x01\x02 nonsense\r\n\r\n"),
        "/broken": (500, b"<h1>broken</h1>"),
        "/gone": (410, b""),
    }

    async def decide(got: Got) -> Answer:
        if got.path == "/hangs":
            await asyncio.sleep(30)
        return answers.get(got.path, (200, b""))

    async with receiver(decide) as endpoint, stack.client() as client:
        names = ("moved", "nonsense", "broken", "gone", "hangs")
        hooks = {name: await made(client, endpoint.url(f"/{name}")) for name in names}
        hooks["dead"] = await made(client, "http://127.0.0.1:9/")
        hooks["unknown"] = await made(client, "http://nowhere.invalid/")
        results = {name: await tried(client, hook) for name, hook in hooks.items() if name != "hangs"}
        slow = [asyncio.create_task(tried(client, hooks["hangs"])) for _ in range(6)]
        late = [await task for task in slow]
        webhook = (await client.get(f"/v1/webhooks/{hooks['gone']['id']}")).json()
    assert {name: result["reason"] for name, result in results.items()} == {
        "moved": "redirect",
        "nonsense": "connection",
        "broken": "status",
        "gone": "status",
        "dead": "connection",
        "unknown": "dns",
    }
    assert results["broken"]["response"]["body"] == "<h1>broken</h1>"
    assert results["moved"]["response_code"] == 302
    assert {result["status"] for result in (*results.values(), *late)} == {"failed"}
    assert sorted(result["reason"] for result in late) == ["busy", "busy", *["timeout"] * 4]
    assert {result["error"] for result in late if result["reason"] == "timeout"} == {"no answer within 10 s"}
    assert webhook["status"] == "enabled", "a test changes nothing"
    assert [got.path for got in endpoint.got].count("/fine") == 0


async def test_who_may_try_it_and_with_what(stack: LocalStack) -> None:
    async with receiver() as endpoint, stack.client() as client:
        webhook = await made(client, endpoint.url())
        path = f"/v1/webhooks/{webhook['id']}/test"
        bodies: list[Any] = [{"type": "a.*"}, {"type": "contact.moved"}, {"type": ""}, {"type": 7}, {"kind": "a"}]
        for wrong in bodies:
            refused = await client.post(path, json=wrong)
            assert refused.status_code == 422, (wrong, refused.text)
        reader = (await client.post("/v1/keys", json={"name": "reads", "scopes": ["webhooks:read"]})).json()
        other = (await client.post("/v1/workspaces", json={"name": f"w-{secrets.token_hex(4)}"})).json()
        scopes = {"name": "hooks", "scopes": ["webhooks:write"]}
        admin = {"Authorization": f"Bearer {other['key']['key']}"}
        foreign = (await client.post("/v1/keys", json=scopes, headers=admin)).json()
        for key, status in ((reader["key"], 403), (foreign["key"], 404), ("sk_wrong", 401)):
            answer = await client.post(path, json={}, headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status, answer.text
        assert (await client.post("/v1/webhooks/whk_no/test")).status_code == 404
    assert endpoint.got == []


async def test_the_log_is_filtered(stack: LocalStack) -> None:
    async with stack.client() as client:
        webhook = await made(client, "http://127.0.0.1:9/")
        path = f"/v1/webhooks/{webhook['id']}/deliveries"
        good = await client.get(path, params={"status": "failed", "type": "x", "from": "2020-01-01", "to": 1})
        assert (good.status_code, good.json()["data"]) == (200, [])
        for name, value in (("status", "odd"), ("from", "soon"), ("type", "x" * 300)):
            refused = await client.get(path, params={name: value})
            assert (refused.status_code, refused.json()["error"]["param"]) == (422, name)
