"""A contact erased over HTTP: nothing of it is left anywhere, no replay brings it back, and it can begin anew."""

import asyncio
import os
import shutil
import signal
from typing import Any

import httpx
import pytest

from tests.e2e.test_one_event import send, unique
from tests.support.comparison import rows
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


async def known(client: httpx.AsyncClient, name: str, what: str = "") -> httpx.Response:
    return await client.get(f"/v1/contacts/{name}{what}")


async def tables_that_name(stack: LocalStack, words: list[str]) -> dict[str, int]:
    """Every table of the database in which any column has one of these words, with how many rows do."""
    columns = await rows(
        stack,
        "SELECT table, groupArray(name) FROM system.columns WHERE database = currentDatabase()"
        " AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')"
        " GROUP BY table",
    )
    results = {}
    for table, names in columns:
        text = ", ".join(f"toString(`{name}`)" for name in names)
        counted = await rows(
            stack,
            f"SELECT count() FROM {table}"
            f" WHERE multiSearchAny(concatWithSeparator(' ', {text}, ''), {{w:Array(String)}})",
            w=words,
        )
        if counted[0][0]:
            results[table] = counted[0][0]
    return results


def lose_state(stack: LocalStack, process: str) -> None:
    """The worker dies and its disk with it: it starts from the changelog."""
    for folder in (stack.settings.home / "state").glob(f"*headwater-{process}-*"):
        shutil.rmtree(folder)
    os.kill(stack.pid(process), signal.SIGKILL)


async def sent(client: httpx.AsyncClient, user: str) -> int:
    return (await client.post("/v1/events?sync=true", json={"type": "viewed", "user_id": user})).status_code


async def test_a_user_that_lunograms_sdk_deletes_is_erased(stack: LocalStack) -> None:
    user, browser = unique("u"), unique("a")
    identifier = [{"source": "default", "external_id": user}, {"source": "anonymous", "external_id": browser}]
    async with stack.client() as client:
        body = {"identifier": identifier, "data": {"plan": "pro"}}
        assert (await client.post("/api/client/users?sync=true&timeout_ms=10000", json=body)).status_code == 200
        assert (await known(client, f"anonymous_id:{browser}")).json()["external_id"] == user
        gone = await client.request("DELETE", "/api/client/users", json={"identifier": identifier})
        assert (gone.status_code, gone.content) == (204, b""), gone.text
        for name in (f"external_id:{user}", f"anonymous_id:{browser}"):
            assert (await known(client, name)).status_code == 404
        again = await client.request("DELETE", "/api/client/users", json={"identifier": identifier})
        assert again.status_code == 404


async def test_nothing_is_left_and_nothing_comes_back(stack: LocalStack) -> None:
    user, browser, email = unique("u"), unique("a"), f"{unique('e')}@x.org"
    other = unique("other")
    async with stack.client() as client:
        kind = unique("bought")
        rule = {"name": kind, "rule": {"event": kind}}
        segment = (await client.post("/v1/segments", json=rule)).json()["id"]
        hook = {"url": "http://127.0.0.1:9/", "types": [kind, "contact.updated"]}
        webhook = (await client.post("/v1/webhooks", json=hook)).json()["id"]
        await send(client, {"type": "viewed", "anonymous_id": browser})
        await send(client, {"type": kind, "user_id": user})
        await send(client, {"type": kind, "user_id": other})
        body = {"external_id": user, "email": email, "anonymous_id": browser, "consents": {"email_marketing": True}}
        made = (await client.post("/v1/contacts?timeout_ms=10000", json=body)).json()

        async def attempts() -> Any:
            return (await client.get(f"/v1/webhooks/{webhook}/deliveries")).json()["data"]

        await eventually(attempts, "an attempt at the webhook")
        await eventually(
            lambda: known(client, f"anonymous_id:{browser}"), "merge", meets=lambda a: a.json().get("id") == made["id"]
        )
        ids = [
            r[0]
            for r in await rows(stack, "SELECT loser FROM contact_overrides WHERE winner = {c:String}", c=made["id"])
        ]
        words = [made["id"], user, browser, email, *ids]
        before = await tables_that_name(stack, words)
        expected = {"events", "contacts", "links", "contact_overrides", "contact_merges", "consent_changes"}
        assert before.keys() >= expected | {
            "membership_changes",
            "memberships",
            "contact_memberships",
            "delivery_attempts",
        }

        gone = await client.delete(f"/v1/contacts/email:{email}")
        assert gone.status_code == 204, gone.text
        erasure = (await client.get(gone.headers["location"])).json()
        assert erasure["status"] == "done"
        assert {s["store"] for s in erasure["stores"] if s["status"] == "done"} >= {
            "clickhouse",
            "identity",
            "segments",
            "webhooks",
            "edge",
        }

        async def assert_gone() -> None:
            for name in (made["id"], *ids, f"email:{email}", f"external_id:{user}", f"anonymous_id:{browser}"):
                for what in ("", "/events", "/segments", "/identity", "/consents"):
                    assert (await known(client, name, what)).status_code == 404, (name, what)
            members = (await client.get(f"/v1/segments/{segment}/contacts")).json()["data"]
            assert [member["external_id"] for member in members] == [other]
            assert await tables_that_name(stack, words) == {}

        await assert_gone()
        assert (await client.delete(f"/v1/contacts/{made['id']}")).status_code == 404

        for process in ("segments", "identity"):
            lose_state(stack, process)
        await eventually(lambda: sent(client, other), "the stages are back", meets=lambda status: status == 200)
        await assert_gone()

        fresh = await send(client, {"type": "viewed", "anonymous_id": browser})
        assert fresh["contact_id"] != made["id"]
        again = await eventually(
            lambda: known(client, f"anonymous_id:{browser}"), "a new contact", meets=lambda a: a.status_code == 200
        )
        assert (again.json()["id"], again.json()["external_id"], again.json()["email"]) == (
            fresh["contact_id"],
            None,
            None,
        )
        events = (await known(client, fresh["contact_id"], "/events")).json()["data"]
        assert [event["event_id"] for event in events] == [fresh["event_id"]]
        assert (await known(client, f"external_id:{user}")).status_code == 404


