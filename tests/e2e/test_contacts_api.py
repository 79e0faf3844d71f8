"""Contacts written through the API, and what every read says of them right after."""

import asyncio
import secrets
from typing import Any

import httpx
import orjson
import pytest

from tests.support.stack import LocalStack

pytestmark = pytest.mark.e2e
WAIT = "?timeout_ms=10000"


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


async def upsert(client: httpx.AsyncClient, status: int, **body: Any) -> Any:
    answer = await client.post(f"/v1/contacts{WAIT}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def edit(client: httpx.AsyncClient, name: str, **body: Any) -> Any:
    answer = await client.patch(f"/v1/contacts/{name}{WAIT}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_an_upsert_answers_is_what_every_read_says(stack: LocalStack) -> None:
    user, email, phone = unique("u"), f"{unique('E')}@X.org", "+1202555" + str(secrets.randbelow(9000) + 1000)
    async with stack.client() as client:
        made = await upsert(
            client,
            201,
            external_id=user,
            email=email,
            phone=phone,
            anonymous_id=f"a-{user}",
            attributes={"plan": "pro", "deep": {"a": 1}},
            consents={"email_marketing": True},
            devices=[{"device_id": "d1", "token": "t"}],
        )
        assert made == {
            "id": made["id"],
            "external_id": user,
            "email": email.lower(),
            "phone": phone,
            "anonymous_ids": [f"a-{user}"],
            "attributes": {"plan": "pro", "deep": {"a": 1}},
            "consents": {"email_marketing": True},
            "devices": [{"device_id": "d1", "token": "t"}],
            "segments": [],
            "created_at": made["created_at"],
            "updated_at": made["updated_at"],
        }
        names = (made["id"], f"external_id:{user}", f"email:{email}", f"phone:{phone}", f"anonymous_id:a-{user}")
        for name in names:
            assert (await client.get(f"/v1/contacts/{name}")).json() == made
        listed = (await client.get("/v1/contacts", params={"email": email})).json()
        assert listed["data"] == [made]
        again = await upsert(client, 200, email=email, attributes={"plan": None, "size": 3})
        assert again["attributes"] == {"deep": {"a": 1}, "size": 3}
        assert (again["id"], again["created_at"]) == (made["id"], made["created_at"])
        assert again["updated_at"] > made["updated_at"]
        assert (await client.get(f"/v1/contacts/{made['id']}")).json() == again


async def test_a_patch_by_any_name_and_the_time_of_a_change(stack: LocalStack) -> None:
    user = unique("u/with slash")
    path = f"external_id:{user.replace('/', '%2F').replace(' ', '%20')}"
    async with stack.client() as client:
        made = await upsert(client, 201, external_id=user, attributes={"a": 1})
        same = await edit(client, path, attributes={"a": 1})
        assert same == made, "what says nothing new changes nothing, the times included"
        late = await edit(client, path, attributes={"a": 0}, timestamp="2020-01-01T00:00:00Z")
        assert [text.partition(":")[0] for text in late.pop("warnings")] == ["older_than_known"]
        assert late == made, "an older write of the same attribute loses"
        changed = await edit(client, made["id"], attributes={"a": 2}, email=f"{unique('m')}@x.org")
        assert changed["attributes"] == {"a": 2}
        assert changed["email"]
        assert changed["created_at"] == made["created_at"] < changed["updated_at"]
        assert (await client.get(f"/v1/contacts/email:{changed['email']}")).json() == changed
        event = {"type": "seen", "external_id": user}
        assert (await client.post("/v1/events?sync=true&timeout_ms=10000", json=event)).status_code == 200
        assert (await client.get(f"/v1/contacts/{path}")).json() == changed, "an event that says nothing of a profile"


async def test_consents_keep_their_history(stack: LocalStack) -> None:
    user = unique("u")
    async with stack.client() as client:
        await upsert(client, 201, external_id=user, consents={"sms": True}, timestamp="2025-01-01T00:00:00Z")
        await edit(client, f"external_id:{user}", consents={"sms": False}, timestamp="2025-03-01T00:00:00Z")
        await edit(client, f"external_id:{user}", consents={"sms": True}, timestamp="2025-02-01T00:00:00Z")
        now = await edit(client, f"external_id:{user}", consents={"push": True}, timestamp="2025-04-01T00:00:00Z")
        assert now["consents"] == {"sms": False, "push": True}
        answer = (await client.get(f"/v1/contacts/external_id:{user}/consents")).json()
        # said to be given in February as in January: no change
        assert [(c["consent"], c["value"], c["at"][:7]) for c in answer["data"]] == [
            ("push", True, "2025-04"),
            ("sms", False, "2025-03"),
            ("sms", True, "2025-01"),
        ]
        assert answer["meta"]["total"] == 3
        first = (await client.get(f"/v1/contacts/external_id:{user}/consents?limit=1&cursor=")).json()
        rest = (await client.get(f"/v1/contacts/external_id:{user}/consents?cursor={first['next_cursor']}")).json()
        assert first["data"] + rest["data"] == answer["data"]


async def test_an_identifier_of_somebody_else_is_named(stack: LocalStack) -> None:
    user, two, email = unique("u"), unique("v"), f"{unique('m')}@x.org"
    async with stack.client() as client:
        first = await upsert(client, 201, external_id=user, email=email)
        second = await upsert(client, 201, external_id=two, email=email)
        assert first["id"] != second["id"]
        assert second["email"] is None
        text = "link_refused: email was not added: it belongs to another contact, or the contact has too many"
        assert second["warnings"] == [text]
        assert (await client.get(f"/v1/contacts/email:{email}")).json()["id"] == first["id"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ([], 400, None),
        ({}, 422, "user_id"),
        ({"email": "nobody"}, 422, "email"),
        ({"email": True}, 422, "email"),
        ({"external_id": "u", "colour": 1}, 422, "colour"),
        ({"external_id": "u", "attributes": [1]}, 422, "attributes"),
        ({"external_id": "u", "attributes": {str(n): 1 for n in range(1001)}}, 422, "attributes"),
        ({"external_id": "u", "attributes": {"a": "x" * 300_000}}, 413, "attributes"),
        ({"external_id": "u", "consents": {"sms": "yes"}}, 422, "consents.sms"),
        ({"external_id": "u", "devices": [{"token": "t"}]}, 422, "devices[0].device_id"),
        ({"external_id": "u", "timestamp": "soon"}, 422, "timestamp"),
        ({"external_id": "u", "environment": "moon"}, 422, "environment"),
        ({"external_id": "u", "user_id": "v"}, 422, "user_id"),
        ({"id": "cnt_sb73xi2lbtktsaaaaaaaaaaaaaaaaaaa"}, 404, "id"),
    ],
)
async def test_what_is_wrong_is_named(stack: LocalStack, body: Any, status: int, param: str | None) -> None:
    async with stack.client() as client:
        answer = await client.post("/v1/contacts", json=body)
        assert (answer.status_code, answer.json()["error"].get("param")) == (status, param), answer.text


async def test_an_edit_gives_a_contact_a_stronger_name_but_takes_none_from_another(stack: LocalStack) -> None:
    user, email, other = unique("u"), f"{unique('m')}@x.org", f"{unique('o')}@x.org"
    async with stack.client() as client:
        made = await upsert(client, 201, email=email, attributes={"a": 1})
        named = await edit(client, f"email:{email}", external_id=user, attributes={"b": 2})
        assert (named["id"], named["external_id"], named["email"]) == (made["id"], user, email)
        assert named["attributes"] == {"a": 1, "b": 2}
        by_id = await upsert(client, 200, id=made["id"], attributes={"c": 3})
        assert by_id["attributes"] == {"a": 1, "b": 2, "c": 3}
        await upsert(client, 201, email=other)
        taken = await client.patch(f"/v1/contacts/{made['id']}", json={"email": other})
        assert (taken.status_code, taken.json()["error"]["param"]) == (409, "email")


async def test_nobody_can_be_edited_who_is_not_there(stack: LocalStack) -> None:
    async with stack.client() as client:
        for name in ("cnt_sb73xi2lbtktsaaaaaaaaaaaaaaaaaaa", "external_id:nobody-here", "x", "email:none"):
            answer = await client.patch(f"/v1/contacts/{name}", json={"attributes": {"a": 1}})
            assert answer.status_code == 404, answer.text
            assert (await client.get(f"/v1/contacts/{name}")).status_code == 404


async def test_an_idempotency_key_answers_once(stack: LocalStack) -> None:
    user, kind = unique("u"), unique("bought")
    async with stack.client() as client:
        client.headers["Idempotency-Key"] = unique("key")
        event = {"type": kind, "user_id": user}
        answers = await asyncio.gather(*(client.post("/v1/events?sync=true", json=event) for _ in range(8)))
        assert {a.status_code for a in answers} == {200}
        assert len({a.content for a in answers}) == 1
        assert len({a.headers["x-request-id"] for a in answers}) == 8, "each request has its own id"
        other = await client.post("/v1/events?sync=true", json={"type": kind, "user_id": "x"})
        assert (other.status_code, other.json()["error"]["param"]) == (409, "Idempotency-Key")
        made = await client.post("/v1/segments", json={"name": "x", "rule": {"identified": True}})
        assert made.status_code == 201, "another path is another request"
        again = await client.post("/v1/segments", json={"name": "x", "rule": {"identified": True}})
        assert again.json() == made.json()
        del client.headers["Idempotency-Key"]
        assert (await client.delete(f"/v1/segments/{made.json()['id']}")).status_code == 204
        stored = (await client.get(f"/v1/contacts/external_id:{user}/events")).json()["data"]
        assert [e["event_id"] for e in stored] == [orjson.loads(answers[0].content)["event_id"]]


async def test_a_batch_of_contacts_can_be_read_when_it_was_waited_for(stack: LocalStack) -> None:
    name = unique("b")
    people: list[dict[str, Any]] = [
        {"external_id": f"{name}-{n}", "attributes": {"n": n}, "consents": {"email_marketing": n % 2 == 0}}
        for n in range(300)
    ]
    people[7] = {"attributes": {}}
    async with stack.client() as client:
        answer = await client.post("/v1/contacts/batch?sync=true&timeout_ms=10000", json={"contacts": people})
        assert answer.status_code == 200, answer.text
        listed = answer.json()
        assert (listed["accepted"], listed["rejected"]) == (299, 1)
        assert listed["results"][7]["error"]["param"] == "contacts[7].user_id"
        for n in (0, 1, 299):
            body = (await client.get(f"/v1/contacts/external_id:{name}-{n}")).json()
            assert (body["id"], body["attributes"]) == (listed["results"][n]["id"], {"n": n})
            assert body["consents"] == {"email_marketing": n % 2 == 0}
        task = (await client.get(f"/v1/tasks/{listed['task_id']}")).json()
        assert (task["status"], task["progress"]) == ("completed", {"total": 299, "done": 299})
        edit = [{"id": listed["results"][0]["id"], "attributes": {"n": None, "vip": True}}, {"id": "cnt_nobody"}]
        again = await client.post("/v1/contacts/batch?sync=true&timeout_ms=10000", json=edit)
        assert [result.get("error", {}).get("param") for result in again.json()["results"]] == [None, "contacts[1].id"]
        assert (await client.get(f"/v1/contacts/external_id:{name}-0")).json()["attributes"] == {"vip": True}


async def test_many_upserts_at_a_time_are_each_answered_as_they_are_read(stack: LocalStack) -> None:
    name = unique("many")

    async def write(client: httpx.AsyncClient, n: int) -> None:
        body = {"external_id": f"{name}-{n}", "email": f"{name}-{n}@x.org", "attributes": {"n": n}}
        answer = await client.post("/v1/contacts?timeout_ms=10000", json=body)
        assert answer.status_code == 201, answer.text
        for by in (f"external_id:{name}-{n}", f"email:{name}-{n}@x.org"):
            assert (await client.get(f"/v1/contacts/{by}")).json() == answer.json()

    async with stack.client() as client:
        await asyncio.gather(*(write(client, n) for n in range(40)))


async def test_a_page_sets_its_visitors_consents_with_a_public_key(stack: LocalStack) -> None:
    visitor = unique("a")
    page = {"Authorization": "Bearer pk_dev_local"}
    async with stack.client() as client:
        for consents in ({"email_marketing": True, "ads": True}, {"ads": False}):
            event = {"type": "banner_closed", "anonymous_id": visitor, "consents": consents}
            answer = await client.post("/v1/events?sync=true&timeout_ms=10000", json=event, headers=page)
            assert answer.status_code == 200, answer.text
        body = (await client.get(f"/v1/contacts/anonymous_id:{visitor}")).json()
        assert body["consents"] == {"email_marketing": True, "ads": False}
        changes = (await client.get(f"/v1/contacts/anonymous_id:{visitor}/consents")).json()["data"]
        assert [(change["consent"], change["value"]) for change in changes if change["consent"] == "ads"] == [
            ("ads", False),
            ("ads", True),
        ]
