"""A merge taken back over HTTP: who belongs together, whose the events are, and what evidence is left."""

from typing import Any

import httpx
import pytest

from tests.e2e.test_one_event import send, unique
from tests.support.comparison import rows
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


async def known(client: httpx.AsyncClient, name: str, what: str = "") -> Any:
    return (await client.get(f"/v1/contacts/{name}{what}")).json()


async def merged(client: httpx.AsyncClient, user: str, browser: str) -> tuple[Any, Any]:
    """Two contacts' events, and the one that ties them; the tie and the contact."""
    await send(client, {"type": "viewed", "anonymous_id": browser})
    await send(client, {"type": "bought", "user_id": user})
    tie = await send(client, {"type": "login", "user_id": user, "anonymous_id": browser})
    await eventually(
        lambda: known(client, f"anonymous_id:{browser}"), "merge", meets=lambda c: c.get("id") == tie["contact_id"]
    )
    return tie, tie["contact_id"]


async def events_of(client: httpx.AsyncClient, name: str) -> list[str]:
    return sorted(e["type"] for e in (await known(client, name, "/events")).get("data", []))


async def test_a_contact_comes_apart_by_its_evidence_and_stays_so_until_that_is_lifted(stack: LocalStack) -> None:
    user, browser = unique("u"), unique("a")
    async with stack.client() as client:
        tie, contact = await merged(client, user, browser)
        answer = await client.post(f"/v1/contacts/anonymous_id:{browser}/split", json={"evidence": [tie["event_id"]]})
        assert answer.status_code in (200, 202), answer.text
        contacts = answer.json()["contacts"]
        assert (len(contacts), contacts[0]) == (2, contact), answer.text
        alone = contacts[1]
        assert await eventually(lambda: events_of(client, alone), "its own events") == ["viewed"]
        assert await events_of(client, contact) == ["bought", "login"]
        for name in (f"anonymous_id:{browser}", alone):
            assert (await known(client, name))["id"] == alone
            assert (await known(client, name, "/identity"))["contact_id"] == alone
        tied = await known(client, alone, "/identity")
        assert [(m["from"], m["into"]) for m in tied["merges"]] == [(alone, contact), (alone, alone)]
        shown = {i["value"]: i["evidence"] for i in (await known(client, contact, "/identity"))["identifiers"]}
        assert not any(e["with"] for e in shown[user])
        resolved = await rows(
            stack,
            "SELECT DISTINCT type, contact_id FROM events_resolved WHERE contact_id IN {c:Array(String)}",
            c=contacts,
        )
        assert sorted(resolved) == sorted([("viewed", alone), ("bought", contact), ("login", contact)])
        assert (await send(client, {"type": "later", "anonymous_id": browser}))["contact_id"] == alone
        await send(client, {"type": "login", "user_id": user, "anonymous_id": browser, "event_id": tie["event_id"]})

        async def next_login() -> Any:
            await send(client, {"type": "login", "user_id": user, "anonymous_id": browser})
            return await known(client, contact, "/identity")

        # an event that overtakes the news of the split is not passed on to the resolver
        tied = await eventually(
            next_login, "the refusal", meets=lambda i: any(r["reason"] == "split" for r in i["refused"])
        )
        pair = {"a": {"type": "external_id", "value": user}, "b": {"type": "anonymous_id", "value": browser}}
        assert [{name: item[name] for name in pair} for item in tied["separated"]] == [pair]
        assert (await known(client, alone))["id"] == alone, "a split lasts"
        lifted = await client.post(f"/v1/contacts/{contact}/split", json={"lift": [pair["b"]]})
        assert lifted.status_code in (200, 202), lifted.text
        await eventually(lambda: known(client, contact, "/identity"), "the lift", meets=lambda i: not i["separated"])
        assert (await known(client, alone))["id"] == alone, "a lift ties nothing"
        again = await client.post(f"/v1/contacts/{contact}/split", json={"lift": [pair["b"]]})
        assert (again.status_code, again.json()["error"]["param"]) == (422, "lift[0]")
        await send(client, {"type": "login", "user_id": user, "anonymous_id": browser})
        await eventually(
            lambda: known(client, alone), "new evidence ties them again", meets=lambda c: c.get("id") == contact
        )


async def test_an_identifier_leaves_with_its_events(stack: LocalStack) -> None:
    user, browser = unique("u"), unique("a")
    async with stack.client() as client:
        _, contact = await merged(client, user, browser)
        body = {"identifiers": [{"type": "anonymous_id", "value": browser}]}
        answer = await client.post(f"/v1/contacts/{contact}/split", json=body)
        assert answer.status_code in (200, 202), answer.text
        assert len(answer.json()["contacts"]) == 2
        await eventually(
            lambda: events_of(client, f"anonymous_id:{browser}"), "events", meets=lambda e: e == ["viewed"]
        )
        again = await client.post(f"/v1/contacts/{contact}/split", json=body)
        assert (again.status_code, again.json()["error"]["param"]) == (422, "identifiers[0]")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"evidence": ["evt_of_nobody"]}, "evidence[0]"),
        ({"evidence": []}, "evidence"),
        ({"evidence": [7]}, "evidence[0]"),
        ({"evidence": "evt"}, "evidence"),
        ({}, "evidence"),
        ({"evidence": ["e"], "identifiers": []}, "evidence"),
        ({"because": "x"}, "because"),
        ({"identifiers": [{"type": "email", "value": "none"}]}, "identifiers[0].value"),
        ({"identifiers": [{"type": "email"}]}, "identifiers[0].value"),
        ({"identifiers": [{"type": "email", "value": "a@b.c"}]}, "identifiers[0]"),
    ],
)
async def test_what_cannot_be_taken_back_is_named(stack: LocalStack, body: dict[str, Any], param: str) -> None:
    async with stack.client() as client:
        sent = await send(client, {"type": "t", "user_id": "split-nobody"})
        answer = await client.post(f"/v1/contacts/{sent['contact_id']}/split", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)
        nobody = await client.post("/v1/contacts/external_id:split-never-seen/split", json={"evidence": ["e"]})
        assert nobody.status_code == 404


async def test_a_limit_of_the_workspace_refuses_with_its_reason_and_loses_no_event(stack: LocalStack) -> None:
    user, kind = unique("u"), f"card_{unique('x')[2:]}"
    async with stack.client() as client:
        changed = await client.patch("/v1/workspaces/local", json={"limits": {kind: 1}})
        assert (changed.status_code, changed.json()["limits"][kind]) == (200, 1), changed.text
        assert (await client.get("/v1/workspaces/local")).json() == changed.json()
        for body, param in (({"limits": {"email": 0}}, "limits.email"), ({"link_devices": 1}, "link_devices")):
            wrong = await client.patch("/v1/workspaces/local", json=body)
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, param)
        await client.patch("/v1/workspaces/local", json={"limits": {kind: None, "email": 1}})
        first = await send(client, {"type": "one", "user_id": user, "email": f"{user}@a.b"})

        async def refusals() -> Any:
            await send(client, {"type": "two", "user_id": user, "email": f"{unique('e')}@a.b"})
            return (await known(client, first["contact_id"], "/identity"))["refused"]

        result = await eventually(refusals, "the second address is refused")
        assert result[0]["reason"] == "limit:email"
        assert "two" in await events_of(client, first["contact_id"])
        await client.patch("/v1/workspaces/local", json={"limits": {"email": None}})
