"""Quarantine over the public port of a whole stack: what is in it, what a replay would do, and what it does."""

import time
from typing import Any

import httpx
import pytest

from schemas import topics
from schemas.records import codec, quarantine
from schemas.service import kafka
from tests.support.builders import cid, event
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

NOW_MS = time.time_ns() // 1_000_000


async def put(stack: LocalStack, *rows: tuple[int, bytes, dict[str, Any]]) -> list[str]:
    """Records in quarantine that stood on `events`; their ids."""
    producer = await kafka.started_producer(stack.settings)
    try:
        for offset, payload, more in rows:
            fields: dict[str, Any] = {"workspace": "local", "reason": "processor_failed", "detail": "why", **more}
            key, value = quarantine.encode(
                topic=topics.EVENTS.name,
                partition=1,
                offset=offset,
                key=b"k\xff",
                payload=payload,
                now_ms=NOW_MS,
                **fields,
            )
            await producer.send_and_wait(topics.name(topics.QUARANTINE, stack.settings), value, key=key)
    finally:
        await producer.stop()
    return [f"events:1:{offset}:-1" for offset, _, _ in rows]


async def seen(client: httpx.AsyncClient, record_id: str) -> Any:
    """The record, once it is stored."""

    async def look() -> Any:
        answer = await client.get(f"/v1/quarantine/{record_id}")
        return answer.json() if answer.status_code == 200 else None

    return await eventually(look, record_id, every_s=0.2)


def of(user: str) -> bytes:
    sample = event(f"external_id:{user}", event_id=f"evt_{user}", timestamp_ms=NOW_MS, received_ms=NOW_MS)
    return codec.encode_events([sample])


async def test_a_record_is_shown_with_its_bytes_and_replayed_once(stack: LocalStack) -> None:
    async with stack.client() as client:
        (record_id,) = await put(stack, (1_000_001, of("replayed"), {}))
        result = await seen(client, record_id)
        assert (result["status"], result["stage"], result["reason"], result["detail"]) == (
            *("open", "identity", "processor_failed", "why"),
        )
        assert bytes.fromhex(result["payload"]["hex"]) == of("replayed")
        assert (result["key"]["hex"], result["key"]["text"]) == ("6bff", "k\N{REPLACEMENT CHARACTER}")
        assert (result["truncated"], result["replay"]["would"]) == (False, "replay")
        plan = (
            await client.post("/v1/quarantine/replay", json={"filter": {"ids": [record_id]}, "dry_run": True})
        ).json()
        assert (plan["matching"], [row["would"] for row in plan["data"]]) == (1, ["replay"])
        assert (await seen(client, record_id))["status"] == "open"
        done = await client.post(f"/v1/quarantine/{record_id}/replay?timeout_ms=10000")
        assert (done.status_code, done.json()["replayed"]) == (200, 1), done.text
        job = (await client.get(done.headers["location"])).json()
        assert (job["status"], job["replayed"]) == ("done", 1)
        await eventually(lambda: _is_stored(client, "replayed"), "the replayed event", every_s=0.2)
        again = await seen(client, record_id)
        assert (again["status"], again["job"], again["replayed_to"]["topic"]) == ("replayed", job["id"], "events")
        for path in ("replay", "discard"):
            refused = await client.post(f"/v1/quarantine/{record_id}/{path}")
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")


async def _is_stored(client: httpx.AsyncClient, user: str) -> bool:
    answer = await client.get(f"/v1/contacts/external_id:{user}/events")
    return answer.status_code == 200 and [row["event_id"] for row in answer.json()["data"]] == [f"evt_{user}"]


