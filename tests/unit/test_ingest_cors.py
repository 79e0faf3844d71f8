"""What a page may send, and which answers it may read: by real requests into the real app."""

import gzip
from pathlib import Path

import httpx
import orjson
import pytest

from ingest.dialects import OPERATIONS
from ingest.events.edge import Edge
from schemas.control import control_state
from tests.support.edge import PUBLIC, SECRET, MemoryLog, client_of, memory_edge

HERE = "https://shop.example"
THERE = "https://evil.example"
EVENT = {"type": "seen", "user_id": "u"}
TRACK = {"userId": "u", "event": "Seen", "messageId": "m"}
PATHS = sorted({o.path.replace("{", "").replace("}", "") for o in OPERATIONS})
TRACING = "content-type,baggage,sentry-trace,traceparent,x-datadog-trace-id"
RUDDERSTACK = "anonymousid,authorization,content-type,rsa-retry-attempt,rsa-retry-reason,sentat"


def edge_for(home: Path, *origins: str, log: MemoryLog | None = None, **changes: int) -> Edge:
    edge = memory_edge(home, log or MemoryLog(), **changes)
    for workspace in list(edge.control.workspaces.values()):
        edge.control.apply(
            *control_state.encode("workspace", workspace.model_copy(update={"allowed_origins": origins}))
        )
    return edge


def is_readable(answer: httpx.Response, origin: str = HERE) -> bool:
    """Whether a browser gives the answer to the page; each header may stand there once."""
    allowed = answer.headers.get_list("access-control-allow-origin")
    assert "Origin" in answer.headers["vary"]
    if not allowed:
        assert "access-control-allow-credentials" not in answer.headers
        return False
    assert allowed == [origin]
    assert answer.headers.get_list("access-control-allow-credentials") == ["true"]
    assert "Retry-After" in answer.headers["access-control-expose-headers"]
    return True


@pytest.mark.parametrize("requested_headers", [TRACING, RUDDERSTACK, "content-encoding,content-type", "x-retry-count"])
async def test_every_path_allows_whatever_headers_a_page_asks_for(tmp_path: Path, requested_headers: str) -> None:
    edge = edge_for(tmp_path, HERE)
    asks = {
        "Origin": HERE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": requested_headers,
    }
    async with client_of(edge) as client:
        for path in PATHS:
            answer = await client.options(path, headers=asks)
            assert answer.status_code == 204, path
            assert is_readable(answer), path
            assert answer.headers["access-control-allow-headers"] == requested_headers
            assert answer.headers.get_list("vary") == ["Origin, Access-Control-Request-Headers"]
            refused = await client.options(path, headers={**asks, "Origin": THERE})
            assert not is_readable(refused), path


async def test_a_preflight_names_the_methods_of_its_path(tmp_path: Path) -> None:
    asks = {"Origin": HERE, "Access-Control-Request-Method": "POST"}
    async with client_of(edge_for(tmp_path, HERE)) as client:
        for operation in OPERATIONS:
            answer = await client.options(operation.path.replace("{", "").replace("}", ""), headers=asks)
            assert set(operation.methods) <= set(answer.headers["access-control-allow-methods"].split(", "))
        assert (await client.options("/docs", headers=asks)).status_code == 405
        assert (await client.options("/nowhere", headers=asks)).status_code == 404


async def test_a_list_of_headers_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    asks = {"Origin": HERE, "Access-Control-Request-Headers": "a(b)"}
    async with client_of(edge_for(tmp_path, HERE)) as client:
        assert "a(b)" not in (await client.options("/v1/track", headers=asks)).headers["access-control-allow-headers"]


async def test_a_page_can_read_each_refusal_of_a_public_key(tmp_path: Path) -> None:
    log = MemoryLog()
    edge = edge_for(tmp_path, HERE, log=log, rate_limit=12)
    page = {"Origin": HERE, **PUBLIC}
    async with client_of(edge) as client:
        answers = {
            202: await client.post("/v1/events", json=EVENT, headers=page),
            400: await client.post("/v1/events", content=b"{", headers=page),
            401: await client.post("/v1/events", json=EVENT, headers={"Origin": HERE, "Authorization": "Bearer pk_x"}),
            403: await client.post("/v1/segments", json={}, headers=page),
            404: await client.post("/nowhere", json=EVENT, headers=page),
            405: await client.get("/v1/events/batch", headers=page),
            413: await client.post("/v1/events", content=b" " * 6_000_000, headers=page),
            415: await client.post("/v1/events", content=b"<a/>", headers={**page, "Content-Type": "text/xml"}),
            422: await client.post("/v1/events", json={"type": "x"}, headers=page),
        }
        log.down = True
        answers[503] = await client.post("/v1/events", json=EVENT | {"type": "other"}, headers=page)
        for _ in range(12):
            answers[429] = await client.post("/v1/events", json=EVENT, headers=page)
    assert {status: answer.status_code for status, answer in answers.items()} == {status: status for status in answers}
    assert [status for status, answer in answers.items() if not is_readable(answer)] == []
    assert answers[429].headers["retry-after"]


