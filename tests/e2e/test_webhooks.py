"""A webhook as a customer would use it: made, told, verified, looked up, retried, rotated, removed."""

import secrets
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from sinks.delivery import sign
from tests.support.stack import LocalStack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Answer, Got, receiver

pytestmark = pytest.mark.e2e


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


async def make(client: httpx.AsyncClient, url: str, *types: str) -> Any:
    answer = await client.post("/v1/webhooks", json={"url": url, "types": types})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def log_of(client: httpx.AsyncClient, webhook: Any, count: int, **query: Any) -> Any:
    async def listed() -> Any:
        answer = (await client.get(f"/v1/webhooks/{webhook['id']}/deliveries", params=query)).json()
        return answer if len(answer["data"]) >= count else None

    return await eventually(listed, f"{count} attempts in the log")


async def test_from_the_event_to_the_log_and_again(stack: LocalStack) -> None:
    kind = unique("bought")

    async def decide(_got: Got) -> Answer:
        return (503, b"later") if len(endpoint.got) == 1 else (200, b"thanks")

    async with receiver(decide) as endpoint, stack.client() as client:
        webhook = await make(client, endpoint.url("/hook"), kind)
        sent = (await client.post("/v1/events", json={"type": kind, "user_id": unique("u"), "channel": "web"})).json()
        first = (await log_of(client, webhook, 1))["data"][0]
        assert (first["status"], first["response_code"], first["error"]) == ("pending", 503, "status 503")
        assert first["next_attempt_at"] > first["at"]
        assert (first["id"], first["event_id"]) == (endpoint.got[0].attempt_id, sent["event_id"])
        retry = f"/v1/webhooks/{webhook['id']}/deliveries/{first['id']}/retry"
        assert (await client.post(retry)).status_code == 202
        result = await log_of(client, webhook, 2)
        assert [(a["attempt"], a["status"]) for a in result["data"]] == [(2, "succeeded"), (1, "pending")]
        assert result["meta"] == {"total": 2, "page": 1, "limit": 20}
        page = await log_of(client, webhook, 1, cursor="", limit=1)
        rest = await log_of(client, webhook, 1, cursor=page["next_cursor"], limit=1)
        assert page["data"] + rest["data"] == result["data"]
        shown = (await client.get(f"/v1/webhooks/{webhook['id']}/deliveries/{result['data'][0]['id']}")).json()
        got = endpoint.got[1]
        assert shown["request"]["body"].encode() == got.body
        assert shown["response"] == {"body": "thanks"}
        assert (await client.post(retry)).status_code == 202
        await log_of(client, webhook, 3)
    assert Verifier(webhook["secret"]).verify(got.body, got.headers) == got.json
    assert got.headers["altacee-signature"] == sign.altacee(webhook["secret"], got.body)
    assert got.json["data"]["contact_id"] == sent["contact_id"]
    assert len({request.attempt_id for request in endpoint.got}) == 3


async def test_what_failed_is_tried_again_by_a_filter(stack: LocalStack) -> None:
    kind, other = unique("kept"), unique("other")
    is_open: list[bool] = []

    async def decide(_got: Got) -> Answer:
        return (200, b"thanks") if is_open else (503, b"later")

    async with receiver(decide) as endpoint, stack.client() as client:
        webhook = await make(client, endpoint.url("/hook"), kind, other)
        path = f"/v1/webhooks/{webhook['id']}/deliveries/retry"
        for n, kind_sent in enumerate([kind, kind, other]):
            await client.post("/v1/events", json={"type": kind_sent, "user_id": unique(f"u{n}")})
        await log_of(client, webhook, 3)
        is_open.append(True)
        none = await client.post(path, json={"filter": {}})
        assert (none.status_code, none.json()["retried"]) == (202, 0), "they are not given up yet"
        past = await client.post(path, json={"filter": {"status": "pending", "until": "2020-01-01"}})
        assert past.json()["retried"] == 0
        done = await client.post(path, json={"filter": {"status": "pending", "type": kind}})
        assert (done.status_code, done.json()) == (202, {"webhook_id": webhook["id"], "retried": 2, "more": False})
        result = await log_of(client, webhook, 5)
        good = [row for row in result["data"] if row["status"] == "succeeded"]
        assert [(row["type"], row["attempt"]) for row in good] == [(kind, 2), (kind, 2)]
        for wrong in ({}, {"filter": {"types": "x"}}, {"filter": {"status": "odd"}}, {"filter": {"since": "soon"}}):
            assert (await client.post(path, json=wrong)).status_code == 422, wrong
        assert (await client.post("/v1/webhooks/whk_x/deliveries/retry", json={"filter": {}})).status_code == 404


