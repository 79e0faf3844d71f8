"""The live view for programs: lines as they are described, of the key's own environment, as long as the key lives."""

import secrets
import time
from typing import Any

import httpx
import jsonschema
import orjson
import pytest

from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


async def rows_of(client: httpx.AsyncClient, seconds: int, key: str = "", **query: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    parameters = {"seconds": str(seconds), "since": str(int(time.time()) - 60), **query}
    answer = await client.get("/v1/live", params=parameters, headers=headers, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson"), answer.text
    assert answer.headers["x-request-id"]
    return [orjson.loads(line) for line in answer.content.splitlines()]


def has_item(rows: list[dict[str, Any]], kind: str) -> bool:
    """Whether an item of this type that was refused is among them."""
    return any(row["kind"] == "refused" and row["item"] and row["item"]["type"] == kind for row in rows)


async def test_each_kind_of_line_is_as_it_is_described(stack: LocalStack) -> None:
    kind = f"lived_{secrets.token_hex(4)}"
    async with stack.client() as client:
        rule = {"name": kind, "rule": {"event": kind}}
        segment = (await client.post("/v1/segments", json=rule)).json()["id"]
        good, bad = {"type": kind, "user_id": kind}, {"type": kind, "user_id": kind, "timestamp": "soon"}
        await client.post("/v1/events?sync=true&timeout_ms=10000", json=good)
        await client.post("/v1/events", json={"type": kind})
        await client.post("/v1/events/batch", json=[good, bad])
        # refusals are told every few seconds
        rows = await eventually(lambda: rows_of(client, 5), "the refused item", meets=lambda some: has_item(some, kind))
        described = (await client.get("/openapi.json")).json()
        schema = described["paths"]["/v1/live"]["get"]["responses"]["200"]["content"]["application/x-ndjson"]["schema"]
        for row in rows:
            jsonschema.validate(row, {**schema, "components": described["components"]})
        events = {row["event_id"]: row for row in rows if row["kind"] == "event" and row["type"] == kind}
        assert len(events) == 2
        assert all(row["stored"] and row["resolved"] and row["contact_id"] for row in events.values())
        moved = [segment for row in events.values() for segment in row["segments"]]
        assert {(row["id"], row["name"], row["change"]) for row in moved} <= {(segment, kind, "entered")}
        refused = [row for row in rows if row["kind"] == "refused"]
        assert {"type": kind, "taken": 1} in [row["item"] for row in refused]
        assert None in [row["item"] for row in refused]
        some = await rows_of(client, 2, type=kind, status="ok")
        assert {row["kind"] for row in some} <= {"event", "alive", "gap"}
        for wrong in ({"seconds": "0"}, {"seconds": "1e9"}, {"since": "soon"}, {"status": "odd"}, {"typ": "a"}):
            answer = await client.get("/v1/live", params=wrong)
            assert answer.status_code == 422, answer.text
            assert answer.json()["error"]["param"] == next(iter(wrong))


async def test_a_key_sees_its_own_and_no_longer_than_it_is_valid(stack: LocalStack) -> None:
    kind = f"own_{secrets.token_hex(4)}"
    async with stack.client() as client:
        made = (await client.post("/v1/workspaces", json={"name": f"w-{secrets.token_hex(4)}"})).json()
        admin = {"Authorization": f"Bearer {made['key']['key']}"}
        key = (await client.post("/v1/keys", json={"name": "r", "scopes": ["contacts:read"]}, headers=admin)).json()
        await client.post("/v1/events?sync=true&timeout_ms=10000", json={"type": kind, "user_id": "u"})
        await client.post("/v1/events", json={"type": "x"}, headers={"Authorization": "Bearer sk_stranger"})
        rows = await rows_of(client, 3, key["key"])
        assert {row["kind"] for row in rows} <= {"alive", "gap"}, "neither another workspace's nor strangers'"
        blind = (await client.post("/v1/keys", json={"name": "b", "scopes": ["events:ingest"]})).json()
        answers = [
            await client.get("/v1/live", headers={"Authorization": f"Bearer {key}"}) for key in (blind["key"], "sk_no")
        ]
        assert [answer.status_code for answer in answers] == [403, 401]
        url, began = "/v1/live?seconds=60", time.monotonic()
        async with client.stream("GET", url, headers={"Authorization": f"Bearer {key['key']}"}, timeout=90) as stream:
            lines = stream.aiter_lines()
            assert orjson.loads(await anext(lines))["kind"] == "alive"
            assert (await client.delete(f"/v1/keys/{key['id']}", headers=admin)).status_code == 204
            async for _ in lines:
                pass
        assert time.monotonic() - began < 45, "the stream ends with its key"
