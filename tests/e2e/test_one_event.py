"""One event all the way through every process, as a newcomer would try it."""

import secrets
from typing import Any

import httpx
import pytest

from tests.support.comparison import rows
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
WITHIN_S = 10.0


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


async def send(client: httpx.AsyncClient, value: dict[str, Any], query: str = "?sync=true&timeout_ms=10000") -> Any:
    answer = await client.post(f"/v1/events{query}", json=value)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


async def defined(client: httpx.AsyncClient, name: str, rule: Any) -> str:
    """A segment that is live."""
    segment = (await client.post("/v1/segments", json={"name": name, "rule": rule})).json()["id"]

    async def shape() -> Any:
        return (await client.get(f"/v1/segments/{segment}")).json()

    await eventually(shape, "live", meets=lambda result: result["status"] == "live")
    return str(segment)


async def test_a_synced_event_can_be_read_back_everywhere(stack: LocalStack) -> None:
    user = unique("u")
    async with stack.client() as client:
        sent = await send(client, {"type": "order_completed", "user_id": user, "properties": {"total": 149.0}})
        assert sent["segment_changes"] == {"entered": [], "left": []}
        contact = (await client.get(f"/v1/contacts/external_id:{user}")).json()
        assert contact["id"] == sent["contact_id"]
        assert contact["external_id"] == user
        events = (await client.get(f"/v1/contacts/{contact['id']}/events")).json()
        assert [e["event_id"] for e in events["data"]] == [sent["event_id"]]
    result = await rows(
        stack,
        "SELECT type, contact_id, JSONExtractFloat(properties, 'total') FROM events WHERE event_id = {id:String}",
        id=sent["event_id"],
    )
    assert result == [("order_completed", contact["id"], 149.0)]


async def test_a_segment_is_entered_by_the_event_that_reaches_its_count(stack: LocalStack) -> None:
    user, kind = unique("u"), unique("bought")
    rule = {"event": kind, "count": {"op": "gte", "value": 2}, "within": "1h"}
    async with stack.client() as client:
        segment = await defined(client, "Twice", rule)
        await eventually(
            lambda: send(client, {"type": unique("warm"), "user_id": unique("w")}),
            "sync",
            meets=lambda a: "segment_changes" in a,
        )
        first = await send(client, {"type": kind, "user_id": user})
        second = await send(client, {"type": kind, "user_id": user})
        assert first["segment_changes"]["entered"] == []
        assert second["segment_changes"]["entered"] == [segment]
        members = (await client.get(f"/v1/segments/{segment}/contacts")).json()
        assert [m["id"] for m in members["data"]] == [second["contact_id"]]
        mine = (await client.get(f"/v1/contacts/external_id:{user}/segments")).json()
        assert [s["id"] for s in mine["data"]] == [segment]
        assert (await client.get(f"/v1/segments/{segment}")).json()["contacts"] == 1


async def test_an_attribute_rule_sees_contacts_that_were_there_before_it(stack: LocalStack) -> None:
    user, plan = unique("u"), unique("plan")
    async with stack.client() as client:
        body = {"environment": "production", "distinct_id": user, "traits": {"plan": plan}}
        answer = await client.post("/identify?sync=true&timeout_ms=10000", json=body)
        assert answer.json()["ok"]
        made = await client.post(
            "/v1/segments", json={"name": "Plan", "rule": {"attribute": "plan", "op": "eq", "value": plan}}
        )
        segment = made.json()["id"]

        async def members() -> list[str]:
            listed = (await client.get(f"/v1/segments/{segment}/contacts")).json()["data"]
            return [m["external_id"] for m in listed]

        assert await eventually(members, "the contact enters") == [user]


async def test_an_anonymous_contact_becomes_known_by_the_first_event_with_both(stack: LocalStack) -> None:
    user, browser, kind = unique("u"), unique("a"), unique("viewed")
    rule = {"event": kind, "count": {"op": "gte", "value": 3}}
    async with stack.client() as client:
        segment = await defined(client, "Viewers", rule)
        before = await send(client, {"type": kind, "anonymous_id": browser})
        await send(client, {"type": kind, "user_id": user})
        both = await send(client, {"type": kind, "user_id": user, "anonymous_id": browser})
        assert before["contact_id"] != both["contact_id"]

        async def contact_of(name: str) -> Any:
            return (await client.get(f"/v1/contacts/{name}")).json()

        existing = await eventually(
            lambda: contact_of(f"anonymous_id:{browser}"),
            "one contact",
            meets=lambda c: c.get("id") == both["contact_id"],
        )
        assert existing["external_id"] == user
        # what was done anonymously counts for the person: the third view is the merge's
        await eventually(
            lambda: contact_of(both["contact_id"]),
            "the count is combined",
            meets=lambda c: c.get("segments") == [segment] and c["anonymous_ids"] == [browser],
        )
        assert (await contact_of(before["contact_id"]))["id"] == both["contact_id"], "a loser's id resolves"
        events = (await client.get(f"/v1/contacts/{both['contact_id']}/events")).json()["data"]
        assert len(events) == 3
        late = await send(client, {"type": kind, "anonymous_id": browser})
        assert late["contact_id"] == both["contact_id"], "late events reach the winner"
        members = (await client.get(f"/v1/segments/{segment}/contacts")).json()["data"]
        assert [m["id"] for m in members] == [both["contact_id"]]


