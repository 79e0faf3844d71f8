"""Odd values of vendors' clients: each costs itself and never its event; our own API refuses it and names the field."""

import base64
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.http import body, xml_codec
from ingest.http.json_recovery import NotJson
from ingest.http.mend import mended
from schemas.records.records import Event
from schemas.times import parse_iso
from tests.support.edge import NOW_MS, PUBLIC, SECRET, MemoryLog, client_of, memory_edge

UNREADABLE: list[Any] = [
    "0001-01-01T00:00:00Z",
    "2026-05-22T10:00:00 UTC",
    "Fri May 22 2026",
    "2026-05-22T24:00:00Z",
    "1969-12-31T23:59:59Z",
    "",
    True,
    -1,
    {"$date": 1},
    ["2026-05-22"],
]
JSON = {"Content-Type": "application/json"}


async def _post(home: Path, path: str, content: Any, headers: dict[str, str] = PUBLIC) -> tuple[int, list[Event]]:
    log = MemoryLog()
    raw = content if isinstance(content, bytes) else orjson.dumps(content)
    async with client_of(memory_edge(home, log)) as client:
        answer = await client.post(path, content=raw, headers=JSON | headers)
    return answer.status_code, sorted(log.events, key=lambda event: event["event_id"])


def _calls(timestamp: Any) -> list[tuple[str, Any]]:
    """The same three events in each dialect that drops a batch on a refusal; the second has the timestamp."""
    segment = [
        {"type": "track", "event": "e", "userId": "u1", "messageId": f"m{n}", "timestamp": at}
        for n, at in enumerate((NOW_MS, timestamp, NOW_MS))
    ]
    posthog = [
        {"event": "e", "distinct_id": "u1", "uuid": f"m{n}", "timestamp": at}
        for n, at in enumerate((NOW_MS, timestamp, NOW_MS))
    ]
    parcelvoy = [
        {"name": "e", "external_id": "u1", "event_id": f"m{n}", "timestamp": at}
        for n, at in enumerate((NOW_MS, timestamp, NOW_MS))
    ]
    return [
        ("/v1/batch", {"batch": segment}),
        ("/v1/import", {"batch": segment}),
        ("/batch/", {"api_key": "pk_dev_local", "batch": posthog}),
        ("/e/", [event | {"properties": {"token": "pk_dev_local"}} for event in posthog]),
        ("/api/client/events", parcelvoy),
    ]


@pytest.mark.parametrize("timestamp", UNREADABLE, ids=str)
async def test_an_unreadable_time_becomes_the_arrival_and_its_text_is_kept(timestamp: Any, tmp_path: Path) -> None:
    for number, (path, content) in enumerate(_calls(timestamp)):
        status, events = await _post(tmp_path / str(number), path, content)
        assert status < 300, path
        assert [event["timestamp_ms"] for event in events] == [NOW_MS] * 3
        kept = orjson.loads(events[1]["context"])["_timestamp"]
        assert kept == (timestamp if isinstance(timestamp, str) else orjson.dumps(timestamp).decode())
        assert all(b"_timestamp" not in events[n]["context"] for n in (0, 2))