async def test_contacts_and_segments(stack: LocalStack) -> None:
    kind, browser, user = unique("seen"), unique("a"), unique("u")
    async with receiver() as endpoint, stack.client() as client:
        rule = {"event": kind, "count": {"op": "gte", "value": 2}}
        segment = (await client.post("/v1/segments", json={"name": "Twice", "rule": rule})).json()["id"]
        webhook = await make(client, endpoint.url(), "contact.*", "segment.entered")

        def mine(contact: str) -> list[Any]:
            return [g.json for g in endpoint.got if contact in g.body.decode()]

        async def told(contact: str, *types: str) -> bool:
            return set(types) <= {row["type"] for row in mine(contact)}

        anonymous = await client.post("/v1/events?sync=true", json={"type": kind, "anonymous_id": browser})
        loser = anonymous.json()["contact_id"]
        await eventually(lambda: told(loser, "contact.created"), "the first sight of a contact")
        both = {"type": kind, "user_id": user, "anonymous_id": browser}
        winner = (await client.post("/v1/events?sync=true", json=both)).json()["contact_id"]
        await eventually(lambda: told(loser, "contact.merged"), "the merge")
        await eventually(lambda: told(winner, "contact.created", "segment.entered"), "the winner enters")
        (merge,) = [row for row in mine(loser) if row["type"] == "contact.merged"]
        assert merge["data"] == {
            "contact_id": winner,
            "merged_contact_id": loser,
            "event_id": merge["data"]["event_id"],
        }
        (entered,) = [row for row in mine(winner) if row["type"] == "segment.entered"]
        assert entered["data"]["segment_id"] == segment
        assert (await client.delete(f"/v1/webhooks/{webhook['id']}")).status_code == 204


async def test_a_secret_is_rotated_and_never_shown_again(stack: LocalStack) -> None:
    kind = unique("r")
    async with receiver() as endpoint, stack.client() as client:
        webhook = await make(client, endpoint.url(), kind)
        rotated = (await client.post(f"/v1/webhooks/{webhook['id']}/rotate")).json()
        assert rotated["secret"] != webhook["secret"]
        await client.post("/v1/events", json={"type": kind, "user_id": unique("u")})
        await log_of(client, webhook, 1)
        (got,) = endpoint.got
        for secret in (webhook["secret"], rotated["secret"]):
            assert Verifier(secret).verify(got.body, got.headers)
        assert got.headers["altacee-signature"] == sign.altacee(rotated["secret"], got.body)
        assert got.headers["altacee-signature-previous"] == sign.altacee(webhook["secret"], got.body)
        body = (await client.get(f"/v1/webhooks/{webhook['id']}")).json()
        assert body == {**{k: rotated[k] for k in rotated if k != "secret"}, "reason": None}
        # Other tests share the stack: its webhooks fill more than one page of the default size.
        listed = await client.get("/v1/webhooks?limit=100")
        assert body in listed.json()["data"]
        shown = (
            listed.text + (await client.get(f"/v1/webhooks/{webhook['id']}/deliveries")).text + stack.log_tails(10**6)
        )
        assert webhook["secret"] not in shown
        assert rotated["secret"] not in shown


async def test_what_is_disabled_or_deleted_is_told_nothing(stack: LocalStack) -> None:
    kind = unique("d")
    async with receiver() as endpoint, stack.client() as client:
        silent = await make(client, endpoint.url("/silent"), kind)
        gone = await make(client, endpoint.url("/gone"), kind)
        await make(client, endpoint.url("/witness"), kind)
        path = f"/v1/webhooks/{silent['id']}"
        edited = (await client.patch(path, json={"status": "disabled"})).json()
        assert edited["status"] == "disabled"
        assert (await client.get(path)).json() == edited | {"reason": None}
        assert (await client.delete(f"/v1/webhooks/{gone['id']}")).status_code == 204
        assert (await client.get(f"/v1/webhooks/{gone['id']}")).status_code == 404
        await client.post("/v1/events", json={"type": kind, "user_id": unique("u")})

        async def witnessed() -> bool:
            return bool(endpoint.of("/witness"))

        await eventually(witnessed, "the witness is told")
        assert {g.path for g in endpoint.got} == {"/witness"}
        await client.patch(path, json={"status": "enabled", "types": [kind, "more"]})
        await client.post("/v1/events", json={"type": kind, "user_id": unique("u")})

        async def told() -> bool:
            return bool(endpoint.of("/silent"))

        await eventually(told, "it is told again")
        assert len(endpoint.of("/silent")) == 1


async def test_who_may_and_what_is_not_there(stack: LocalStack) -> None:
    async with stack.client() as client:
        public = {"Authorization": "Bearer pk_dev_local"}
        body = {"url": "https://example.com/", "types": ["*"]}
        dlv = "dlv_" + "0" * 32
        for method, path, json in (
            ("POST", "/v1/webhooks", body),
            ("PATCH", "/v1/webhooks/x", {}),
            ("DELETE", "/v1/webhooks/x", None),
            ("GET", "/v1/webhooks", None),
            ("GET", "/v1/webhooks/x/deliveries", None),
            ("POST", "/v1/webhooks/x/rotate", None),
            ("POST", f"/v1/webhooks/x/deliveries/{dlv}/retry", None),
        ):
            assert (await client.request(method, path, json=json, headers=public)).status_code == 403, path
            if path != "/v1/webhooks":
                assert (await client.request(method, path, json=json)).status_code == 404, path
        wrong = await client.post("/v1/webhooks", json={**body, "types": ["a*"]})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "types[0]")
        sample = await make(client, "http://127.0.0.1:9/", unique("t"))
        for unknown in (dlv, "x"):
            lost = await client.post(f"/v1/webhooks/{sample['id']}/deliveries/{unknown}/retry")
            assert lost.status_code == 404
            assert (await client.get(f"/v1/webhooks/{sample['id']}/deliveries/{unknown}")).status_code == 404
