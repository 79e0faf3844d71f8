"""What a request says in vain is told to its sender: misspelt parameters, names never seen, writes of the past."""

import secrets

import pytest

from tests.support.stack import LocalStack

pytestmark = pytest.mark.e2e


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


async def test_a_misspelt_filter_lists_nobody(stack: LocalStack) -> None:
    async with stack.client() as client:
        answer = await client.get("/v1/contacts?emial=x@example.com")
        assert answer.status_code == 422, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("unknown_parameter", "emial")
        assert "did you mean email?" in error["message"]
        for method, path in (
            ("POST", "/v1/events?synk=true"),
            ("POST", "/v1/segments?environmant=staging"),
            ("DELETE", "/v1/segments/seg_x?force=1"),
            ("POST", "/v1/segments/preview?limit=3"),
            ("GET", "/v1/segments/seg_x/contacts?pgae=2"),
            ("POST", "/graphql?quiet=1"),
        ):
            refused = await client.request(method, path, json={} if method == "POST" else None)
            assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unknown_parameter"), path
        vendor = await client.post(
            "/v1/track?ip=0&_=1716371&compression=none", json={"userId": unique("u"), "event": "Seen"}
        )
        assert vendor.status_code == 200, vendor.text


async def test_a_rule_about_names_never_seen_is_taken_with_a_warning(stack: LocalStack) -> None:
    kind, prop, attribute, user = unique("ordered"), unique("total"), unique("plan"), unique("u")
    async with stack.client() as client:
        sent = {"type": kind, "user_id": user, "properties": {prop: 5, "a.b": 1}}
        assert (await client.post("/v1/events?sync=true&timeout_ms=10000", json=sent)).status_code == 200
        body = {"external_id": user, "attributes": {attribute: "pro"}}
        assert (await client.post("/v1/contacts?sync=true&timeout_ms=10000", json=body)).status_code in (200, 201)
        existing = {
            "all": [
                {"event": kind, "where": [{"property": prop, "op": "gte", "value": 1}]},
                {"event": kind, "where": [{"property": "a.b", "op": "exists"}]},
                {"attribute": attribute, "op": "exists"},
            ]
        }
        preview = await client.post("/v1/segments/preview", json={"rule": existing})
        assert "warnings" not in preview.json(), preview.text
        assert preview.json()["contacts"] == 1
        odd = {
            "any": [
                {"event": f"{kind}x"},
                {"event": kind, "where": [{"property": f"{prop}y", "op": "exists"}]},
                {"attribute": f"{attribute}z", "op": "exists"},
            ]
        }
        warnings = (await client.post("/v1/segments/preview", json={"rule": odd})).json()["warnings"]
        assert [warning.partition(": ")[0] for warning in warnings] == ["never_seen"] * 3
        for warning, (misspelt, meant) in zip(
            warnings, ((f"{kind}x", kind), (f"{prop}y", prop), (f"{attribute}z", attribute)), strict=True
        ):
            assert misspelt in warning.partition("; similar: ")[0]
            assert meant in warning.partition("; similar: ")[2].split(", ")
        made = await client.post("/v1/segments", json={"name": "odd", "rule": odd})
        assert (made.status_code, made.json()["warnings"]) == (201, warnings)
        path = f"/v1/segments/{made.json()['id']}"
        assert "warnings" not in (await client.get(path)).json()
        mended = await client.patch(path, json={"rule": existing})
        assert (mended.status_code, "warnings" in mended.json()) == (200, False)
        again = await client.patch(path, json={"rule": odd})
        assert again.json()["warnings"] == warnings
        assert (await client.delete(path)).status_code == 204