async def test_who_belongs_together_is_explained_with_its_evidence(stack: LocalStack) -> None:
    user, other, browser = unique("u"), unique("v"), unique("a")
    async with stack.client() as client:
        tie = await send(client, {"type": "t", "user_id": user, "anonymous_id": browser})
        clash = await send(client, {"type": "t", "user_id": other, "anonymous_id": browser})

        async def explained(name: str) -> Any:
            return (await client.get(f"/v1/contacts/{name}/identity")).json()

        mine = await eventually(
            lambda: explained(f"external_id:{user}"), "the refusal", meets=lambda i: i.get("refused")
        )
        assert mine["contact_id"] == tie["contact_id"]
        by_name = {i["value"]: i for i in mine["identifiers"]}
        assert set(by_name) == {user, browser}
        assert [e["event_id"] for e in by_name[browser]["evidence"]] == [tie["event_id"]]
        assert by_name[browser]["evidence"][0]["with"] == {"type": "external_id", "value": user}
        assert [(m["into"], m["event_id"]) for m in mine["merges"]] == [(tie["contact_id"], tie["event_id"])]
        refused = [(r["type"], r["value"], r["reason"], r["event_id"]) for r in mine["refused"]]
        assert refused == [("external_id", other, "two_contacts", clash["event_id"])]
        theirs = await explained(f"external_id:{other}")
        assert [i["value"] for i in theirs["identifiers"]] == [other]
        assert [r["value"] for r in theirs["refused"]] == [browser]


async def test_a_window_is_left_by_time_alone(stack: LocalStack) -> None:
    user, kind = unique("u"), unique("seen")
    rule = {"event": kind, "count": {"op": "gte", "value": 1}, "within": "2s"}
    async with stack.client() as client:
        segment = await defined(client, "Just now", rule)
        assert (await send(client, {"type": kind, "user_id": user}))["segment_changes"]["entered"] == [segment]

        async def count() -> int:
            answer = (await client.get(f"/v1/segments/{segment}")).json()
            return int(answer["contacts"])

        await eventually(count, "the contact leaves", meets=lambda n: n == 0)
    changes = await rows(
        stack,
        "SELECT member, reason, toUnixTimestamp64Milli(at) FROM membership_changes FINAL "
        "WHERE segment_id = {s:String} ORDER BY version",
        s=segment,
    )
    assert [(member, reason) for member, reason, _ in changes] == [(1, "event"), (0, "time")]
    assert 1900 <= changes[1][2] - changes[0][2] <= 2100


async def test_batches_keys_and_tasks(stack: LocalStack) -> None:
    async with stack.client() as client:
        keys = (await client.get("/v1/keys")).json()["data"]
        assert {k["id"] for k in keys} >= {"key_local_secret", "key_local_public"}
        assert not any("sha256" in k or "key" in k for k in keys)
        answer = await client.post("/track", json={"environment": "production", "event": "e", "properties": {}})
        task = answer.json()["task_id"]

        async def status() -> Any:
            return (await client.get(f"/v1/tasks/{task}")).json()

        done = await eventually(status, "the task ends", meets=lambda t: t.get("status") == "completed")
        assert [e["disposition"] for e in done["events"]] == ["stored"]
        sent = await client.post(
            "/v1/events/batch?sync=true&timeout_ms=10000", json=[{"type": "t", "user_id": unique("u")}] * 3
        )
        assert sent.status_code == 200, sent.text
        assert sent.json()["accepted"] == 3
        public = {"Authorization": "Bearer pk_dev_local"}
        assert (await client.get("/v1/contacts", headers=public)).status_code == 403
        assert (await client.get("/v1/contacts", headers={"Authorization": "x"})).status_code == 401
        assert (await client.get("/v1/contacts/external_id:nobody-at-all")).status_code == 404
        assert (await client.get("/v1/nowhere")).status_code == 404
        assert (await client.get(f"/tasks/{task}")).json() == done


