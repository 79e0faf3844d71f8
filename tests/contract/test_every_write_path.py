"""Every path of the edge that takes a body: what it answers to what no body may be, in one shape."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.api.route import PUBLIC
from schemas.api.routes import WRITES
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

THINGS = {"contacts": "external_id:u", "workspaces": "local"}
"""What can be written to here without being looked up in a log first."""
NATIVE = tuple(
    (route.method, route.public_path.replace("{id}", THINGS.get(route.tag, "{id}")))
    for route in WRITES
    if route.body and route.scope != PUBLIC and ("{" not in route.path or route.tag in THINGS)
)
JSON = {**SECRET, "Content-Type": "application/json"}
Wrong = tuple[str, dict[str, str], bytes, int, str | None]
WRONG: tuple[Wrong, ...] = (
    ("no key", {"Content-Type": "application/json"}, b"{}", 401, "Authorization"),
    ("unknown key", {**JSON, "Authorization": "Bearer sk_nobody"}, b"{}", 401, "Authorization"),
    ("another environment", {**JSON, "Headwater-Environment": "moon"}, b"{}", 422, "environment"),
    ("a form", {**SECRET, "Content-Type": "application/x-www-form-urlencoded"}, b"a=b", 415, "Content-Type"),
    ("an unknown encoding", {**JSON, "Content-Encoding": "lzma"}, b"{}", 415, "Content-Encoding"),
    ("a broken encoding", {**JSON, "Content-Encoding": "gzip"}, b"{}", 400, "Content-Encoding"),
    ("no JSON", JSON, b"{", 400, None),
    ("nothing", JSON, b"", 400, None),
    ("text", JSON, b'"text"', 400, None),
    ("no UTF-8", JSON, b'{"name": "\xff"}', 400, "name"),
    ("too large", JSON, b" " * 5000, 413, None),
    ("unknown field", JSON, b'{"no_such_field": 1}', 422, "no_such_field"),
)


@pytest.mark.parametrize(("method", "path"), NATIVE)
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[0])
async def test_what_is_no_request_is_refused_in_one_shape(method: str, path: str, wrong: Wrong, tmp_path: Path) -> None:
    _, headers, body, status, param = wrong
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log, max_body_bytes=4000)) as client:
        answer = await client.request(method, path, headers=headers, content=body)
    check(answer, status)
    if not path.endswith("/batch") or status != 422:
        assert answer.json()["error"].get("param") == param
    assert log.records == [], "a refused request stores nothing"


@pytest.mark.parametrize(("method", "path"), NATIVE)
async def test_a_public_key_writes_nothing_but_events(method: str, path: str, tmp_path: Path) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        answer = await client.request(method, path, headers={"Authorization": "Bearer pk_dev_local"}, json={})
    check(answer, 422 if path.startswith("/v1/events") else 403)


def check(answer: httpx.Response, status: int) -> None:
    """The status, and the one shape of an error."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"]
    assert error["message"]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"


async def test_a_receivers_environment_is_a_string(tmp_path: Path) -> None:
    body = {"provider": "postmark", "signing_secret": "user:secret", "environment": {}}
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        answer = await client.post("/v1/receivers", headers=SECRET, json=body)
    check(answer, 422)
    assert answer.json()["error"]["param"] == "environment"
