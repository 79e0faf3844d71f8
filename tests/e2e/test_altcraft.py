"""Altcraft's API against a running stack: profiles, triggers and their queries in, messages and answers out."""

import hashlib
from typing import Any

import httpx
import pytest
import xxhash

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


async def altcraft(client: httpx.AsyncClient, method: str, query: str = "", /, **value: Any) -> Any:
    answer = await client.post(f"/api/v1.1/{method}{query}", json=value)
    assert answer.status_code == 200
    return answer.json()


async def test_an_altcraft_profile_is_imported_updated_and_read(stack: LocalStack) -> None:
    email, crm = f"{unique('p')}@example.com", unique("crm")
    who: dict[str, Any] = {"matching": "email", "email": email, "db_id": 1}
    async with stack.client() as client:
        assert (await altcraft(client, "profiles/update", **who, data={}))["error"] == 404
        made = await altcraft(client, "profiles/import", SYNC, **who, data={"_fname": "Jim", "CRM_ID": crm})
        assert made["error"] == 0
        profile_id = made["profile_id"]
        changed = await altcraft(client, "profiles/update", SYNC, **who, data={"_lname": "Jones", "_status": 1})
        assert changed == made
        by_id: dict[str, Any] = {"matching": "profile_id", "profile_id": profile_id}
        by_field: dict[str, Any] = {"matching": "custom", "field_name": "CRM_ID", "field_value": crm}
        for match in (who, by_id, by_field, {**who, "matching": "email_profile"}):
            got = await altcraft(client, "profiles/get", **match)
            assert got["error"] == 0, (match, got)
            data = got["data"]
            assert (data["_id"], data["_fname"], data["_lname"], data["_status"]) == (profile_id, "Jim", "Jones", 1)
        xml = await client.post(
            "/api/v1.1/profiles/get",
            content=f"<xml><email>{email}</email></xml>",
            headers={"Content-Type": "application/xml"},
        )
        assert f"<_id>{profile_id}</_id>" in xml.text
        assert (await altcraft(client, "profiles/get", **who | {"db_id": 2}))["error"] == 404
        twin = await altcraft(client, "profiles/import", SYNC, email=f"{unique('q')}@e.org", data={"CRM_ID": crm})
        assert twin["error"] == 0
        for method in ("profiles/get", "profiles/update", "profiles/import"):
            assert (await altcraft(client, method, **by_field, data={}))["error"] == 435
        assert (await altcraft(client, "profiles/delete", **by_field))["error"] == 435


async def test_altcrafts_delete_erases(stack: LocalStack) -> None:
    email = f"{unique('gone')}@example.com"
    async with stack.client() as client:
        assert (await altcraft(client, "profiles/delete", email=email))["error"] == 404
        made = await altcraft(client, "profiles/import", SYNC, email=email, data={"_fname": "Jim"})
        assert made["error"] == 0
        who = (await client.get(f"/v1/contacts/email:{email}")).json()["id"]
        assert (await altcraft(client, "profiles/delete", matching="email", email=email, data={"a": 1}))["error"] == 0
        assert (await client.get(f"/v1/contacts/email:{email}")).status_code == 404
        assert (await client.get(f"/v1/contacts/{who}")).status_code == 404
        assert (await altcraft(client, "profiles/get", email=email))["error"] == 404


async def test_an_altcraft_import_by_a_field_of_its_own_makes_one_profile(stack: LocalStack) -> None:
    crm = unique("crm")
    who: dict[str, Any] = {"matching": "custom", "field_name": "Shop ID", "field_value": crm}
    async with stack.client() as client:
        made = await altcraft(client, "profiles/import", SYNC, **who, data={"a": 1})
        again = await altcraft(client, "profiles/import", SYNC, **who, data={"b": 2})
        assert made["profile_id"] == again["profile_id"]
        got = await altcraft(client, "profiles/get", **who)
        assert got["error"] == 0, (made, again, got, await contact(client, made["profile_id"]))
        data = got["data"]
        assert (data["Shop ID"], data["a"], data["b"]) == (crm, 1, 2)


async def messages(stack: LocalStack, campaign: str) -> list[Any]:
    return await rows(
        stack,
        "SELECT contact_id, type, message_id, JSONExtractString(properties, 'to', 'email') FROM events FINAL "
        "WHERE campaign_id = {c:String} ORDER BY contact_id",
        c=campaign,
    )


