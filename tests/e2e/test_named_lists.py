"""Named lists on a running stack: created, paged, used by rules of all kinds, changed, isolated, and deleted."""

from typing import Any

import httpx
import pytest

from tests.e2e.test_one_event import defined, send, unique
from tests.e2e.test_tenants import workspace
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
MANY = [f"sku-{n:05}" for n in range(9_990)]


async def call(client: httpx.AsyncClient, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = await client.request(method, path, json=body)
    assert answer.status_code == status, (path, answer.text)
    return answer.json() if answer.content else None


async def members(client: httpx.AsyncClient, segment: str) -> set[str]:
    return {row["external_id"] for row in (await call(client, "GET", f"/v1/segments/{segment}/contacts"))["data"]}


async def test_a_changed_list_moves_those_already_judged_and_later_events_alike(stack: LocalStack) -> None:
    skus, ids, kind = unique("skus"), unique("ids"), unique("bought")
    ann, bob, eve = unique("ann"), unique("bob"), unique("eve")
    test = {"op": "in", "value": {"list": skus}}
    async with stack.client() as client:
        made = await call(client, "POST", "/v1/lists", {"name": skus, "values": ["tea", "rice", 5]}, 201)
        assert (made["size"], made["version"], made["segments"]) == (3, 1, [])
        await call(client, "POST", "/v1/lists", {"name": ids, "values": [ann, eve]}, 201)
        for user, sku in ((ann, "tea"), (bob, "wine")):
            properties = {"properties": {"sku": sku}}
            await send(client, {"type": kind, "user_id": user, **properties})
            await call(
                client, "POST", "/v1/contacts?timeout_ms=10000", {"user_id": user, "attributes": {"wish": sku}}, 200
            )
        by_event = await defined(client, "event", {"event": kind, "where": [{"property": "sku", **test}]})
        by_wish = await defined(client, "attribute", {"attribute": "wish", **test})
        rule = {"all": [{"identifier": "external_id", "op": "in", "value": {"list": ids}}, {"segment": by_event}]}
        by_id = await defined(client, "identifier", rule)
        for segment in (by_event, by_wish, by_id):
            assert await members(client, segment) == {ann}
        assert (await call(client, "POST", "/v1/segments/preview", {"rule": rule}))["contacts"] == 1

        changed = await call(client, "POST", f"/v1/lists/{skus}/values", {"values": ["wine", "tea", *MANY[:900]]})
        assert (changed["size"], changed["version"]) == (904, 2)
        assert {segment["id"] for segment in changed["segments"]} == {by_event, by_wish, by_id}
        assert (await call(client, "DELETE", f"/v1/lists/{skus}/values", {"values": ["tea", "none"]}))["size"] == 903
        for segment in (by_event, by_wish):
            await eventually(lambda s=segment: members(client, s), "bob alone", meets=lambda result: result == {bob})  # type: ignore[misc]
        assert await members(client, by_id) == set()
        explained = await call(client, "POST", f"/v1/segments/{by_event}/explain?contact=external_id:{bob}")
        assert (explained["member"], explained["leaves"][0]["met"]) == (True, True)
        explained = await call(client, "POST", f"/v1/segments/{by_wish}/explain?contact=external_id:{ann}")
        assert (explained["member"], explained["leaves"][0]["threshold"]) == (False, {"list": skus, "size": 903})

        await eventually(
            lambda: call(client, "GET", f"/v1/lists/{skus}"),
            "live again",
            meets=lambda result: {segment["status"] for segment in result["segments"]} == {"live"},
        )
        sent = await send(client, {"type": kind, "user_id": eve, "properties": {"sku": "sku-00899"}})
        assert set(sent["segment_changes"]["entered"]) == {by_event, by_id}
        await call(client, "PUT", f"/v1/lists/{skus}", {"values": MANY})
        preview = await call(client, "POST", "/v1/segments/preview", {"rule": {"attribute": "wish", **test}})
        assert preview["contacts"] == 0
        await eventually(lambda: members(client, by_event), "of ten thousand", meets=lambda result: result == {eve})

        used = await call(client, "DELETE", f"/v1/lists/{skus}", status=409)
        assert by_event in used["error"]["message"]
        for segment in (by_id, by_event, by_wish):
            await call(client, "DELETE", f"/v1/segments/{segment}", status=204)
        await call(client, "DELETE", f"/v1/lists/{skus}", status=204)
        await call(client, "GET", f"/v1/lists/{skus}", status=404)


async def test_a_list_is_read_by_pages_and_is_its_tenants_alone(stack: LocalStack) -> None:
    async with stack.client() as client:
        (ours, test), (theirs,) = (
            await workspace(client, "production", "staging"),
            await workspace(client, "production"),
        )
        name = unique("l")
        body = {"name": name, "values": [*MANY[:150], 5, True]}
        assert (await ours.post("/v1/lists", body)).status_code == 201
        assert (await ours.post("/v1/lists", body)).status_code == 409
        first = (await ours.get(f"/v1/lists/{name}/values?limit=100&cursor=")).json()
        assert [row["value"] for row in first["data"]][:3] == [True, 5, "sku-00000"]
        rest = (await ours.get(f"/v1/lists/{name}/values?limit=100&cursor={first['next_cursor']}")).json()
        assert (len(first["data"]), len(rest["data"]), rest["next_cursor"]) == (100, 52, None)
        lines = (await ours.get(f"/v1/lists/{name}/values?format=csv")).text.splitlines()
        assert (lines[0], len(lines)) == ("value", 153)
        rule = {"attribute": "a", "op": "in", "value": {"list": name}}
        for other in (theirs, test):
            assert (await other.get(f"/v1/lists/{name}")).status_code == 404
            assert (await other.get("/v1/lists")).json()["data"] == []
            refused = await other.post("/v1/segments", {"name": "s", "rule": rule})
            assert (refused.status_code, refused.json()["error"]["param"]) == (422, "rule.value.list")
            assert (await other.post("/v1/segments/preview", {"rule": rule})).status_code == 422
            assert (await other.post(f"/v1/lists/{name}/values", {"values": ["x"]})).status_code == 404
            assert (await other.post("/v1/lists", {"name": name})).status_code == 201, "a name of its own"
        assert (await ours.get(f"/v1/lists/{name}")).json()["size"] == 152
