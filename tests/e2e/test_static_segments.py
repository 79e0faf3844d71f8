"""Segments whose members are listed: put on and taken off, merged, referred to, explained, and deleted."""

from typing import Any

import httpx
import pytest

from tests.e2e.test_one_event import send, unique
from tests.support.comparison import rows
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
WAIT = "?timeout_ms=10000"


async def made(client: httpx.AsyncClient, **body: Any) -> str:
    answer = await client.post("/v1/segments", json={"name": "It", **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def change(client: httpx.AsyncClient, method: str, segment: str, *contacts: str) -> Any:
    answer = await client.request(method, f"/v1/segments/{segment}/contacts{WAIT}", json={"contacts": contacts})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def members(client: httpx.AsyncClient, segment: str) -> set[str]:
    result = (await client.get(f"/v1/segments/{segment}/contacts")).json()["data"]
    return {row["external_id"] for row in result}


async def test_a_list_is_what_was_put_on_it(stack: LocalStack) -> None:
    a, b, nobody = unique("a"), unique("b"), f"external_id:{unique('nobody')}"
    async with stack.client() as client:
        ids = [(await send(client, {"type": "seen", "user_id": user}))["contact_id"] for user in (a, b)]
        segment = await made(client, kind="static")
        shown = (await client.get(f"/v1/segments/{segment}")).json()
        assert (shown["kind"], shown["rule"], shown["contacts"]) == ("static", None, 0)
        answer = await change(client, "POST", segment, ids[0], f"external_id:{b}", nobody, f"external_id:{a}")
        assert answer == {"id": segment, "contacts": 2, "unknown": [nobody]}
        assert await members(client, segment) == {a, b}
        assert (await client.get(f"/v1/contacts/{ids[0]}")).json()["attributes"] == {}
        assert [row["id"] for row in (await client.get(f"/v1/contacts/{ids[0]}/segments")).json()["data"]] == [segment]
        body = (await client.post(f"/v1/segments/{segment}/explain?contact={ids[1]}")).json()
        assert (body["member"], body["leaves"][0]["met"]) == (True, True)
        assert (await change(client, "DELETE", segment, ids[1]))["contacts"] == 1
        assert await members(client, segment) == {a}
        assert (await client.get(f"/v1/contacts/{nobody}")).status_code == 404, "nobody was made by it"


async def test_rules_refer_to_a_list_and_a_merge_brings_it_along(stack: LocalStack) -> None:
    user, browser = unique("u"), unique("browser")
    async with stack.client() as client:
        static = await made(client, kind="static")
        both = await made(
            client, rule={"all": [{"segment": static}, {"attribute": "plan", "op": "eq", "value": "pro"}]}
        )
        await send(client, {"type": "seen", "anonymous_id": browser})
        await send(client, {"type": "seen", "user_id": user})
        await change(client, "POST", static, f"anonymous_id:{browser}")
        await client.post("/v1/contacts?timeout_ms=10000", json={"user_id": user, "attributes": {"plan": "pro"}})
        assert await members(client, both) == set()
        await send(client, {"type": "tied", "user_id": user, "anonymous_id": browser})
        await eventually(lambda: members(client, both), "the merged contact", meets=lambda result: result == {user})
        assert await members(client, static) == {user}
        assert (await client.delete(f"/v1/segments/{static}")).status_code == 409, "another rule refers to it"
        assert (await client.delete(f"/v1/segments/{both}")).status_code == 204
        assert (await client.delete(f"/v1/segments/{static}")).status_code == 204
        await send(client, {"type": "seen", "user_id": user})
        await eventually(
            lambda: rows(
                stack,
                "SELECT attributes FROM contacts FINAL WHERE external_id = {user:String} AND merged_into = ''",
                user=user,
            ),
            "its state is freed",
            meets=lambda result: "$list" not in result[0][0],
        )


async def test_what_a_list_refuses(stack: LocalStack) -> None:
    user = unique("u")
    async with stack.client() as client:
        existing = await send(client, {"type": "seen", "user_id": user})
        ruled = await made(client, rule={"attribute": unique("nobody_has"), "op": "exists"})
        static = await made(client, kind="static")
        for segment, body, status, param in (
            (ruled, {"contacts": [existing["contact_id"]]}, 409, None),
            ("seg_nowhere", {"contacts": [existing["contact_id"]]}, 404, None),
            (static, {"contacts": []}, 422, "contacts"),
            (static, {"contacts": ["x"]}, 422, "contacts[0]"),
            (static, {"contacts": ["external_id:1", 7]}, 422, "contacts[1]"),
            (static, {"contacts": ["external_id:1"] * 1001}, 413, "contacts"),
        ):
            answer = await client.post(f"/v1/segments/{segment}/contacts", json=body)
            assert (answer.status_code, answer.json()["error"].get("param")) == (status, param), answer.text
        ruled_list: Any = {"kind": "static", "rule": {"identified": True}}
        wrongs: list[tuple[Any, str]] = [(ruled_list, "rule"), ({"kind": "x"}, "kind")]
        for refused_body, param in wrongs:
            wrong = await client.post("/v1/segments", json={"name": "It", **refused_body})
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, param)
        edit = await client.patch(f"/v1/segments/{static}", json={"rule": {"identified": True}})
        assert edit.status_code == 422
        forged = {"user_id": user, "attributes": {f"$list:{static}": True}}
        answer = await client.post("/v1/contacts?timeout_ms=10000", json=forged)
        assert "list" in answer.json()["warnings"][0]
        assert await members(client, static) == set()