async def test_an_upsert_says_which_segments_it_changed(stack: LocalStack) -> None:
    attribute, user = unique("tier"), unique("u")
    async with stack.client() as client:
        rule = {"attribute": attribute, "op": "eq", "value": "gold"}
        segment = (await client.post("/v1/segments", json={"name": "gold", "rule": rule})).json()["id"]
        body = {"external_id": user, "attributes": {attribute: "gold"}}
        made = await client.post("/v1/contacts?sync=true&timeout_ms=10000", json=body)
        assert made.json()["segment_changes"] == {"entered": [segment], "left": []}, made.text
        assert made.json()["segments"] == [segment]
        left = await client.patch(
            f"/v1/contacts/external_id:{user}?sync=true&timeout_ms=10000", json={"attributes": {attribute: "tin"}}
        )
        assert left.json()["segment_changes"] == {"entered": [], "left": [segment]}, left.text
        plain = await client.patch(f"/v1/contacts/external_id:{user}", json={"attributes": {attribute: "tin"}})
        assert "segment_changes" not in plain.json()
        assert (await client.delete(f"/v1/segments/{segment}")).status_code == 204


async def test_a_write_of_the_past_that_changes_nothing_is_told(stack: LocalStack) -> None:
    user = unique("u")
    async with stack.client() as client:
        first = {"external_id": user, "attributes": {"plan": "pro"}}
        assert (await client.post("/v1/contacts?timeout_ms=10000", json=first)).status_code == 201
        old = {"external_id": user, "attributes": {"plan": "free"}, "timestamp": "2025-01-02T03:04:05Z"}
        lost = (await client.post("/v1/contacts?timeout_ms=10000", json=old)).json()
        assert lost["attributes"]["plan"] == "pro"
        assert [warning.partition(": ")[0] for warning in lost["warnings"]] == ["older_than_known"]
        old = {**old, "attributes": {"plan": "free", "city": "Ulm"}}
        part = (await client.post("/v1/contacts?timeout_ms=10000", json=old)).json()
        assert part["attributes"] == {"plan": "pro", "city": "Ulm"}
        assert "warnings" not in part


@pytest.mark.parametrize("dialect", ["segment", "posthog", "parcelvoy"])
async def test_a_vendors_write_of_the_past_shows_at_its_event_that_it_changed_nothing(
    stack: LocalStack, dialect: str
) -> None:
    user, past = unique("u"), "2025-01-02T03:04:05Z"

    def call(event_id: str, traits: dict[str, str], timestamp: str | None) -> tuple[str, object]:
        when = {} if timestamp is None else {"timestamp": timestamp}
        if dialect == "segment":
            return "/v1/identify", {"userId": user, "traits": traits, "messageId": event_id, **when}
        if dialect == "parcelvoy":
            return "/api/client/identify", {"external_id": user, "data": traits, "event_id": event_id, **when}
        return "/e/", {"event": "$identify", "distinct_id": user, "$set": traits, "uuid": event_id, **when}

    async with stack.client() as client:

        async def codes(traits: dict[str, str], timestamp: str | None) -> set[str]:
            event_id = unique("evt")
            path, body = call(event_id, traits, timestamp)
            sent = await client.post(f"{path}?sync=true&timeout_ms=10000", json=body)
            assert sent.status_code < 300, sent.text
            stored = (await client.get(f"/v1/events/{event_id}")).json()
            return {warning.partition(": ")[0] for warning in stored["warnings"]}

        assert await codes({"plan": "pro", "seats": "5"}, None) == set()
        assert await codes({"plan": "free"}, past) == {"older_than_known"}
        assert await codes({"plan": "free", "city": "Ulm"}, past) == set()
        assert await codes({"city": "Bonn"}, "2024-01-01T00:00:00Z") == {"older_than_known"}
        assert await codes({"plan": "free"}, None) == set()
        shown = (await client.get(f"/v1/contacts/external_id:{user}")).json()["attributes"]
        assert {name: shown[name] for name in ("plan", "seats", "city")} == {
            "plan": "free",
            "seats": "5",
            "city": "Ulm",
        }