@pytest.mark.parametrize("asleep", ["clickhouse-sink", "identity"])
async def test_what_was_acknowledged_and_is_still_on_its_way_goes_too(stack: LocalStack, asleep: str) -> None:
    """Three events by e-mail, then one that ties e-mail and user id, all behind a process that stands still."""
    user, email = unique("u"), f"{unique('e')}@x.org"
    async with stack.client() as client:
        await send(client, {"type": "viewed", "user_id": user})
        await eventually(
            lambda: known(client, f"external_id:{user}"), "the contact", meets=lambda a: a.status_code == 200
        )
        pid = stack.pid(asleep)
        os.kill(pid, signal.SIGSTOP)
        try:
            read = [await send(client, {"type": "read", "email": email}, "") for _ in range(3)]
            own = read[0]["contact_id"]
            tie = await send(client, {"type": "login", "user_id": user, "email": email}, "")
            answer = await client.delete(f"/v1/contacts/external_id:{user}?timeout_ms=300")
            assert answer.status_code == 202, answer.text
            assert answer.json()["status"] == "pending"
        finally:
            os.kill(pid, signal.SIGCONT)

        async def told() -> str:
            return str((await client.get(answer.headers["location"])).json()["status"])

        await eventually(told, "every store is done", meets=lambda status: status == "done")
        assert await tables_that_name(stack, [user, email, own, tie["contact_id"]]) == {}
        for name in (f"external_id:{user}", f"email:{email}", own, tie["contact_id"]):
            assert (await known(client, name)).status_code == 404, name
            assert (await client.delete(f"/v1/contacts/{name}")).status_code == 404, name
        again = await send(client, {"type": "read", "email": email})
        shown = await eventually(
            lambda: known(client, f"email:{email}"), "a new beginning", meets=lambda a: a.status_code == 200
        )
        assert (shown.json()["external_id"], shown.json()["id"]) == (None, again["contact_id"])


async def test_a_contact_that_is_not_stored_yet_can_be_erased(stack: LocalStack) -> None:
    email = f"{unique('e')}@x.org"
    async with stack.client() as client:
        await send(client, {"type": "read", "email": email})
        answer = await client.delete(f"/v1/contacts/email:{email}")  # at once: the tables may not know it
        if answer.status_code == 404:
            answer = await client.delete(f"/v1/contacts/email:{email}")
        assert answer.status_code == 204, answer.text
        assert await tables_that_name(stack, [email]) == {}
        assert (await client.delete(f"/v1/contacts/email:{unique('nobody')}@x.org")).status_code == 404


@pytest.mark.parametrize("asleep", ["identity", "segments", "clickhouse-sink"])
async def test_a_new_contact_is_erased_while_a_process_is_behind(stack: LocalStack, asleep: str) -> None:
    user = unique("u")
    async with stack.client() as client:
        os.kill(stack.pid(asleep), signal.SIGSTOP)
        try:
            assert (await client.post("/v1/events", json={"type": "viewed", "user_id": user})).status_code == 202
            waiting = asyncio.create_task(client.delete(f"/v1/contacts/external_id:{user}?timeout_ms=10000"))
            await asyncio.sleep(1)
            assert not waiting.done()
        finally:
            os.kill(stack.pid(asleep), signal.SIGCONT)
        assert (await waiting).status_code in (202, 204)
        assert (await known(client, f"external_id:{user}")).status_code == 404


async def test_an_erasure_outlives_the_processes_that_do_it(stack: LocalStack) -> None:
    user, other = unique("u"), unique("o")
    async with stack.client() as client:
        made = await send(client, {"type": "viewed", "user_id": user})
        await eventually(lambda: known(client, made["contact_id"]), "the contact", meets=lambda a: a.status_code == 200)
        asleep = stack.pid("segments")
        os.kill(asleep, signal.SIGSTOP)
        path = f"/v1/contacts/external_id:{user}?timeout_ms=1000"
        # 503: a busy machine had no time to look the contact up
        answer = await eventually(lambda: client.delete(path), "an erasure", meets=lambda a: a.status_code == 202)
        assert answer.json()["status"] == "pending"
        for process in ("segments", "clickhouse-sink", "webhooks", "identity"):
            os.kill(stack.pid(process), signal.SIGKILL)

        async def told() -> str:
            response = await client.get(answer.headers["location"])
            return str(response.json()["status"]) if response.status_code == 200 else ""

        await eventually(told, "every store is done", meets=lambda status: status == "done")
        assert await tables_that_name(stack, [user, made["contact_id"]]) == {}
        assert (await known(client, f"external_id:{user}")).status_code == 404
        await eventually(lambda: sent(client, other), "events are taken", meets=lambda status: status == 200)