async def test_every_answer_carries_one_request_id(stack: LocalStack) -> None:
    async with stack.client() as client:
        for method, path in (
            ("POST", "/v1/events"),
            ("POST", "/v1/segments"),
            ("PUT", "/v1/segments"),
            ("POST", "/nowhere"),
            ("GET", "/v1/contacts"),
            ("GET", "/v1/contacts/external_id:nobody"),
            ("GET", "/health/ready"),
            ("GET", "/health/live"),
        ):
            answer = await client.request(method, path, headers={"X-Request-Id": "mine-1"})
            assert answer.headers.get_list("x-request-id") == ["mine-1"], path
            if answer.status_code >= 400:
                assert answer.json()["error"]["request_id"] == "mine-1"


async def test_environments_never_meet(stack: LocalStack) -> None:
    user = unique("u")
    async with stack.client() as client:
        await send(client, {"type": "t", "user_id": user, "environment": "staging"})
        assert (await client.get(f"/v1/contacts/external_id:{user}")).status_code == 404
        assert (await client.get(f"/v1/contacts/external_id:{user}?environment=staging")).status_code == 200


async def test_a_new_segment_counts_what_was_there_before_it_and_an_edited_one_too(stack: LocalStack) -> None:
    kind, often, seldom = unique("bought"), unique("often"), unique("seldom")
    async with stack.client() as client:
        for user in (often, often, often, seldom):
            await send(client, {"type": kind, "user_id": user, "properties": {"total": 5}})

        async def named(segment: str) -> set[str]:
            answer = (await client.get(f"/v1/segments/{segment}/contacts")).json()
            return {contact["external_id"] for contact in answer["data"]}

        async def shape(segment: str) -> Any:
            return (await client.get(f"/v1/segments/{segment}")).json()

        rule = {
            "event": kind,
            "where": [{"property": "total", "op": "gte", "value": 1}],
            "count": {"op": "gte", "value": 3},
        }
        segment = (await client.post("/v1/segments", json={"name": "Often", "rule": rule})).json()["id"]
        live = await eventually(lambda: shape(segment), "live", meets=lambda s: s["status"] == "live")
        assert live["progress"]["contacts_done"] == live["progress"]["contacts_total"] == 2
        await eventually(lambda: named(segment), "members from history", meets=lambda result: result == {often})

        absent = {"all": [{"identified": True}, {"event": kind, "count": {"op": "eq", "value": 1}}]}
        edited = (await client.patch(f"/v1/segments/{segment}", json={"rule": absent})).json()
        assert edited["version"] == 2
        await eventually(lambda: shape(segment), "live again", meets=lambda s: s["status"] == "live")
        await eventually(lambda: named(segment), "members of the edited rule", meets=lambda result: result == {seldom})
    result = await rows(
        stack,
        "SELECT contact_id, groupArray((member, reason)) FROM "
        "(SELECT * FROM membership_changes FINAL WHERE segment_id = {id:String} ORDER BY version) GROUP BY contact_id",
        id=segment,
    )
    assert sorted(changes for _, changes in result) == [[(1, "rule")], [(1, "rule"), (0, "rule")]]


async def test_segments_may_refer_to_each_other_but_not_in_circles(stack: LocalStack) -> None:
    user, kind = unique("u"), unique("bought")
    async with stack.client() as client:

        async def create(rule: Any) -> str:
            answer = await client.post("/v1/segments", json={"name": "It", "rule": rule})
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

        buyers = await create({"event": kind, "sum": {"property": "total", "op": "gte", "value": 20}})
        lasting = await create({"all": [{"segment": buyers}, {"sequence": [{"event": kind}, {"event": kind}]}]})
        circle = await client.patch(f"/v1/segments/{buyers}", json={"rule": {"not": {"segment": lasting}}})
        assert (circle.status_code, circle.json()["error"]["param"]) == (422, "rule.not.segment")
        assert (await client.delete(f"/v1/segments/{buyers}")).status_code == 409

        for total in (15, 10):
            sent = await send(client, {"type": kind, "user_id": user, "properties": {"total": total}})
        assert set(sent["segment_changes"]["entered"]) == {buyers, lasting}
        explained = (await client.post(f"/v1/segments/{buyers}/explain?contact=external_id:{user}")).json()
        assert (explained["member"], explained["leaves"][0]["value"]) == (True, 25)
        body = (await client.post("/v1/segments/preview", json={"rule": {"segment": lasting}})).json()
        assert body == {"contacts": 1, "sample": [sent["contact_id"]]}