@pytest.mark.parametrize("timestamp", UNREADABLE, ids=str)
async def test_our_own_api_refuses_an_unreadable_time_by_name(timestamp: Any, tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        for path in ("/v1/events", "/v1/contacts"):
            event = {"type": "e", "user_id": "u1", "timestamp": timestamp}
            if path == "/v1/contacts":
                event.pop("type")
            answer = await client.post(path, json=event, headers=SECRET)
            assert answer.status_code == 422, answer.text
            assert answer.json()["error"]["param"].startswith("timestamp")
    assert log.events == []


async def test_a_leap_second_is_the_last_moment_of_its_minute(tmp_path: Path) -> None:
    event = {"type": "e", "user_id": "u1", "timestamp": "2016-12-31T23:59:60Z"}
    status, events = await _post(tmp_path, "/v1/events", event)
    assert status == 202
    assert events[0]["timestamp_ms"] == 1_483_228_799_999


@pytest.mark.parametrize(
    ("original", "sent_at", "stored"),
    [
        ("2026-01-02T03:04:05Z", "1970-01-01T00:00:00Z", "2026-01-02T03:04:05Z"),
        ("2025-09-21T00:00:00Z", "2025-09-21T00:00:00Z", "2025-09-21T00:00:00Z"),
        ("2026-09-21T10:00:00Z", "2032-01-01T00:00:00Z", "2026-09-21T10:00:00Z"),
        ("2026-09-21T10:00:00Z", "2026-09-21T14:03:20Z", "2026-09-21T10:10:00Z"),  # ten minutes slow
        ("2026-09-19T15:00:00Z", "2026-09-19T15:13:20Z", "2026-09-21T14:00:00Z"),  # two days slow, less an hour
    ],
)
async def test_a_correction_of_more_than_two_days_is_not_a_clocks(
    original: str, sent_at: str, stored: str, tmp_path: Path
) -> None:
    segment = {"userId": "u1", "event": "X", "messageId": "m1", "originalTimestamp": original, "sentAt": sent_at}
    posthog = {"event": "X", "distinct_id": "u1", "uuid": "m1", "timestamp": original}
    batch = {"api_key": "pk_dev_local", "batch": [posthog], "sent_at": sent_at}
    for number, (path, content) in enumerate((("/v1/track", segment), ("/batch/", batch))):
        status, events = await _post(tmp_path / str(number), path, content)
        assert status == 200
        assert events[0]["timestamp_ms"] == parse_iso(stored)


async def test_an_age_needs_no_clock(tmp_path: Path) -> None:
    batch = {
        "api_key": "pk_dev_local",
        "sent_at": "1970-01-01T00:00:00Z",
        "batch": [{"event": "X", "distinct_id": "u1", "uuid": "m1", "offset": 5000}],
    }
    _, events = await _post(tmp_path, "/batch/", batch)
    assert events[0]["timestamp_ms"] == NOW_MS - 5000


@pytest.mark.parametrize(("at", "warned"), [("1999-12-31T23:59:59Z", True), ("2000-01-01T00:00:00Z", False)])
async def test_an_event_from_before_2000_is_warned_of(at: str, warned: bool, tmp_path: Path) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        answer = await client.post("/v1/events", json={"type": "e", "user_id": "u", "timestamp": at}, headers=SECRET)
    assert ("2000-01-01" in str(answer.json().get("warnings"))) is warned


HALF = b'{"title":"hi \\ud83d","whole":"\\ud83d\\ude00","escaped":"\\\\ud83d"}'
WHOLE = {"title": "hi \ufffd", "whole": "\U0001f600", "escaped": "\\ud83d"}


async def test_half_an_emoji_becomes_the_replacement_character(tmp_path: Path) -> None:
    segment = b'{"batch":[{"type":"track","event":"a","userId":"u","messageId":"m0"},'
    segment += b'{"type":"track","event":"b","userId":"u","messageId":"m1","properties":' + HALF + b"}]}"
    posthog = b'{"api_key":"pk_dev_local","event":"b","distinct_id":"u","uuid":"m1","properties":' + HALF + b"}"
    form = b"data=" + base64.b64encode(posthog).replace(b"+", b"%2B")
    parcelvoy = b'[{"name":"b","external_id":"u","event_id":"m1","data":' + HALF + b"}]"
    altcraft = b'{"token":"sk_dev_local","db_id":1,"matching":"email","email":"a@b.c","data":' + HALF + b"}"
    for number, (path, content) in enumerate(
        (
            ("/v1/batch", segment),
            ("/e/", posthog),
            ("/capture/", form),
            ("/api/client/events", parcelvoy),
            ("/api/v1.1/profiles/import", altcraft),
        )
    ):
        key = SECRET if "v1.1" in path else PUBLIC
        status, events = await _post(tmp_path / str(number), path, content, key)
        assert status < 300, path
        assert orjson.loads(events[-1]["properties"]) == WHOLE, path


async def test_our_own_api_refuses_half_an_emoji_by_name(tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        content = b'{"type":"b","user_id":"u","properties":' + HALF + b"}"
        answer = await client.post("/v1/events", content=content, headers=SECRET | JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "properties.title"
    assert log.events == []


def test_half_an_emoji_in_json_within_xml_is_replaced() -> None:
    text = b"<xml><data json='true'>" + HALF.replace(b'"', b"&quot;") + b"</data></xml>"
    assert xml_codec.loads(text) == {"data": WHOLE}


@pytest.mark.parametrize(
    ("broken", "sound"),
    [
        (b'"\\udE00\\ud83d"', "\ufffd\ufffd"),
        (b'"\\ud83d\\ud83d\\ude00"', "\ufffd\U0001f600"),
        (b'"\\ud83d\\n"', "\ufffd\n"),
        (b'"\\\\\\ud83d"', "\\\ufffd"),
        (b'"\\uD83Dx"', "\ufffdx"),
        (b'"caf\xe9"', "caf\ufffd"),
        (b'"\xed\xa0\xbd!"', "\ufffd!"),
        (b'"\xed\xa0\xbd\xed\xb8\x80!"', "\U0001f600!"),
        (b'"\\ud7ff\\ue000\\u0041"', "\ud7ff\ue000A"),
    ],
)
def test_only_what_is_broken_is_replaced(broken: bytes, sound: str) -> None:
    assert orjson.loads(mended(broken)) == sound
    assert body.parse_mended(broken) == sound


@pytest.mark.parametrize("unit", [b"\\n", b"\\ud83d", b"\\ud83d\\ude00", b"\\", b"\xe9", b"x\\u12"])
def test_mending_is_linear_in_the_size(unit: bytes) -> None:
    def cost(size: int) -> float:
        value = NotJson(b'"' + unit * (size // len(unit)), "", "")
        start = time.process_time()
        mended(value.data)
        return time.process_time() - start

    small, large = (min(cost(size) for _ in range(3)) for size in (1_000_000, 4_000_000))
    assert large < 8 * small + 0.1
    assert large < 2.0


PHP = [
    ("/v1/track", {"userId": "u", "event": "Seen", "properties": [], "context": []}, PUBLIC),
    ("/v1/identify", {"userId": "u", "traits": []}, PUBLIC),
    ("/v1/batch", {"context": [], "batch": [{"type": "page", "userId": "u", "properties": []}]}, PUBLIC),
    ("/v1/group", {"userId": "u", "groupId": "g", "traits": []}, PUBLIC),
    ("/e/", {"api_key": "pk_dev_local", "event": "e", "distinct_id": "u", "properties": [], "$set": []}, {}),
    ("/api/client/events", [{"name": "x", "external_id": "u", "data": [], "user": []}], PUBLIC),
    ("/api/client/identify", {"external_id": "u", "data": []}, PUBLIC),
    ("/track", {"environment": "production", "event": "e", "distinct_id": "u", "properties": []}, PUBLIC),
    ("/identify", {"environment": "production", "distinct_id": "u", "traits": []}, PUBLIC),
    ("/api/v1.1/profiles/import", {"db_id": 1, "matching": "email", "email": "a@b.c", "data": []}, SECRET),
    ("/v1/events", {"type": "e", "user_id": "u", "properties": [], "context": []}, PUBLIC),
    ("/v1/events/batch", {"events": [{"type": "e", "user_id": "u", "properties": [], "context": []}]}, PUBLIC),
    ("/v1/contacts/batch", {"contacts": [{"external_id": "u", "attributes": [], "consents": []}]}, SECRET),
]


@pytest.mark.parametrize(("path", "content", "key"), PHP, ids=[path for path, _, _ in PHP])
async def test_phps_empty_array_is_an_empty_object(
    path: str, content: Any, key: dict[str, str], tmp_path: Path
) -> None:
    status, events = await _post(tmp_path, path, content, key)
    assert status < 300
    assert len(events) == 1
    filled = orjson.loads(orjson.dumps(content).replace(b":[]", b":[1]"))
    status, events = await _post(tmp_path / "filled", path, filled, key)
    assert events == []


async def test_an_event_that_names_its_user_updates_the_contact(tmp_path: Path) -> None:
    user = {"email": "u1@example.com", "phone": "+447700900123", "data": {"plan": "pro"}, "timezone": "Europe/Paris"}
    order = {"name": "order", "external_id": "u1", "distinct_id": "o-77", "data": {"total": 5}, "user": user}
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        for _ in range(2):
            answer = await client.post("/api/client/events", json=[order], headers=PUBLIC)
            assert answer.status_code == 204
    (event,) = log.events
    assert event["event_id"] == "o-77"
    assert [(i["type"], i["value"]) for i in event["identifiers"]] == [
        ("external_id", "u1"),
        ("email", "u1@example.com"),
        ("phone", "+447700900123"),
    ]
    assert orjson.loads(event["profile"]) == {"set": {"plan": "pro", "timezone": "Europe/Paris"}}
    assert orjson.loads(event["properties"]) == {"total": 5}


@pytest.mark.parametrize(("count", "status"), [(1001, 200), (10_000, 200), (10_001, 413)])
async def test_a_vendors_batch_is_bounded_by_bytes_and_ten_thousand(count: int, status: int, tmp_path: Path) -> None:
    call = b'{"type":"track","event":"e","userId":"u"}'
    content = b'{"batch":[' + b",".join([call] * count) + b"]}"
    result, events = await _post(tmp_path, "/v1/batch", content)
    assert result == status
    assert len(events) == (count if status == 200 else 0)


async def test_our_own_batch_is_bounded_by_a_thousand(tmp_path: Path) -> None:
    events = [{"type": "e", "user_id": "u"}] * 1001
    assert (await _post(tmp_path, "/v1/events/batch", events))[0] == 413