async def test_a_page_can_read_what_comes_before_the_key_in_a_body(tmp_path: Path) -> None:
    keyed = orjson.dumps({**TRACK, "writeKey": "pk_dev_local"})
    async with client_of(edge_for(tmp_path, HERE)) as client:

        async def post(content: bytes, status: int, **headers: str) -> None:
            answer = await client.post("/v1/track", content=content, headers={"Origin": HERE, **headers})
            assert answer.status_code == status, answer.text
            assert is_readable(answer)

        await post(keyed, 200)
        await post(keyed.replace(b"pk_dev_local", b"pk_else"), 401)
        await post(orjson.dumps(TRACK), 401)
        await post(keyed + b" " * 6_000_000, 413)
        await post(keyed, 415, **{"Content-Encoding": "rot13"})
        await post(gzip.compress(keyed)[:-9], 400, **{"Content-Encoding": "gzip"})


@pytest.mark.parametrize("place", ["header", "query", "body"])
async def test_no_page_reads_the_answer_to_a_secret_key(tmp_path: Path, place: str) -> None:
    key = "sk_dev_local"
    headers = {"header": SECRET}.get(place, {})
    params = {"query": {"apiKey": key}}.get(place, {})
    body = TRACK | ({"writeKey": key} if place == "body" else {})
    async with client_of(edge_for(tmp_path, "*")) as client:
        for call in (body, body | {"event": ""}):
            answer = await client.post("/v1/track", json=call, params=params, headers={"Origin": HERE, **headers})
            assert not is_readable(answer)


async def test_a_page_that_the_workspace_does_not_name_reads_nothing(tmp_path: Path) -> None:
    async with client_of(edge_for(tmp_path, HERE)) as client:
        for headers in (PUBLIC, {}, {"Authorization": "Bearer pk_x"}):
            answer = await client.post("/v1/events", json=EVENT, headers={"Origin": THERE, **headers})
            assert answer.status_code in (401, 403)
            assert not is_readable(answer, THERE)


async def test_one_workspace_does_not_speak_for_another(tmp_path: Path) -> None:
    """A page that only another workspace names may learn of a stranger's key, never of this workspace's."""
    edge = edge_for(tmp_path, HERE)
    other = edge.control.workspaces["local"].model_copy(
        update={"id": "other", "workspace": "other", "allowed_origins": (THERE,)}
    )
    edge.control.apply(*control_state.encode("workspace", other))
    async with client_of(edge) as client:
        for path, headers in (("/v1/events", PUBLIC), ("/v1/contacts/batch", PUBLIC), ("/v1/track", {})):
            body = TRACK | EVENT | {"writeKey": "pk_dev_local"}
            answer = await client.post(path, json=body, headers={"Origin": THERE, **headers})
            assert answer.status_code == 403
            assert not is_readable(answer, THERE)


@pytest.mark.parametrize("path", ["/health/live", "/docs", "/health/live?apiKey=pk_dev_local"])
async def test_what_is_no_ingestion_stays_unreadable_for_pages(tmp_path: Path, path: str) -> None:
    async with client_of(edge_for(tmp_path, "*")) as client:
        answer = await client.get(path, headers={"Origin": HERE})
        assert answer.status_code == 200
        assert not is_readable(answer)


async def test_a_repeated_answer_is_readable_by_the_page_that_repeats_it(tmp_path: Path) -> None:
    async with client_of(edge_for(tmp_path, HERE, THERE)) as client:
        for origin in (HERE, THERE, HERE):
            headers = {"Origin": origin, "Idempotency-Key": "k", **PUBLIC}
            assert is_readable(await client.post("/v1/events", json=EVENT, headers=headers), origin)
        conflict = await client.post("/v1/events", json=EVENT | {"type": "x"}, headers=headers)
        assert conflict.status_code == 409
        assert is_readable(conflict)
