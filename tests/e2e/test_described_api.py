"""What the running stack answers, held against its own description: real things read, then generated requests."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import orjson
import pytest

from schemas import topics
from schemas.api.route import ANY_KEY, PUBLIC, RouteSpec
from schemas.api.routes import READS, ROUTES
from schemas.records import quarantine
from schemas.service import kafka
from tests.support.generated_requests import SECONDS, Ids, answered, command_of, settings_of
from tests.support.services import ROOT
from tests.support.stack import SECRET, LocalStack, local_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

LINES = "application/x-ndjson"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack of its own: what is generated here would be in others' way."""
    with local_stack(tmp_path_factory.mktemp("described"), webhook_allow_private=True) as running:
        yield running


@pytest.fixture(scope="module")
def key(stack: LocalStack) -> str:
    """Of a workspace that only this file writes to; it lacks nothing but the scope of the instance."""
    made = httpx.post(f"{stack.url}/v1/workspaces", headers=SECRET, json={"name": "described"}, trust_env=False)
    assert made.status_code == 201, made.text
    return str(made.json()["key"]["key"])


@pytest.fixture(scope="module")
def client(stack: LocalStack, key: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=30, trust_env=False) as open_client:
        yield open_client


@pytest.fixture(scope="module")
def described(client: httpx.Client) -> dict[str, Any]:
    whole: dict[str, Any] = client.get("/openapi.json").json()
    return whole


@pytest.fixture(scope="module")
def ids(client: httpx.Client, described: dict[str, Any], stack: LocalStack) -> Ids:
    """One of each thing; what made it is answered as it is described."""

    def post(path: str, value: Any, template: str = "") -> Any:
        answer = client.post(path, json=value)
        check(described, "post", template or path.partition("?")[0], answer)
        assert answer.status_code < 300, answer.text
        return answer.json()

    webhook = post("/v1/webhooks", {"url": "http://127.0.0.1:9/closed", "types": ["*"]})["id"]
    segment = post("/v1/segments", {"name": "All", "rule": {"attribute": "plan", "op": "eq", "value": "pro"}})["id"]
    post("/v1/lists", {"name": "described", "values": ["a", 5, True]})
    typed = client.put("/v1/typed-columns/described?timeout_ms=10000", json={"type": "number"})
    check(described, "put", "/v1/typed-columns/{property}", typed)
    hello = {"name": "Hello", "channel": "email", "variants": [{"id": "a", "name": "A"}]}
    campaign = post("/v1/campaigns", {**hello, "delivery": {"webhook_id": webhook}})["id"]
    receiver = post("/v1/receivers", {"provider": "postmark", "signing_secret": "user:secret"})["id"]
    key = post("/v1/keys", {"name": "other", "scopes": ["contacts:read"]})["id"]
    consents = {"consents": {"mail": True}, "attributes": {"plan": "pro"}, "devices": [{"device_id": "d1"}]}
    contact = post("/v1/contacts?timeout_ms=10000", {"email": "a@b.c", "anonymous_id": "browser-1", **consents})["id"]
    sync = "sync=true&timeout_ms=10000"
    sent = {"type": "message.sent", "email": "a@b.c", "campaign_id": campaign, "message_id": "m1", "variant": "a"}
    event = post(f"/v1/events?{sync}", sent)["event_id"]
    post(f"/v1/events/batch?{sync}", {"events": [{**sent, "type": "message.bounced"}, {"type": 1}]})
    task = post("/v1/events?sync=true&timeout_ms=50", {"type": "x", "user_id": "u1", "anonymous_id": "browser-1"})
    post(f"/v1/segments/{segment}/explain?contact={contact}", None, "/v1/segments/{id}/explain")
    post("/v1/segments/preview", {"rule": {"attribute": "plan", "op": "exists"}})
    post("/graphql", {"query": "{ __typename }"})
    made = {"contacts": contact, "segments": segment, "campaigns": campaign, "webhooks": webhook, "keys": key}
    made |= {"receivers": receiver, "tasks": task.get("task_id", ""), "events": event}
    made["workspaces"], to_one = _workspace(client), {"contact": contact}
    launch = post(f"/v1/campaigns/{campaign}/launch?timeout_ms=10000", to_one, "/v1/campaigns/{id}/launch")
    made["launches"] = launch["id"]
    made["test"] = post("/v1/environments", {"id": "described", "kind": "test"})["id"]
    for path in ("/v1/test/counts", "/v1/test/bad"):
        check(described, "get", path, client.get(f"{path}?environment=described"))
    check(described, "post", "/v1/test/reset", client.post("/v1/test/reset?environment=described"))
    post("/v1/contacts?timeout_ms=10000", {"email": "erased@b.c"})
    erased = client.delete("/v1/contacts/email:erased@b.c")
    check(described, "delete", "/v1/contacts/{id}", erased)
    made["erasures"] = erased.headers["location"].rpartition("/")[2]
    made["quarantine"] = _quarantined(client, stack, made["workspaces"])
    post("/v1/quarantine/replay", {"filter": {}, "dry_run": True})
    made["jobs"] = post("/v1/quarantine/replay?timeout_ms=10000", {"filter": {"ids": [made["quarantine"]]}})["id"]
    post("/v1/quarantine/discard", {"filter": {"reason": "none"}})
    made["deliveries"] = wait_until(lambda: _first(client, f"/v1/webhooks/{webhook}/deliveries"), "a delivery")["id"]
    return made