async def test_a_trigger_reaches_whom_it_names_once(stack: LocalStack) -> None:
    tag = unique("t")
    emails = [f"{tag}-{n}@example.com" for n in range(3)]
    async with stack.client() as client:
        made = [
            await altcraft(client, "profiles/import", SYNC, email=e, data={"tag": tag, "n": n, "phones": []})
            for n, e in enumerate(emails)
        ]
        ids = [m["profile_id"] for m in made]
        body = {"kind": "trigger", "name": "Hello", "channel": "email", "delivery": {"topic": "mail"}}
        created = await client.post("/v1/campaigns", json=body)
        assert created.status_code == 201, created.text
        campaign = created.json()
        assert (await client.get(f"/v1/campaigns/{campaign['id']}")).json() == campaign
        listed = (await client.get("/v1/campaigns?status=active")).json()["data"]
        assert campaign["id"] in [c["id"] for c in listed]

        query = {"$and": [{"tag": tag}, {"$or": [{"n": {"$gte": 2}}, {"email": {"$in": [emails[0]]}}]}]}
        launch = {"id": campaign["number"], "custom_request": query, "content": {"title": "x" * 100}}
        for _ in range(2):
            assert await altcraft(client, START, **launch) == {
                "data": None,
                "error": 0,
                "error_text": "Successful operation",
            }
        sent = await eventually(lambda: messages(stack, campaign["id"]), "the messages", meets=lambda m: len(m) >= 2)
        expected = sorted([(ids[0], emails[0]), (ids[2], emails[2])])
        assert [(m[0], m[3]) for m in sent] == expected
        assert {m[1] for m in sent} == {"message.requested"}

        md5 = hashlib.md5(emails[1].encode()).hexdigest()
        for who in (emails[1], md5, xxhash.xxh64(emails[1].encode()).hexdigest()):
            answer = await client.get(f"{campaign['trigger_url']}/{who}")
            assert answer.json()["error"] == 0, answer.text
        sent = await eventually(lambda: messages(stack, campaign["id"]), "the links", meets=lambda m: len(m) >= 5)
        assert [m[3] for m in sent].count(emails[1]) == 3
        assert (await client.get(f"{campaign['trigger_url']}/{'0' * 32}")).json()["error"] == 404
        paused = await client.patch(f"/v1/campaigns/{campaign['id']}", json={"status": "paused"})
        assert paused.json()["status"] == "paused"
        assert (await altcraft(client, START, id=campaign["id"], email=emails[0]))["error"] == 450


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"n": 1}, [1]),
        ({"n": {"$ne": 1}}, [0, 2]),
        ({"n": {"$nin": [0, 1]}}, [2]),
        ({"n": {"$gt": 0, "$lt": 2}}, [1]),
        ({"n": {"$lte": 1}}, [0, 1]),
        ({"word": {"$regex": "^W.r"}}, [1]),
        ({"word": {"$regex": "^W.R", "$options": "i"}}, [1]),
        ({"word": {"$exists": True}}, [1]),
        ({"word": {"$exists": False}}, [0, 2]),
        ({"word": None}, [0, 2]),
        ({"deep.er": True}, [2]),
        ({"deep.er": "true"}, [2]),
        ({"flat.name": "x"}, [1]),
        ({"flat.name": {"$exists": False}}, [0, 2]),
        ({"n": "1"}, [1]),
        ({"list": "b"}, [0]),
        ({"list": {"$in": ["b", "x"]}}, [0]),
        ({"numbers": 7}, [2]),
        ({"digits": 5}, [0]),
        ({"$not": {"n": 0}}, [1, 2]),
        ({"n": {"$not": {"$gte": 1}}}, [0]),
        ({"$or": [{"n": 0}, {"n": 2}]}, [0, 2]),
        ({"email": {"$regex": "-1@"}}, [1]),
        ({"_id": {"$in": []}}, []),
        ({"it's": {"$exists": True}}, []),
        ({"{x:String}": "a"}, []),
    ],
    ids=str,
)
async def test_a_custom_request_finds_what_mongodb_would(
    stack: LocalStack, audience: str, query: dict[str, Any], rows: list[int]
) -> None:
    audience_query = {"query": {"$and": [{"tag": audience}, query]}, "attributes": True}
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": "Bearer sk_dev_local"}) as client:
        answer = await client.post(
            f"http://127.0.0.1:{stack.settings.query_port}/internal/audience", json=audience_query
        )
    assert answer.status_code == 200, answer.text
    assert sorted(c["attributes"]["n"] for c in answer.json()["contacts"]) == rows


@pytest.mark.parametrize(
    "query",
    [
        {"a": {"$where": 1}},
        {"$nor": []},
        {"$and": []},
        {"a": {"$in": 5}},
        {"a": {"$regex": "("}},
        {"a": {"$gt": []}},
        {"a": {"$regex": "(?=x)"}},
        {"$not": 5},
        {"a": {"$exists": 1}},
        {"a": {"b": {}}},
        {"email": {"$gt": 5}},
    ],
    ids=str,
)
async def test_a_wrong_custom_request_is_refused(stack: LocalStack, query: dict[str, Any]) -> None:
    async with stack.client() as client:
        made = await client.post(
            "/v1/campaigns",
            json={"kind": "trigger", "name": "n", "channel": "sms", "delivery": {"url": "https://example.com/x"}},
        )
        answer = await altcraft(client, START, id=made.json()["id"], custom_request=query)
    assert answer["error"] == 450, answer
    assert "custom_request" in answer["error_text"]


@pytest.fixture(scope="module")
async def audience(stack: LocalStack) -> str:
    tag = unique("aud")
    profiles: list[dict[str, Any]] = [
        {"list": ["a", "b"], "digits": "5"},
        {"word": "Word", "flat.name": "x", "flat": {"name": "y"}},
        {"deep": {"er": True}, "numbers": [7, 8]},
    ]
    async with stack.client() as client:
        for n, data in enumerate(profiles):
            value = {"tag": tag, "n": n, **data}
            made = await altcraft(client, "profiles/import", SYNC, email=f"{tag}-{n}@example.com", data=value)
            assert made["error"] == 0
    return tag
