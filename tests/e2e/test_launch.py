"""Launches of campaigns on a running stack: counts by reason, previews, repeats, and what is delivered."""

from typing import Any

import httpx
import pytest

from tests.e2e.test_one_event import unique
from tests.support.stack import LocalStack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver, receiver

pytestmark = pytest.mark.e2e
WAIT = {"timeout_ms": "10000"}


async def person(client: httpx.AsyncClient, tag: str, **fields: Any) -> str:
    body = {"external_id": unique("p"), "attributes": {"tag": tag}, **fields}
    made = await client.post("/v1/contacts", json=body, params={"sync": "true", **WAIT})
    assert made.status_code in (200, 201), made.text
    return str(made.json()["id"])


async def audience(client: httpx.AsyncClient, tag: str) -> dict[str, str]:
    """One for each reason, and two who may be sent a mail."""
    mail = [f"{unique('m')}@example.com" for _ in range(4)]
    return {
        "yes": await person(client, tag, email=mail[0], consents={"email_marketing": True}),
        "too": await person(client, tag, email=mail[1], consents={"email": True}),
        "no": await person(client, tag, email=mail[2], consents={"email_marketing": False}),
        "silent": await person(client, tag, email=mail[3]),
        "nowhere": await person(client, tag, consents={"email_marketing": True}),
    }