def _workspace(client: httpx.Client) -> str:
    return str(httpx.get(f"{client.base_url}/v1/workspaces", headers=SECRET, trust_env=False).json()["data"][-1]["id"])


def _quarantined(client: httpx.Client, stack: LocalStack, workspace: str) -> str:
    """The id of a record that cannot be replayed."""
    place = {"topic": topics.EVENTS.name, "partition": 0, "offset": 1_000_001}
    more = {"key": None, "payload": b"\xff", "reason": "odd", "detail": "", "now_ms": time.time_ns() // 1_000_000}
    key, value = quarantine.encode(**place, **more, workspace=workspace)  # type: ignore[arg-type]

    async def put() -> None:
        producer = await kafka.started_producer(stack.settings)
        await producer.send_and_wait(topics.name(topics.QUARANTINE, stack.settings), value, key=key)
        await producer.stop()

    asyncio.run(put())
    return str(wait_until(lambda: _first(client, "/v1/quarantine"), "a record in quarantine")["id"])


def _first(client: httpx.Client, path: str) -> Any:
    return next(iter(client.get(path).json()["data"]), None)


def filled(route: RouteSpec, ids: Ids) -> str:
    """The route's path with things that there are."""
    parts = route.path.removeprefix("/v1").split("/")
    thing = parts[2] if "jobs" in parts else parts[1]
    path = route.public_path.replace("{delivery_id}", ids.get("deliveries", ""))
    path = (
        path.replace("{name}", "described")
        .replace("{property}", "described")
        .replace("{provider}", "postmark")
        .replace("{launch_id}", ids.get("launches", ""))
    )
    return path.replace("{id}", ids.get(thing, ""))


def check(described: dict[str, Any], method: str, template: str, answer: httpx.Response) -> None:
    """An answer is one of those that are described, and has its shape."""
    responses = described["paths"][template][method]["responses"]
    assert str(answer.status_code) in responses, f"{method} {template}: {answer.status_code} {answer.text}"
    response = responses[str(answer.status_code)]
    if "$ref" in response:
        response = described["components"]["responses"][response["$ref"].rpartition("/")[2]]
    assert answer.headers["x-request-id"]
    if "content" not in response:
        assert answer.content == b""
        return
    assert answer.headers["content-type"] in response["content"]
    schema = {**response["content"][answer.headers["content-type"]]["schema"], "components": described["components"]}
    is_json = answer.headers["content-type"] == "application/json"
    for value in [answer.json()] if is_json else map(orjson.loads, answer.text.splitlines()):
        jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("route", [r for r in READS if r.method == "GET" and r.media != LINES], ids=lambda r: r.path)
def test_a_read_is_answered_as_it_is_described(
    route: RouteSpec, client: httpx.Client, described: dict[str, Any], ids: Ids
) -> None:
    path = filled(route, ids)
    headers = SECRET if route.scope == "instance" else {}
    query = {"query": "{ __typename }"} if route.scope == ANY_KEY else {}
    if route.path == "/v1/test/good":
        query = {"environment": ids["test"]}
    if route.path.endswith("tasks/{id}") and not ids["tasks"]:
        path = path + "00000000-0000-7000-8000-000000000000"
    answer = client.get(path, params=query, headers=headers)
    check(described, "get", route.public_path, answer)
    assert answer.status_code == 200 or (route.path.endswith("tasks/{id}") and not ids["tasks"]), answer.text
    if not route.answers[200].endswith("[]"):
        return
    assert answer.json()["data"], "nothing was there to be compared"
    check(described, "get", route.public_path, client.get(path, params={"cursor": "", "limit": 1}, headers=headers))


@pytest.mark.parametrize("route", [r for r in READS if r.scope != PUBLIC], ids=lambda r: f"{r.method} {r.path}")
def test_a_read_refuses_in_the_shape_that_is_described(
    route: RouteSpec, client: httpx.Client, described: dict[str, Any], ids: Ids
) -> None:
    path, method = filled(route, ids), route.method.lower()
    query = {"query": "{ __typename }"} if route.scope == ANY_KEY else {}
    for headers in ({"Authorization": "Bearer nobody"}, {"Headwater-Environment": "moon"}):
        answer = client.request(route.method, path, headers=headers, params=query)
        check(described, method, route.public_path, answer)
        assert answer.status_code in (401, 422)
    taken = {(spec.method, spec.public_path) for spec in ROUTES}
    unknown = next(method for method in ("PUT", "PATCH", "DELETE") if (method, route.public_path) not in taken)
    other = client.request(unknown, path, json={})
    assert other.status_code == 405
    assert other.json()["error"]["code"] == "method_not_allowed"


def test_a_write_is_answered_as_it_is_described(client: httpx.Client, described: dict[str, Any], ids: Ids) -> None:
    """What ``ids`` did not make, and a generated request rarely comes to do."""
    contact, webhook, key = (ids[thing] for thing in ("contacts", "webhooks", "keys"))
    ties = client.get(f"/v1/contacts/{contact}/split").json()["ties"]
    writes: tuple[tuple[str, str, str, Any, int], ...] = (
        ("PATCH", "/v1/contacts/{id}", contact, {"attributes": {"plan": None}}, 200),
        ("PATCH", "/v1/segments/{id}", ids["segments"], {"name": "Others"}, 200),
        ("PATCH", "/v1/campaigns/{id}", ids["campaigns"], {"status": "sent"}, 200),
        ("PATCH", "/v1/webhooks/{id}", webhook, {"types": ["contact.*"]}, 200),
        ("PATCH", "/v1/workspaces/{id}", ids["workspaces"], {"limits": {"email": 4}}, 200),
        ("POST", "/v1/environments", "", {"id": "qa"}, 201),
        ("POST", "/v1/environments", "", {"id": "qa"}, 409),
        ("POST", "/v1/webhooks/{id}/rotate", webhook, None, 200),
        ("POST", "/v1/webhooks/{id}/deliveries/{delivery_id}/retry", webhook, None, 202),
        ("POST", "/v1/webhooks/{id}/deliveries/retry", webhook, {"filter": {}}, 202),
        ("POST", "/v1/quarantine/{id}/replay", ids["quarantine"], None, 409),
        ("POST", "/v1/quarantine/{id}/discard", ids["quarantine"], None, 200),
        ("POST", "/v1/receivers/{provider}/{id}", ids["receivers"], {}, 401),
        ("POST", "/v1/contacts/{id}/split", contact, {"evidence": [ties[0]["event_id"]]}, 200),
        ("DELETE", "/v1/keys/{id}", key, None, 204),
        ("DELETE", "/v1/keys/{id}", key, None, 404),
    )
    for method, template, name, value, status in writes:
        path = template.replace("{id}", name).replace("{delivery_id}", ids["deliveries"])
        answer = client.request(method, path.replace("{provider}", "postmark"), json=value)
        check(described, method.lower(), template, answer)
        assert answer.status_code == status, f"{method} {path}: {answer.text}"


def test_no_generated_request_is_answered_as_nobody_said(
    stack: LocalStack, client: httpx.Client, ids: Ids, tmp_path: Path, say: Callable[[str], None]
) -> None:
    config, report = tmp_path / "schemathesis.toml", tmp_path / "report.ndjson"
    config.write_text(settings_of(ids))
    command = command_of(stack.url, client.headers["authorization"], config, report)
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    limit = SECONDS + 120
    ran = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=limit
    )
    statuses = answered(report)
    good = [label for label, counts in statuses.items() if any(status < 300 for status in counts)]
    say(f"{sum(counts.total() for counts in statuses.values())} generated requests; {len(good)} operations did them")
    assert ran.returncode == 0, f"{ran.stdout[-15000:]}{ran.stderr[-3000:]}"
    assert client.get("/v1/contacts").status_code == 200, "the key was good to the end"
    # a slow machine has no time for more than the first values of each operation, which are wrong ones
    assert len(good) > len(statuses) / 3, "most requests were about nothing"
