"""Other vendors' clients against a running stack: their requests in, contacts, messages and answers out."""

import asyncio
from typing import Any

import httpx
import pytest
from altertable.client import Altertable, ApiError

from tests.e2e.test_one_event import unique
from tests.support.comparison import rows
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
PUBLIC = {"Authorization": "Bearer pk_dev_local"}
SYNC = "?sync=true&timeout_ms=10000"
START = "campaigns/triggers/start/"


async def contact(client: httpx.AsyncClient, name: str) -> Any:
    return (await client.get(f"/v1/contacts/{name}")).json()


async def test_altertables_own_sdk_works_unmodified(stack: LocalStack) -> None:
    user, browser, renamed = unique("u"), unique("a"), unique("v")
    sdk = Altertable("pk_dev_local", server_url=stack.url)

    def calls() -> list[Any]:
        return [
            sdk.track("Purchase Completed", user, {"properties": {"amount": 99.99}, "anonymous_id": browser}),
            sdk.identify(user, {"traits": {"email": f"{user}@example.com", "plan": "premium"}}),
            sdk.alias(user, renamed),
        ]

    answers = await asyncio.to_thread(calls)
    assert [a["ok"] for a in answers] == [True] * 3
    async with stack.client() as client:
        result = await eventually(
            lambda: contact(client, f"anonymous_id:{browser}"),
            "the contact",
            meets=lambda c: c.get("attributes", {}).get("plan") == "premium" and c["email"],
        )
        assert result["email"] == f"{user}@example.com"
        await eventually(
            lambda: contact(client, f"external_id:{renamed}"), "the alias", meets=lambda c: c.get("id") == result["id"]
        )
        task = await eventually(
            lambda: _json(client, f"/tasks/{answers[0]['task_id']}"),
            "the task",
            meets=lambda t: t["status"] == "completed",
        )
        assert [e["disposition"] for e in task["events"]] == ["stored"]
        events = (await client.get(f"/v1/contacts/external_id:{user}/events")).json()["data"]
    assert sorted(e["type"] for e in events) == ["$alias", "$identify", "Purchase Completed"]


async def _json(client: httpx.AsyncClient, path: str) -> Any:
    return (await client.get(path)).json()


@pytest.mark.parametrize(
    ("key", "environment", "properties", "answer"),
    [
        ("pk_nonsense", "production", {}, (401, "invalid-api-key")),
        ("pk_dev_local", "nowhere", {}, (400, "environment-not-found")),
        ("pk_dev_local", "production", {"$nonsense": 1}, (400, "unknown-built-in-property")),
        ("pk_dev_local", "production", [1], (422, "invalid-data")),
    ],
)
async def test_altertables_sdk_raises_what_the_edge_says(
    stack: LocalStack, key: str, environment: str, properties: Any, answer: Any
) -> None:
    sdk = Altertable(key, server_url=stack.url, environment=environment)
    with pytest.raises(ApiError) as raised:
        await asyncio.to_thread(sdk.track, "t", "u", {"properties": properties})
    assert (raised.value.status, raised.value.details["error_code"]) == answer


async def test_a_parcelvoy_alias_happens_once_and_for_one(stack: LocalStack) -> None:
    user, other, browser = unique("u"), unique("v"), unique("a")

    async def alias(client: httpx.AsyncClient, external: str) -> httpx.Response:
        body = {"anonymous_id": browser, "external_id": external}
        return await client.post("/api/client/alias", json=body, headers=PUBLIC)

    async with stack.client() as client:
        seen = [{"anonymous_id": browser, "name": "viewed"}]
        assert (await client.post("/api/client/events", json=seen, headers=PUBLIC)).status_code == 204
        assert (await alias(client, user)).status_code == 204
        # nobody told the other's alias that the first was just made: the link itself has to be refused
        refused = await alias(client, other)
        assert (refused.status_code, refused.json()["field"]) == (422, "anonymous_id")
        assert (await alias(client, user)).status_code == 204
        assert (await alias(client, other)).status_code == 422
        person = await eventually(
            lambda: contact(client, f"external_id:{user}"),
            "the alias",
            meets=lambda c: c.get("anonymous_ids") == [browser],
        )
        assert person["external_id"] == user
    aliases = await rows(
        stack,
        "SELECT uniqExact(event_id) FROM events WHERE has(identifiers.value, {a:String}) AND type = '$alias'",
        a=browser,
    )
    assert aliases[0][0] in (1, 2), "the same pair again is no event; the refused one may be"


async def test_two_parcelvoy_aliases_of_one_anonymous_id_at_once(stack: LocalStack) -> None:
    browser, users = unique("a"), [unique("u"), unique("v")]
    async with stack.client() as client:
        answers = await asyncio.gather(
            *(
                client.post("/api/client/alias", json={"anonymous_id": browser, "external_id": u}, headers=PUBLIC)
                for u in users
            )
        )
        statuses = sorted(a.status_code for a in answers)
        assert statuses in ([204, 422], [204, 503]), statuses
        winner = users[[a.status_code for a in answers].index(204)]
        owner = await eventually(
            lambda: contact(client, f"anonymous_id:{browser}"), "it", meets=lambda c: "external_id" in c
        )
        assert owner["external_id"] == winner


async def test_the_newest_token_of_a_device_is_kept(stack: LocalStack) -> None:
    user = unique("u")
    async with stack.client() as client:
        for token in ("first", "second"):
            body = {"external_id": user, "device_id": "d1", "token": token, "os": "iOS 16.3"}
            answer = await client.post(f"/api/client/devices{SYNC}", json=body, headers=PUBLIC)
            assert answer.status_code == 204
        result = await eventually(
            lambda: contact(client, f"external_id:{user}"),
            "the device",
            meets=lambda c: [d["token"] for d in c.get("devices", [])] == ["second"],
        )
    assert [(d["device_id"], d["os"]) for d in result["devices"]] == [("d1", "iOS 16.3")]
