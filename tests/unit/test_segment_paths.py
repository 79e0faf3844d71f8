"""The paths, keys, types and times that Segment's, RudderStack's and Jitsu's own SDKs send, as they send them."""

import gzip
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from ingest.dialects.segment import CALLS, SHORT
from ingest.dialects.segment_web import GIF
from schemas.times import parse_time
from tests.support.edge import NOW_MS, SECRET, MemoryLog, client_of, memory_edge

BASIC = {"Authorization": "Basic " + b64encode(b"pk_dev_local:").decode()}
PAGE = {"Origin": "https://shop.example"}
STORED = {"track": "Seen", **{name: f"${name}" for name in CALLS if name != "track"}}


def call_for(kind: str, **more: Any) -> dict[str, Any]:
    body = {"userId": "u", "anonymousId": "a", "messageId": f"m-{kind}", "type": kind, **more}
    return body | {"track": {"event": "Seen"}, "group": {"groupId": "g"}, "alias": {"previousId": "p"}}.get(kind, {})


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def client(tmp_path: Path, log: MemoryLog) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(memory_edge(tmp_path, log)) as client:
        yield client


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("root", ["/v1", "short", "/api/s", "/api/s/s2s"])
async def test_each_call_by_each_of_its_paths(client: httpx.AsyncClient, log: MemoryLog, root: str, slash: str) -> None:
    for kind in CALLS:
        short = next(name for name, call in SHORT.items() if call == kind)
        path = f"/v1/{short}" if root == "short" else f"{root}/{kind}"
        body = orjson.dumps(call_for(kind, writeKey="pk_dev_local"))
        answer = await client.post(path + slash, content=body, headers={**PAGE, "Content-Type": "text/plain"})
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        assert answer.headers["access-control-allow-origin"] == PAGE["Origin"]
    assert {event["event_id"]: event["type"] for event in log.events} == {f"m-{kind}": STORED[kind] for kind in CALLS}


@pytest.mark.parametrize(
    "path", ["/v1/b", "/v1/batch", "/v1/import", "/v1/import/", "/beacon/v1/batch", "/api/s/batch"]
)
async def test_a_batch_by_each_of_its_paths(client: httpx.AsyncClient, log: MemoryLog, path: str) -> None:
    body = {"batch": [call_for(kind) for kind in CALLS], "writeKey": "pk_dev_local"}
    assert (await client.post(path, json=body)).status_code == 200
    assert {event["event_id"] for event in log.events} == {f"m-{kind}" for kind in CALLS}


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/xml", "application/gzip", "", "?"])
@pytest.mark.parametrize("packed", ["", "gzip", "unsaid"])
async def test_json_under_any_content_type(client: httpx.AsyncClient, log: MemoryLog, kind: str, packed: str) -> None:
    body = orjson.dumps({"batch": [call_for("track")]})
    headers = {**BASIC, "Content-Type": kind} | ({"Content-Encoding": packed} if packed == "gzip" else {})
    answer = await client.post("/v1/batch", content=gzip.compress(body) if packed else body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert len(log.events) == 1


async def test_what_is_no_json_stays_refused_under_any_content_type(client: httpx.AsyncClient, log: MemoryLog) -> None:
    for body in (b"event=Seen&userId=u", b"\x1f\x8bno gzip", gzip.compress(b" " * 6_000_000)):
        answer = await client.post("/v1/track", content=body, headers=BASIC)
        assert answer.status_code in (400, 413)
    assert log.events == []


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Write-Key": "pk_dev_local"},
        {"X-Write-Key": "pk_dev_local:secret"},
        {"Authorization": "pk_dev_local"},
        {"Authorization": "Bearer pk_dev_local", "X-Write-Key": "***"},
    ],
)
async def test_a_key_where_an_sdk_puts_it(client: httpx.AsyncClient, log: MemoryLog, headers: dict[str, str]) -> None:
    answer = await client.post("/api/s/track", json=call_for("track", writeKey="***"), headers=headers)
    assert answer.status_code == 200
    assert len(log.events) == 1


async def test_a_key_that_is_none_stays_none(client: httpx.AsyncClient) -> None:
    for headers in ({"X-Write-Key": "pk_else"}, {"Authorization": "pk_else"}, {"Authorization": "Bearer"}):
        assert (await client.post("/v1/track", json=call_for("track"), headers=headers)).status_code == 401


