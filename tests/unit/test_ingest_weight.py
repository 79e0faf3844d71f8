"""What a small body can say many times over: it costs no more than a large body that says it once."""

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.dialects.segment import MOST_COMMON
from ingest.events.batch import TURN_S
from ingest.events.canonical import MOST_IDENTIFIERS, Caller, canonical
from ingest.events.edge import SMALL_FIELDS
from ingest.events.raw import RawEvent
from ingest.receivers import ses
from schemas.control import static_segments
from schemas.errors import ApiError
from schemas.records.codec import encode_event
from schemas.records.records import TRACK
from tests.support.edge import NOW_MS, PUBLIC, SECRET, MemoryLog, client_of, memory_edge

JSON = {"Content-Type": "application/json"}
CALLER = Caller(workspace="w", environment="e", key_id="k", source="test", now_ms=NOW_MS, max_depth=32)


def _event(**fields: Any) -> RawEvent:
    return RawEvent(**{"kind": TRACK, "type": "x", "identifiers": [("external_id", "u1", "user_id")], **fields})


def _seconds(raw: RawEvent) -> float:
    start = time.process_time()
    canonical(raw, CALLER)
    return time.process_time() - start


@pytest.mark.parametrize("place", ["set", "set_once"])
def test_names_of_lists_cost_linear_time_and_one_warning(place: str) -> None:
    def named(n: int) -> RawEvent:
        attributes = {"plan": "pro"} | {static_segments.attribute_of(f"seg_{i}"): True for i in range(n)}
        return _event(profile={place: attributes})

    assert min(_seconds(named(50_000)) for _ in range(3)) < 1.0
    raw = named(50_000)
    event, warnings = canonical(raw, CALLER)
    assert orjson.loads(event["profile"]) == {place: {"plan": "pro"}}
    assert warnings == ["ignored_attribute: $list:seg_0 (and 49999 more) is a segment's list and was ignored"]
    assert canonical(named(1), CALLER)[1] == ["ignored_attribute: $list:seg_0 is a segment's list and was ignored"]


def test_an_event_has_a_bounded_number_of_identifiers() -> None:
    phones = [("phone", f"+4917{10_000_000 + i}", f"phones[{i}]") for i in range(300_000)]
    assert len(canonical(_event(identifiers=phones[:MOST_IDENTIFIERS]), CALLER)[0]["identifiers"]) == MOST_IDENTIFIERS
    with pytest.raises(ApiError, match="identifiers") as refused:
        canonical(_event(identifiers=phones), CALLER)
    assert refused.value.param == f"phones[{MOST_IDENTIFIERS}]"


def test_an_event_that_fits_beforehand_fits_when_it_is_sent(tmp_path: Path) -> None:
    edge = memory_edge(tmp_path, MemoryLog())
    many = [("anonymous_id", f"{i:03}" + "\N{PILE OF POO}" * 100, f"ids[{i}]") for i in range(MOST_IDENTIFIERS)]
    event = canonical(_event(identifiers=many), CALLER)[0]
    room = edge.settings.max_event_bytes - len(encode_event(event))
    event["properties"] = b"x" * (room + 1)
    assert len(encode_event(event)) > edge.settings.max_event_bytes
    with pytest.raises(ApiError, match="larger than"):
        edge.check_size(event, "events[1]")
    event["properties"] = b"x" * (room - SMALL_FIELDS)
    edge.check_size(event, "events[1]")


async def test_a_profile_with_thousands_of_phones_is_refused_by_name(tmp_path: Path) -> None:
    log = MemoryLog()
    body = {"email": "a@b.co", "data": {"phones": [f"+4917{10_000_000 + i}" for i in range(5_000)]}}
    async with client_of(memory_edge(tmp_path, log)) as client:
        answer = await client.post("/api/v1.1/profiles/import", json=body, headers=SECRET)
    assert answer.json()["error"] == 450, answer.text
    assert f"data.phones[{MOST_IDENTIFIERS - 1}]" in answer.json()["error_text"]
    assert not log.events


@pytest.mark.parametrize(
    "context", [{"a": "x" * 100_000}, {str(i): 1 for i in range(20_000)}], ids=["one value", "many names"]
)
@pytest.mark.parametrize("path", ["/v1/batch", "/v1/import", "/v1/b", "/beacon/v1/batch", "/api/s/batch"])
async def test_a_batchs_context_weighs_as_if_each_call_carried_it(tmp_path: Path, path: str, context: Any) -> None:
    log = MemoryLog()
    calls = [{"type": "track", "event": "e", "userId": "u1", "messageId": f"m{i}"} for i in range(500)]
    fits = calls[: MOST_COMMON // len(orjson.dumps(context))]
    async with client_of(memory_edge(tmp_path, log)) as client:
        refused = await client.post(path, json={"context": context, "batch": calls}, headers=PUBLIC)
        assert (refused.status_code, refused.json()["param"]) == (413, "context"), refused.text
        assert not log.events
        taken = await client.post(path, json={"context": context, "batch": fits}, headers=PUBLIC)
    assert taken.status_code == 200, taken.text
    assert [orjson.loads(event["context"]) for event in log.events] == [context] * len(fits)


def test_a_notification_about_thousands_is_refused() -> None:
    def told(emails: Any) -> list[RawEvent]:
        mail = {"messageId": "m", "destination": emails}
        notification = orjson.dumps({"eventType": "Send", "mail": mail, "send": {}}).decode()
        return ses.events({"Type": "Notification", "MessageId": "1", "Message": notification})

    assert len(told([f"u{i}@b.co" for i in range(ses.MOST_RECIPIENTS)])) == ses.MOST_RECIPIENTS
    assert len(told(5)) == len(told("a@b.co")) == len(told({"a": 1})) == 1
    with pytest.raises(ApiError, match="recipients"):
        told([f"u{i}@b.co" for i in range(10_000)])


async def test_a_batch_of_dear_events_leaves_others_their_turns(tmp_path: Path) -> None:
    """Addresses in other scripts cost a hundred times what others do."""
    label = "\u0628\u0629" * 10
    calls = [
        {"type": "identify", "userId": f"u{i}", "traits": {"email": f"{i}é@{'.'.join([f'{label}{i}'] * 8)}.de"}}
        for i in range(1_000)
    ]
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            start = time.process_time()
            await asyncio.sleep(0)
            longest = max(longest, time.process_time() - start)

    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        body = orjson.dumps({"batch": calls})
        watching = asyncio.create_task(watch())
        start = time.process_time()
        answer = await client.post("/v1/batch", content=body, headers=PUBLIC | JSON)
        took = time.process_time() - start
        watching.cancel()
    assert answer.status_code == 200, answer.text
    assert longest < max(took / 4, 10 * TURN_S)
