"""Keys, environments and workspaces made through the API, and what they let through a moment later."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from deploy.local.stack import environment
from tests.support.services import ROOT
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e
EVENT = {"type": "seen", "user_id": "u"}


def unique(prefix: str) -> str:
    return f"{prefix}-{secrets.token_hex(4)}"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def made(client: httpx.AsyncClient, path: str, **body: Any) -> Any:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def until_status(client: httpx.AsyncClient, status: int, path: str, key: str, within_s: float) -> None:
    async def ask() -> int:
        return (await client.get(path, headers=bearer(key))).status_code

    await eventually(ask, f"{path} answers {status}", within_s, meets=lambda answer: answer == status)


async def test_a_key_works_at_once_and_not_a_second_after_it_is_revoked(stack: LocalStack) -> None:
    async with stack.client() as client:
        key = await made(client, "/v1/keys", name="reader", scopes=["contacts:read", "events:ingest"])
        assert key["key"].startswith("sk_")
        assert (await client.get("/v1/contacts", headers=bearer(key["key"]))).status_code == 200
        assert (await client.get("/v1/keys", headers=bearer(key["key"]))).status_code == 403
        assert (await client.post("/v1/events", json=EVENT, headers=bearer(key["key"]))).status_code == 202
        shown = (await client.get(f"/v1/keys/{key['id']}")).json()
        assert shown | {"last_used_at": None} == {k: v for k, v in key.items() if k != "key"}
        listed = await client.get("/v1/keys?limit=100")
        assert key["id"] in {k["id"] for k in listed.json()["data"]}
        assert key["key"] not in listed.text

        async def last_used_at() -> Any:
            return (await client.get(f"/v1/keys/{key['id']}")).json()["last_used_at"]

        await eventually(last_used_at, "the key's last use is published")
        assert (await client.delete(f"/v1/keys/{key['id']}")).status_code == 204
        assert (await client.post("/v1/events", json=EVENT, headers=bearer(key["key"]))).status_code == 401
        await until_status(client, 401, "/v1/contacts", key["key"], 1.0)
        assert (await client.delete(f"/v1/keys/{key['id']}")).status_code == 404
        assert (await client.get(f"/v1/keys/{key['id']}")).status_code == 404


async def test_a_key_expires(stack: LocalStack) -> None:
    async with stack.client() as client:
        soon = int(time.time() * 1000) + 2000
        key = await made(client, "/v1/keys", name="brief", scopes=["contacts:read"], expires_at=soon)
        assert (await client.get("/v1/contacts", headers=bearer(key["key"]))).status_code == 200
        await until_status(client, 401, "/v1/contacts", key["key"], 10)


async def test_a_key_has_its_rate(stack: LocalStack) -> None:
    async with stack.client() as client:
        key = await made(client, "/v1/keys", name="slow", scopes=["events:ingest"], rate_limit=3)
        answers = [await client.post("/v1/events", json=EVENT, headers=bearer(key["key"])) for _ in range(12)]
        refused = [a for a in answers if a.status_code == 429]
        assert answers[0].status_code == 202
        assert refused
        assert refused[0].json()["error"]["code"] == "rate_limited"
        assert int(refused[0].headers["retry-after"]) >= 1
        assert {a.headers["ratelimit-limit"] for a in answers} == {"3"}
        assert refused[0].headers["ratelimit-remaining"] == "0"
        assert (await client.post("/v1/events", json=EVENT)).status_code == 202, "another key is not held up"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"scopes": ["admin"]}, 422, "name"),
        ({"name": "x"}, 422, "scopes"),
        ({"name": "x", "scopes": []}, 422, "scopes"),
        ({"name": "x", "scopes": ["admin", "everything"]}, 422, "scopes[1]"),
        ({"name": "x", "kind": "public", "scopes": ["admin"]}, 422, "scopes[0]"),
        ({"name": "x", "scopes": ["admin"], "environment": "moon"}, 422, "environment"),
        ({"name": "x", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"name": "x", "scopes": ["admin"], "rate_limit": 0}, 422, "rate_limit"),
        ({"name": "x", "kind": "other"}, 422, "kind"),
    ],
)
async def test_a_wrong_key_is_not_made(stack: LocalStack, body: Any, status: int, param: str) -> None:
    async with stack.client() as client:
        answer = await client.post("/v1/keys", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


async def test_a_workspace_sees_nothing_of_another(stack: LocalStack) -> None:
    name, user = unique("ws"), unique("u")
    async with stack.client() as client:
        workspace = await made(client, "/v1/workspaces", name="Acme", id=name, allowed_origins=["https://acme.org"])
        key = workspace["key"]
        assert [(e["id"], e["number"]) for e in workspace["environments"]] == [("production", 1), ("staging", 2)]
        assert "instance" not in key["scopes"]
        client.headers.update(bearer(key["key"]))
        answer = await client.post("/v1/contacts?timeout_ms=10000", json={"external_id": user})
        assert answer.status_code == 201, answer.text
        assert (await client.get("/v1/contacts")).json()["meta"]["total"] == 1
        environment = await made(client, "/v1/environments", id="preview")
        assert environment["number"] == 3
        again = await client.post("/v1/environments", json={"id": "preview"})
        assert (again.status_code, again.json()["error"]["param"]) == (409, "id")
        assert (await client.get("/v1/contacts?environment=preview")).json()["meta"]["total"] == 0
        refused = await client.post("/v1/keys", json={"name": "x", "scopes": ["instance"]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (403, "scopes[0]")
        assert (await client.post("/v1/workspaces", json={"name": "x"})).status_code == 403
        usage = (await client.get("/v1/usage")).json()
        assert usage["totals"] == {"events": 1, "duplicates": 0, "contacts": 1}
        assert (await client.patch("/v1/workspaces/local", json={"name": "x"})).status_code == 404
    async with stack.client() as client:
        assert (await client.get(f"/v1/contacts/external_id:{user}")).status_code == 404


async def test_a_public_key_is_for_the_pages_that_its_workspace_names(stack: LocalStack) -> None:
    async with stack.client() as client:
        workspace = await made(client, "/v1/workspaces", name="Shop", allowed_origins=["https://shop.org"])
        client.headers.update(bearer(workspace["key"]["key"]))
        public = (await made(client, "/v1/keys", name="web", kind="public"))["key"]
        here = {"Origin": "https://shop.org", **bearer(public)}
        taken = await client.post("/v1/events", json=EVENT, headers=here)
        assert (taken.status_code, taken.headers["access-control-allow-origin"]) == (202, "https://shop.org")
        there = await client.post("/v1/events", json=EVENT, headers=here | {"Origin": "https://else.org"})
        assert (there.status_code, there.json()["error"]["param"]) == (403, "Origin")
        assert "access-control-allow-origin" not in there.headers
        edited = await client.patch(f"/v1/workspaces/{workspace['id']}", json={"allowed_origins": ["https://else.org"]})
        assert edited.json()["allowed_origins"] == ["https://else.org"]
        there = await client.post("/v1/events", json=EVENT, headers=here | {"Origin": "https://else.org"})
        assert there.status_code == 202
        asks = {"Origin": "https://else.org", "Access-Control-Request-Method": "POST"}
        preflight = await client.options("/v1/events", headers=asks)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "https://else.org")
        assert "authorization" in preflight.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("DELETE", "/nowhere", 404),
        ("GET", "/v1/track", 405),
        ("DELETE", "/v1/events/batch", 405),
        ("DELETE", "/v1/contacts", 405),
        ("PUT", "/v1/contacts/external_id:u", 405),
        ("POST", "/v1/contacts/external_id:u/events", 405),
        ("PATCH", "/v1/keys/x", 405),
        ("PUT", "/v1/workspaces", 405),
        ("DELETE", "/v1/usage", 405),
        ("POST", "/v1/tasks/x", 405),
        ("PUT", "/v1/segments/preview", 405),
        ("GET", "/internal/contacts/found", 404),
        ("POST", "/internal/contacts/found", 404),
    ],
)
async def test_a_path_or_method_that_is_none(stack: LocalStack, method: str, path: str, status: int) -> None:
    async with stack.client() as client:
        answer = await client.request(method, path)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
        if status == 405:
            allowed = answer.headers["allow"].split(", ")
            assert method not in allowed
            again = await client.request(allowed[-1], path)
            assert again.status_code != 405, allowed


async def test_an_operator_makes_the_first_key_of_a_workspace_without_any_key(stack: LocalStack) -> None:
    workspace = unique("first")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "deploy.provision", "--first-key", "--workspace", workspace],
        cwd=ROOT,
        env={**os.environ, **environment(stack.settings)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    key = done.stdout.split()[-1]
    async with stack.client() as client:
        await until_status(client, 200, "/v1/keys", key, 10)
        (shown,) = (await client.get("/v1/keys", headers=bearer(key))).json()["data"]
        assert "admin" in shown["scopes"]
        assert "instance" not in shown["scopes"], "the local stack's own key has it"
        assert (await client.post("/v1/events", json=EVENT, headers=bearer(key))).status_code == 202
        refused = await client.delete(f"/v1/keys/{shown['id']}", headers=bearer(key))
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
        assert (await client.get("/v1/keys", headers=bearer(key))).status_code == 200