async def test_what_cannot_be_replayed_is_refused_and_discarded(stack: LocalStack) -> None:
    async with stack.client() as client:
        poison, cut = await put(
            stack, (1_000_002, b"<script>\xff", {"reason": "odd"}), (1_000_003, b"x" * 1_000_000, {"reason": "odd"})
        )
        await seen(client, poison)
        assert (await seen(client, cut))["truncated"]
        assert (await seen(client, cut))["payload"]["shown"] == 65_536
        for record_id in (poison, cut):
            assert (await client.post(f"/v1/quarantine/{record_id}/replay")).status_code == 409
        chosen = {"filter": {"reason": "odd"}}
        plan = (await client.post("/v1/quarantine/replay", json={**chosen, "dry_run": True})).json()
        assert {row["code"] for row in plan["data"]} == {"undecodable", "cut"}
        tried = (await client.post("/v1/quarantine/replay?timeout_ms=10000", json=chosen)).json()
        assert (tried["replayed"], tried["refused"]) == (
            0,
            [{"code": "cut", "records": 1}, {"code": "undecodable", "records": 1}],
        )
        done = (await client.post("/v1/quarantine/discard?timeout_ms=10000", json=chosen)).json()
        assert done["discarded"] == 2
        listed = (await client.get("/v1/quarantine", params={"reason": "odd", "status": "discarded"})).json()
        assert ({row["id"] for row in listed["data"]}, listed["meta"]["total"]) == ({poison, cut}, 2)


async def test_an_erased_contact_is_not_replayed(stack: LocalStack) -> None:
    async with stack.client() as client:
        await client.post("/v1/events?sync=true", json={"type": "seen", "user_id": "erased-one"})
        await eventually(lambda: _is_known(client, "erased-one"), "the contact", every_s=0.2)
        assert (await client.delete("/v1/contacts/external_id:erased-one?timeout_ms=10000")).status_code in {202, 204}
        (record_id,) = await put(stack, (1_000_004, of("erased-one"), {}))
        result = await seen(client, record_id)
        assert cid("external_id:erased-one").encode() in bytes.fromhex(result["payload"]["hex"])
        assert result["replay"]["code"] == "erased"
        assert (await client.post(f"/v1/quarantine/{record_id}/replay")).status_code == 409


async def _is_known(client: httpx.AsyncClient, user: str) -> bool:
    return (await client.get(f"/v1/contacts/external_id:{user}")).status_code == 200


async def test_a_workspace_sees_and_replays_its_own_records_alone(stack: LocalStack) -> None:
    async with stack.client() as client:
        made = (await client.post("/v1/workspaces", json={"name": "beside"})).json()
        ours, nobodys = await put(stack, (1_000_005, of("ours"), {}), (1_000_006, of("nobodys"), {"workspace": ""}))
        await seen(client, ours)
        assert (await seen(client, nobodys))["status"] == "open", "who runs the instance sees what is nobody's"
        headers = {"Authorization": f"Bearer {made['key']['key']}"}
        async with httpx.AsyncClient(base_url=stack.url, headers=headers, trust_env=False) as beside:
            for record_id in (ours, nobodys):
                assert (await beside.get(f"/v1/quarantine/{record_id}")).status_code == 404
                assert (await beside.post(f"/v1/quarantine/{record_id}/replay")).status_code == 404
                assert (await beside.post(f"/v1/quarantine/{record_id}/discard")).status_code == 404
            assert (await beside.get("/v1/quarantine/summary")).json() == {"data": []}
            chosen = {"filter": {"ids": [ours, nobodys]}}
            done = (await beside.post("/v1/quarantine/replay?timeout_ms=10000", json=chosen)).json()
            assert (done["status"], done["replayed"], done["refused"]) == ("done", 0, [])
            assert (await client.get(f"/v1/quarantine/jobs/{done['id']}")).status_code == 404
        assert (await seen(client, ours))["status"] == "open"
        key = (
            await client.post("/v1/keys", json={"name": "reads", "scopes": ["contacts:read", "events:ingest"]})
        ).json()
        headers = {"Authorization": f"Bearer {key['key']}"}
        assert (await client.get(f"/v1/quarantine/{ours}", headers=headers)).status_code == 403
        assert (await client.post(f"/v1/quarantine/{ours}/replay", headers=headers)).status_code == 403
        assert (await client.post("/v1/quarantine/replay", headers=headers, json={"filter": {}})).status_code == 403


@pytest.mark.parametrize("odd", ["nothing", "events:1:5", "events:1:5:-1:6", "%ff", "events:99:99:-1", "a" * 3000])
async def test_an_id_that_is_none_is_a_404(stack: LocalStack, odd: str) -> None:
    async with stack.client() as client:
        assert (await client.get(f"/v1/quarantine/{odd}")).status_code == 404
        assert (await client.post(f"/v1/quarantine/{odd}/replay")).status_code == 404