async def test_an_email_that_is_changed_back_is_the_email(stack: LocalStack) -> None:
    user = unique("u")
    async with stack.client() as client:
        for letter in ("a", "b", "a"):
            body = {"external_id": user, "email": f"{letter}-{user}@example.com"}
            answer = await client.post("/v1/contacts?timeout_ms=10000", json=body)
            assert answer.json()["email"] == body["email"], answer.text
        assert (await client.get(f"/v1/contacts/external_id:{user}")).json()["email"] == f"a-{user}@example.com"


async def test_a_stored_event_shows_the_warnings_that_a_vendors_answer_has_no_place_for(stack: LocalStack) -> None:
    message, user = unique("m"), unique("u")
    call = {
        "userId": user,
        "anonymousId": "null",
        "event": "Seen",
        "messageId": message,
        "timestamp": "soon",
        "properties": {"a": 1},
    }
    async with stack.client() as client:
        sent = await client.post("/v1/track?sync=true&timeout_ms=10000", json=call)
        assert sent.status_code == 200, sent.text
        stored = (await client.get(f"/v1/events/{message}")).json()
        assert (stored["event_id"], stored["type"], stored["properties"]) == (message, "Seen", {"a": 1})
        codes = {warning.partition(": ")[0] for warning in stored["warnings"]}
        assert codes == {"ignored_identifier", "unreadable_timestamp"}, stored
        assert stored["context"]["_timestamp"] == "soon"
        assert "_warnings" not in stored["context"]
        who = (await client.get(f"/v1/contacts/external_id:{user}")).json()["id"]
        assert stored["contact_id"] == who
        plain = {"type": "seen", "user_id": user, "event_id": unique("evt")}
        assert (await client.post("/v1/events?sync=true&timeout_ms=10000", json=plain)).status_code == 200
        assert (await client.get(f"/v1/events/{plain['event_id']}")).json()["warnings"] == []
        assert (await client.get("/v1/events/evt_of_nobody")).status_code == 404
        elsewhere = await client.get(f"/v1/events/{message}?environment=staging")
        assert elsewhere.status_code == 404


async def test_a_synced_event_that_ties_two_contacts_is_answered_when_both_names_show_one(stack: LocalStack) -> None:
    async with stack.client() as client:
        for n in range(5):
            user, browser = unique("u"), unique("b")
            for who in ({"user_id": user}, {"anonymous_id": browser}):
                sent = await client.post("/v1/events?sync=true&timeout_ms=10000", json={"type": "seen", **who})
                assert sent.status_code == 200, sent.text
            both = {"type": "tied", "user_id": user, "anonymous_id": browser}
            tied = await client.post("/v1/events?sync=true&timeout_ms=10000", json=both)
            assert tied.status_code == 200, tied.text
            shown = [
                (await client.get(f"/v1/contacts/{name}")).json()
                for name in (f"external_id:{user}", f"anonymous_id:{browser}")
            ]
            assert shown[0]["id"] == shown[1]["id"], n
            assert shown[0]["anonymous_ids"] == [browser]
            assert "warnings" not in tied.json()


async def test_a_synced_event_says_which_link_was_refused(stack: LocalStack) -> None:
    first, second, email = unique("u"), unique("u"), f"{unique('e')}@example.com"
    async with stack.client() as client:
        events = [{"type": "seen", "user_id": user, "email": email} for user in (first, second)]
        taken = await client.post("/v1/events?sync=true&timeout_ms=10000", json=events[0])
        assert (taken.status_code, "warnings" in taken.json()) == (200, False), taken.text
        refused = await client.post("/v1/events?sync=true&timeout_ms=10000", json=events[1])
        assert refused.status_code == 200, refused.text
        (warning,) = refused.json()["warnings"]
        assert warning.startswith("link_refused: email "), warning
        batch = await client.post("/v1/events/batch?sync=true&timeout_ms=10000", json=events)
        texts = [result.get("warnings") for result in batch.json()["results"]]
        assert texts == [None, [warning]], batch.text