async def test_a_key_in_the_query_of_a_beacon(client: httpx.AsyncClient, log: MemoryLog) -> None:
    body = orjson.dumps({"batch": [call_for("page")]})
    path = "/beacon/v1/batch?writeKey=pk_dev_local"
    assert (await client.post(path, content=body, headers={"Content-Type": "text/plain"})).status_code == 200
    assert len(log.events) == 1


async def test_a_time_that_the_caller_gave_beside_the_time_of_the_call(
    client: httpx.AsyncClient, log: MemoryLog
) -> None:
    """The clock's correction is for what the SDK made; what the caller gave was said on purpose."""
    given, made = "2025-01-15T10:30:00.000Z", "2026-05-22T09:00:00.000Z"
    for call in (
        call_for("track", timestamp=given, originalTimestamp=made, sentAt=made),
        call_for("page", originalTimestamp=made, sentAt=made),
        call_for("screen", timestamp=made, sentAt=made),
    ):
        await client.post("/v1/batch", json={"batch": [call], "sentAt": made}, headers=BASIC)
    assert log.events[0]["timestamp_ms"] == parse_time(given)
    assert all(
        abs(event["timestamp_ms"] - NOW_MS) < 1000 or event["timestamp_ms"] == parse_time(made)
        for event in log.events[1:]
    )


async def test_settings_lead_segments_sdk_back_here(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/projects/pk_dev_local/settings", headers=PAGE)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE["Origin"]
    assert answer.json()["integrations"]["Segment.io"] == {
        "apiKey": "pk_dev_local",
        "apiHost": "edge/v1",
        "protocol": "http",
    }
    behind = await client.get("/v1/projects/pk_dev_local/settings", headers={"X-Forwarded-Proto": "https"})
    assert behind.json()["integrations"]["Segment.io"]["protocol"] == "https"


async def test_a_key_with_admin_rights_is_not_taken_from_the_path_of_settings(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/projects/sk_dev_local/settings")).status_code == 403
    assert (await client.get("/v1/projects/pk_else/settings", headers=SECRET)).status_code in (401, 403)


@pytest.mark.parametrize("path", ["/sourceConfig", "/sourceConfig/"])
async def test_a_source_config_without_destinations(client: httpx.AsyncClient, path: str) -> None:
    by_query = await client.get(f"{path}?p=npm&v=3.34.1&build=modern&writeKey=pk_dev_local", headers=PAGE)
    by_header = await client.get(path, headers={**PAGE, **BASIC})
    for answer in (by_query, by_header):
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE["Origin"]
        source = answer.json()["source"]
        assert (source["writeKey"], source["enabled"], source["destinations"]) == ("pk_dev_local", True, [])
    assert (await client.get(path, headers=PAGE)).status_code == 401


async def test_a_pixel_is_a_call(client: httpx.AsyncClient, log: MemoryLog) -> None:
    query = "writeKey=pk_dev_local&anonymousId=a&messageId=m1&event=Opened&properties.mail.id=7&properties.list=vip"
    answer = await client.get(f"/pixel/v1/track?{query}")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/gif", GIF)
    assert (await client.get("/pixel/v1/page?writeKey=pk_dev_local&anonymousId=a")).status_code == 200
    opened, page = log.events
    assert (opened["type"], opened["event_id"]) == ("Opened", "m1")
    assert orjson.loads(opened["properties"]) == {"mail": {"id": "7"}, "list": "vip"}
    assert (page["type"], orjson.loads(page["properties"])) == ("$page", {"name": "Unknown Page"})


@pytest.mark.parametrize(
    "query",
    [
        "event=Opened",
        "anonymousId=a",
        "anonymousId=a&event=x&properties=1&properties.a=2",
        "anonymousId=a&event=x&properties.a=1&properties.a.b=2",
        "anonymousId=a&event=x&properties." + "a." * 10 + "b=1",
    ],
)
async def test_a_pixel_that_says_no_call_is_refused(client: httpx.AsyncClient, log: MemoryLog, query: str) -> None:
    answer = await client.get(f"/pixel/v1/track?writeKey=pk_dev_local&{query}")
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert log.events == []


async def test_an_sdks_own_metrics_are_answered_and_dropped(client: httpx.AsyncClient, log: MemoryLog) -> None:
    answer = await client.post("/v1/m", content=b'{"series":[]}', headers={**PAGE, "Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert answer.headers["access-control-allow-origin"] == PAGE["Origin"]
    assert (await client.post("/v1/m", content=b" " * 6_000_000)).status_code == 413
    assert log.events == []