async def campaign(client: httpx.AsyncClient, **fields: Any) -> str:
    body = {"name": "Spring", "channel": "email", **fields}
    made = await client.post("/v1/campaigns", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def segment(client: httpx.AsyncClient, tag: str, members: int) -> str:
    made = await client.post("/v1/segments", json={"name": tag, "rule": _rule(tag)})
    assert made.status_code == 201, made.text
    path = f"/v1/segments/{made.json()['id']}"
    await eventually(lambda: _json(client, path), "the segment", meets=lambda s: s["contacts"] == members)
    return str(made.json()["id"])


def _rule(tag: str) -> dict[str, Any]:
    return {"attribute": "tag", "op": "eq", "value": tag}


async def _json(client: httpx.AsyncClient, path: str) -> Any:
    return (await client.get(path)).json()


async def _launch(client: httpx.AsyncClient, name: str, status: int = 200, **body: Any) -> Any:
    answer = await client.post(f"/v1/campaigns/{name}/launch", json=body, params=WAIT)
    assert answer.status_code == status, answer.text
    return answer.json()


async def _recipients(endpoint: WebhookReceiver, count: int) -> set[str]:
    async def got() -> set[str]:
        return {request.json["data"]["contact_id"] for request in endpoint.got}

    items: set[str] = await eventually(got, f"{count} messages", meets=lambda result: len(result) >= count)
    return items


async def test_a_segment_is_launched_and_counted_by_reason(stack: LocalStack) -> None:
    async with stack.client() as client, receiver() as endpoint:
        tag = unique("launch")
        who = await audience(client, tag)
        listed = await segment(client, tag, 5)
        name = await campaign(client, delivery={"url": endpoint.url()})
        skipped = {"no_address": 1, "no_consent": 2, "capped": 0, "gone": 0}
        expected = {"total": 5, "launched": 2, "skipped": skipped}
        for body in ({"segment": listed}, {"rule": _rule(tag)}):
            plan = await _launch(client, name, dry_run=True, **body)
            assert {key: plan[key] for key in expected} == expected
        assert (await _json(client, f"/v1/campaigns/{name}/launches"))["data"] == [], "a preview launches nothing"

        done = await _launch(client, name, segment=listed, id="first", content={"subject": "Hello"})
        assert {key: done[key] for key in ("status", *expected)} == {"status": "done", **expected}
        assert await _launch(client, name, segment=listed, id="first", content={"subject": "Hello"}) == done
        await _launch(client, name, 409, segment=listed, id="first", content={"subject": "Other"})
        assert (await _json(client, f"/v1/campaigns/{name}/launches"))["data"] == [done]
        assert await _json(client, f"/v1/campaigns/{name}/launches/{done['id']}") == done
        task = await _json(client, f"/v1/tasks/{done['task_id']}")
        assert (task["status"], task["progress"]) == ("completed", {"total": 5, "done": 5})

        assert await _recipients(endpoint, 2) == {who["yes"], who["too"]}
        for request in endpoint.got:
            data = request.json["data"]
            assert (data["campaign_id"], data["properties"]["launch_id"]) == (name, done["id"])
            assert data["properties"]["content"] == {"subject": "Hello"}
            assert list(data["properties"]["to"]) == ["email"]
            assert data["campaign_name"] == "Spring"
            assert data["identifiers"]["email"] == data["properties"]["to"]["email"]
        path = f"/v1/campaigns/{name}"
        shown = await eventually(lambda: _json(client, path), "figures", meets=lambda c: c["stats"]["requested"] == 2)
        assert shown["status"] == "sent"
        assert len(endpoint.got) == 2, "the repeated launch made no second message"


async def test_consents_are_passed_over_by_a_scope_of_its_own_alone(stack: LocalStack) -> None:
    async with stack.client() as client, receiver() as endpoint:
        who = await audience(client, unique("launch"))
        name = await campaign(client, delivery={"url": endpoint.url()})
        refused = await _launch(client, name, contact=who["no"])
        assert (refused["launched"], refused["skipped"]["no_consent"]) == (0, 1)
        key = {"name": "launches", "scopes": ["campaigns:write"]}
        made = (await client.post("/v1/keys", json=key)).json()["key"]
        async with httpx.AsyncClient(base_url=client.base_url, headers={"Authorization": f"Bearer {made}"}) as narrow:
            answer = await _launch(narrow, name, 403, contact=who["no"], override_consent=True)
            assert answer["error"]["param"] == "override_consent"
            assert (await _launch(narrow, name, contact=who["yes"]))["launched"] == 1
        launched = await _launch(client, name, contact=who["no"], override_consent=True)
        assert (launched["launched"], launched["override_consent"]) == (1, True)
        assert await _recipients(endpoint, 2) == {who["yes"], who["no"]}
        by_contact = {
            request.json["data"]["contact_id"]: request.json["data"]["properties"] for request in endpoint.got
        }
        assert by_contact[who["no"]]["consent_overridden"] is True
        assert "consent_overridden" not in by_contact[who["yes"]]


async def test_a_cap_counts_what_other_campaigns_of_the_channel_sent(stack: LocalStack) -> None:
    async with stack.client() as client:
        who = await audience(client, unique("launch"))
        first = await campaign(client, delivery={"topic": unique("mail")})
        other = await campaign(client, delivery={"topic": unique("mail")}, cap={"messages": 1, "within": "7d"})
        assert (await _launch(client, first, contact=who["yes"]))["launched"] == 1
        path = f"/v1/campaigns/{first}"
        await eventually(lambda: _json(client, path), "its row", meets=lambda c: c["stats"]["requested"] == 1)
        assert (await _launch(client, other, contact=who["yes"]))["skipped"]["capped"] == 1
        assert (await _launch(client, other, contact=who["too"]))["launched"] == 1


async def test_a_wrong_launch_is_refused_by_the_field(stack: LocalStack) -> None:
    async with stack.client() as client:
        name = await campaign(client, delivery={"topic": unique("mail")}, variants=[{"id": "a", "name": "A"}])
        nowhere = await campaign(client)
        rule = {"attribute": "x", "op": "near", "value": 1}
        for status, param, body in (
            (404, "segment", {"segment": "Regulars"}),
            (404, None, {"contact": "email:nobody@example.com"}),
            (422, "rule.op", {"rule": rule}),
            (422, "variant", {"contact": "email:a@b.c", "variant": "C"}),
            (422, None, {}),
            (422, None, {"segment": "a", "contact": "b"}),
            (422, "dry_run", {"segment": "a", "dry_run": 1}),
            (413, "content", {"contact": "email:a@b.c", "content": {"x": "y" * 70_000}}),
        ):
            answer = await _launch(client, name, status, **body)
            assert param is None or answer["error"]["param"] == param, answer
        assert (await _launch(client, nowhere, 409, contact="email:a@b.c"))["error"]["param"] == "delivery"
        await _launch(client, "cmp_none", 404, contact="email:a@b.c")
        await client.patch(f"/v1/campaigns/{name}", json={"status": "paused"})
        assert (await _launch(client, name, 409, contact="email:a@b.c"))["error"]["param"] == "status"


async def test_an_idempotency_key_is_an_id(stack: LocalStack) -> None:
    async with stack.client() as client:
        who = await audience(client, unique("launch"))
        name = await campaign(client, delivery={"topic": unique("mail")})
        headers = {"Idempotency-Key": unique("key")}
        path = f"/v1/campaigns/{name}/launch"
        answers = [
            (await client.post(path, json={"contact": who["yes"]}, headers=headers, params=WAIT)).json()
            for _ in range(2)
        ]
        assert answers[0] == answers[1]
        assert len((await _json(client, f"/v1/campaigns/{name}/launches"))["data"]) == 1


async def test_a_trigger_of_altcrafts_obeys_consents_too(stack: LocalStack) -> None:
    async with stack.client() as client, receiver() as endpoint:
        tag = unique("launch")
        who = await audience(client, tag)
        body = {"kind": "trigger", "delivery": {"url": endpoint.url()}}
        made = (await client.post("/v1/campaigns", json={"name": "Hello", "channel": "email", **body})).json()
        path = "/api/v1.1/campaigns/triggers/start"
        start = {"id": made["id"], "custom_request": {"tag": tag}}
        answer = await client.post(path, json=start)
        counts = (answer.headers["Headwater-Launched"], answer.headers["Headwater-Skipped-No-Consent"])
        assert (answer.json()["error"], counts) == (0, ("4", "1")), "a trigger needs no yes, only that nobody said no"
        result = await _recipients(endpoint, 4)
        assert result == set(who.values()) - {who["no"]}
        mail = (await _json(client, f"/v1/contacts/{who['no']}"))["email"]
        for item in (
            await client.post(path, json={"id": made["id"], "email": mail}),
            await client.get(f"{made['trigger_url']}/{mail}"),
        ):
            assert item.json()["error"] == 404, item.text
        overridden = {"id": made["id"], "email": mail, "override_consent": True}
        assert (await client.post(path, json=overridden)).json()["error"] == 0
        assert await _recipients(endpoint, 5) == set(who.values())


async def test_whoever_enters_a_segment_is_launched_once(stack: LocalStack) -> None:
    async with stack.client() as client, receiver() as endpoint:
        tag = unique("launch")
        before = await person(client, tag, email=f"{unique('m')}@example.com", consents={"email": True})
        listed = await segment(client, tag, 1)
        name = await campaign(client, delivery={"url": endpoint.url()}, launch_on_entry=listed)
        shown = await _json(client, f"/v1/campaigns/{name}")
        assert (shown["status"], shown["launch_on_entry"]) == ("active", listed)
        who = await audience(client, tag)
        path = f"/v1/campaigns/{name}/launches"
        (job,) = await eventually(lambda: _data(client, path), "counts", meets=lambda d: d and d[0]["total"] == 5)
        assert (job["on_entry"], job["launched"]) == (True, 2)
        assert job["skipped"] == {"no_address": 1, "no_consent": 2, "capped": 0, "gone": 0}
        assert await _recipients(endpoint, 2) == {who["yes"], who["too"]}, "nobody who was in it before"

        for value in ("out", tag):
            body = {"attributes": {"tag": value}}
            await client.patch(f"/v1/contacts/{who['yes']}", json=body, params={"sync": "true", **WAIT})

        async def again() -> int:
            return [request.json["data"]["contact_id"] for request in endpoint.got].count(who["yes"])

        await eventually(again, "a second entry", meets=lambda count: count == 2)
        await client.patch(f"/v1/campaigns/{name}", json={"status": "paused"})
        await person(client, tag, email=f"{unique('m')}@example.com", consents={"email": True})
        await client.patch(f"/v1/campaigns/{name}", json={"status": "active"})
        last = await person(client, tag, email=f"{unique('m')}@example.com", consents={"email": True})
        result = await _recipients(endpoint, 3)
        assert result == {who["yes"], who["too"], last}
        assert before not in result
        assert len(endpoint.got) == 4


async def test_a_launch_on_entry_needs_a_segment_and_a_place_to_go(stack: LocalStack) -> None:
    async with stack.client() as client:
        for param, more in (("delivery", {}), ("launch_on_entry", {"delivery": {"topic": "mail"}})):
            body = {"name": "x", "channel": "email", "launch_on_entry": "Regulars", **more}
            wrong = await client.post("/v1/campaigns", json=body)
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, param)


async def _data(client: httpx.AsyncClient, path: str) -> Any:
    return (await client.get(path)).json()["data"]
