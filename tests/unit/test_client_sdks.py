"""The calls of Parcelvoy's and Lunogram's own SDKs, as they send them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from schemas.records import identity
from schemas.records.records import Event
from tests.support.edge import PUBLIC, SECRET, MemoryLog, RecordedReads, client_of, memory_edge

ANONYMOUS = {"source": "anonymous", "external_id": "a-1"}
KNOWN = {"source": "default", "external_id": "u-1"}
ROOTS = ["/api/client", "/api/client/projects/0198c0de"]


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def client(tmp_path: Path, log: MemoryLog) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(memory_edge(tmp_path, log)) as client:
        client.headers.update(PUBLIC)
        yield client


def who(event: Event) -> list[str]:
    return [f"{identifier['type']}:{identifier['value']}" for identifier in event["identifiers"]]


def said(event: Event) -> Any:
    return orjson.loads(event["properties"])


def edge_id(kind: str, value: str) -> str:
    return identity.contact_id("local", "production", kind, value)


@pytest.mark.parametrize("root", ROOTS)
async def test_a_list_of_identifiers_names_the_sender(client: httpx.AsyncClient, log: MemoryLog, root: str) -> None:
    events = [{"name": "seen", "data": {"n": 1}, "identifier": [ANONYMOUS, KNOWN]}]
    assert (await client.post(f"{root}/users/events", json=events)).status_code == 202
    user = {"identifier": [ANONYMOUS, {"external_id": "u-1"}], "email": "u1@example.com", "data": {"plan": "pro"}}
    answer = await client.post(f"{root}/users", json=user)
    assert answer.status_code == 200
    assert (answer.json()["external_id"], answer.json()["anonymous_id"]) == ("u-1", "a-1")
    event, identified = log.events
    assert (who(event), said(event), event["context"]) == (["external_id:u-1", "anonymous_id:a-1"], {"n": 1}, b"")
    assert who(identified) == ["external_id:u-1", "email:u1@example.com", "anonymous_id:a-1"]


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ([{"source": "Hub-Spot", "external_id": "7"}], ["hub_spot:7"]),
        ([{"source": "email", "external_id": "U@example.com"}], ["email:u@example.com"]),
        ([{"source": "", "external_id": 7}], ["external_id:7"]),
        ({"external_id": "u-1"}, ["external_id:u-1"]),
    ],
)
async def test_other_sources(client: httpx.AsyncClient, log: MemoryLog, identifier: Any, expected: list[str]) -> None:
    answer = await client.post("/api/client/users/events", json=[{"name": "seen", "identifier": identifier}])
    assert answer.status_code == 202, answer.text
    assert who(log.events[0]) == expected


@pytest.mark.parametrize(
    ("identifier", "field"),
    [
        ([], "[0].external_id"),
        ([{"source": "default"}], "[0].identifier[0].external_id"),
        ([KNOWN, "u-2"], "[0].identifier[1].external_id"),
        ([{"source": "id", "external_id": "cnt_x"}], "[0].identifier[0].source"),
        ([{"source": 7, "external_id": "u"}], "[0].identifier[0].source"),
        ([{"source": "€", "external_id": "u"}], "[0].identifier[0].source"),
        ([{"source": "default", "external_id": {}}], "[0].identifier[0]"),
        ([KNOWN] * 11, "[0].identifier"),
    ],
)
async def test_a_list_that_names_nobody_is_refused(
    client: httpx.AsyncClient, log: MemoryLog, identifier: Any, field: str
) -> None:
    answer = await client.post("/api/client/users/events", json=[{"name": "seen", "identifier": identifier}])
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert log.events == []


async def test_what_an_identifier_says_beside_itself_is_kept(client: httpx.AsyncClient, log: MemoryLog) -> None:
    identifier = [{**KNOWN, "metadata": {"region": "eu"}}]
    await client.post("/api/client/users/events", json=[{"name": "seen", "identifier": identifier}])
    assert orjson.loads(log.events[0]["context"]) == {"identifier": identifier}


@pytest.mark.parametrize("root", ROOTS)
async def test_organizations_are_groups(client: httpx.AsyncClient, log: MemoryLog, root: str) -> None:
    acme = {"identifier": [{"external_id": "acme"}]}
    made = await client.post(f"{root}/organizations", json={**acme, "name": "Acme", "data": {"size": 7}})
    member = {"organization": acme, "user": {"identifier": [KNOWN]}, "data": {"role": "admin"}}
    joined = await client.post(f"{root}/organizations/users", json=member)
    events = await client.post(f"{root}/organizations/events", json=[{**acme, "name": "paid", "data": {"total": 5}}])
    assert (made.status_code, joined.status_code, events.status_code) == (200, 200, 202)
    assert made.json()["external_id"] == "acme"
    organization, user, paid = log.events
    assert (organization["type"], who(organization)) == ("$group", [])
    assert said(organization) == {"groupId": "acme", "traits": {"size": 7, "name": "Acme"}}
    assert (user["type"], who(user)) == ("$group", ["external_id:u-1"])
    assert said(user) == {"groupId": "acme", "traits": {"role": "admin"}}
    assert (paid["type"], who(paid), said(paid)) == ("paid", [], {"groupId": "acme", "total": 5})


async def test_organizations_as_older_sdks_name_them(client: httpx.AsyncClient, log: MemoryLog) -> None:
    await client.post("/api/client/organizations", json={"external_id": "acme", "data": []})
    flat = {"organization_external_id": "acme"}
    await client.post("/api/client/organizations/users", json={**flat, "user_external_id": "u-1"})
    await client.post("/api/client/organizations/events", json={**flat, "name": "paid"})
    assert [said(event)["groupId"] for event in log.events] == ["acme"] * 3
    assert who(log.events[1]) == ["external_id:u-1"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("organizations", {"name": "Acme"}, "external_id"),
        ("organizations/users", {"user": {"external_id": "u"}}, "organization.external_id"),
        ("organizations/users", {"organization": {"external_id": "o"}}, "user.external_id"),
        ("organizations/events", [{"name": "paid"}], "[0].external_id"),
        ("organizations/events", [], "[]"),
        ("users/scheduled", {"identifier": [KNOWN]}, "name"),
        ("users/scheduled", {"name": "renewal"}, "external_id"),
    ],
)
async def test_what_is_missing_is_named(client: httpx.AsyncClient, path: str, body: Any, field: str) -> None:
    answer = await client.post(f"/api/client/{path}", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_what_is_scheduled_is_an_event(client: httpx.AsyncClient, log: MemoryLog) -> None:
    renewal = {"name": "renewal", "scheduled_at": "2026-12-25T10:00:00Z", "data": {"plan": "pro"}}
    answer = await client.post("/api/client/users/scheduled", json={**renewal, "identifier": [KNOWN]})
    assert (answer.status_code, answer.json()["name"]) == (202, "renewal")
    acme = await client.post(
        "/api/client/organizations/scheduled", json={**renewal, "identifier": [{"external_id": "o"}]}
    )
    assert acme.status_code == 202
    user, organization = log.events
    assert (user["type"], who(user), said(user)) == ("$scheduled", ["external_id:u-1"], renewal)
    assert (who(organization), said(organization)) == ([], {**renewal, "groupId": "o"})


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("part", ["users", "users/scheduled", "organizations", "organizations/users"])
async def test_a_page_cannot_delete(client: httpx.AsyncClient, root: str, part: str) -> None:
    body = orjson.dumps({"identifier": [KNOWN]})
    answer = await client.request("DELETE", f"{root}/{part}", content=body)
    assert answer.status_code == 403
    assert "secret key" in answer.json()["error"]


@pytest.mark.parametrize("root", ROOTS)
async def test_the_end_of_what_is_no_contact_is_an_event(client: httpx.AsyncClient, log: MemoryLog, root: str) -> None:
    acme, user = {"identifier": [{"external_id": "acme"}]}, {"identifier": [KNOWN]}
    for part, body in (
        ("organizations/users", {"organization": acme, "user": user}),
        ("organizations", acme),
        ("users/scheduled", {**user, "name": "renewal"}),
        ("organizations/scheduled", {**acme, "name": "renewal"}),
    ):
        answer = await client.request("DELETE", f"{root}/{part}", content=orjson.dumps(body), headers=SECRET)
        assert (answer.status_code, answer.content) == (204, b""), (part, answer.text)
        nobody = await client.request("DELETE", f"{root}/{part}", content=b"{}", headers=SECRET)
        assert (nobody.status_code, bool(nobody.json()["field"])) == (422, True), part
    assert [(event["type"], who(event)) for event in log.events] == [
        ("$group_left", ["external_id:u-1"]),
        ("$group_deleted", []),
        ("$unscheduled", ["external_id:u-1"]),
        ("$unscheduled", []),
    ]
    assert [said(event).get("groupId") for event in log.events] == ["acme", "acme", None, "acme"]


async def test_a_user_to_delete_is_one_who_can_be_found(tmp_path: Path, log: MemoryLog) -> None:
    edge = memory_edge(tmp_path, log)
    erased: list[str] = []

    async def forget(_home: tuple[str, str], own: str, _ask: Any) -> None:
        erased.append(own)

    async def delete(identifiers: Any, *answers: tuple[int, Any]) -> httpx.Response:
        owns = [edge_id(kind, value) for kind, value in (("external_id", "u-1"), ("anonymous_id", "a-1"))]
        reads = RecordedReads({f"/v1/contacts/{own}": list(answer) for own, answer in zip(owns, answers, strict=False)})
        async with client_of(edge, reads) as client:
            edge.forget = forget
            body = orjson.dumps({"identifier": identifiers})
            return await client.request("DELETE", "/api/client/users", content=body, headers=SECRET)

    nobody: tuple[int, Any] = (404, {})
    result, other = (200, {"id": "cnt_1"}), (200, {"id": "cnt_2"})
    assert (await delete([KNOWN, ANONYMOUS], result, nobody)).status_code == 204
    assert (await delete([KNOWN, ANONYMOUS], result, result)).status_code == 204
    assert erased == ["cnt_1", "cnt_1"]
    both = await delete([KNOWN, ANONYMOUS], result, other)
    assert (both.status_code, both.json()["field"]) == (409, "identifier[0]")
    assert (await delete([KNOWN])).status_code == 503  # the read API is away
    assert (await delete([])).status_code == 422
    assert (await delete([KNOWN], nobody)).status_code == 204  # it may be on its way: who erases waits for it
    assert erased[2:] == [edge_id("external_id", "u-1")]


async def test_a_stranger_is_identified(client: httpx.AsyncClient, log: MemoryLog) -> None:
    """As the SDKs for phones do before anybody signs in."""
    stranger = {"anonymous_id": "a-1", "external_id": None, "email": "s@example.com", "data": {"plan": "free"}}
    assert (await client.post("/api/client/identify", json=stranger)).status_code == 204
    assert who(log.events[0]) == ["email:s@example.com", "anonymous_id:a-1"]
    assert (await client.post("/api/client/identify", json={"email": "s@example.com"})).status_code == 422


async def test_an_event_with_properties_in_place_of_data(client: httpx.AsyncClient, log: MemoryLog) -> None:
    event = {"name": "seen", "anonymous_id": "a-1", "properties": {"n": 1}}
    assert (await client.post("/api/client/events", json=[event])).status_code == 204
    both = {**event, "data": {"n": 2}, "event": "kept"}
    assert (await client.post("/api/client/events", json=[both])).status_code == 204
    assert [said(event) for event in log.events] == [{"n": 1}, {"n": 2}]
    assert orjson.loads(log.events[1]["context"]) == {"properties": {"n": 1}, "event": "kept"}


@pytest.mark.parametrize("several", [False, True])
async def test_the_path_and_the_spelling_of_the_browsers_sdk(
    client: httpx.AsyncClient, log: MemoryLog, several: bool
) -> None:
    event = {"event": "seen", "anonymousId": "a-1", "externalId": "u-1", "traits": {"n": 1}}
    assert (await client.post("/api/client/track", json=[event] if several else event)).status_code == 204
    user = {"anonymousId": "a-1", "externalId": "u-1", "email": "u1@example.com", "traits": {"plan": "pro"}}
    assert (await client.post("/api/client/identify", json=user)).status_code == 204
    seen, identified = log.events
    assert (seen["type"], who(seen), said(seen)) == ("seen", ["external_id:u-1", "anonymous_id:a-1"], {"n": 1})
    assert orjson.loads(identified["profile"]) == {"set": {"plan": "pro"}}


async def test_there_are_no_notifications(client: httpx.AsyncClient, log: MemoryLog) -> None:
    answer = await client.get("/api/client/notifications", headers={"x-anonymous-id": "a-1"})
    assert (answer.status_code, answer.json()) == (200, {"results": [], "nextCursor": None})
    assert (await client.put("/api/client/notifications/1")).status_code == 204
    assert (await client.get("/api/client/notifications", headers={"Authorization": ""})).status_code == 401
    assert log.events == []


async def test_a_web_push_subscription_is_a_device(client: httpx.AsyncClient, log: MemoryLog) -> None:
    device = {"identifier": [KNOWN], "device_id": "d-1", "os": "web", "config": {"token": "t-1"}}
    assert (await client.post("/api/client/devices", json=device)).status_code == 204
    assert orjson.loads(log.events[0]["profile"])["device"]["token"] == "t-1"
