"""An id that comes again at one edge: alone, in a batch, with another type, sender or content."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest.events.ack_cache import MOST_OF_AN_ID, EventAckCache
from ingest.events.edge import Edge
from schemas.records.records import Event
from tests.support.builders import cid, event
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

ORDER = {"type": "order", "user_id": "a", "event_id": "3001"}
ROOM = 800
"""Bytes that hold one event of ``event_id`` and type as they are here."""
ANOTHER = "event_id_conflict: another event has this event_id; both count"
OTHER = "event_id_conflict: this event came before with other content, which counts"


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def client(tmp_path: Path, log: MemoryLog) -> AsyncIterator[httpx.AsyncClient]:
    edge: Edge = memory_edge(tmp_path, log)
    async with client_of(edge) as connected:
        yield connected
    edge.idempotency.close()


async def post(client: httpx.AsyncClient, body: Any, path: str = "/v1/events") -> dict[str, Any]:
    answer = await client.post(path, json=body, headers=SECRET)
    assert answer.status_code == 202, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


@pytest.mark.parametrize("more", [{"type": "invoice"}, {"user_id": "b"}, {"type": "invoice", "user_id": "b"}])
async def test_an_id_with_another_type_or_sender_is_taken_and_said(
    client: httpx.AsyncClient, log: MemoryLog, more: dict[str, Any]
) -> None:
    first = await post(client, ORDER)
    second = await post(client, ORDER | more)
    assert "warnings" not in first
    assert second["warnings"] == [ANOTHER]
    assert second["contact_id"] == cid(f"external_id:{more.get('user_id', 'a')}")
    assert [(e["type"], e["event_id"]) for e in log.events] == [("order", "3001"), (more.get("type", "order"), "3001")]
    assert "warnings" not in await post(client, ORDER), "a repeat of the first is that"
    assert len(log.events) == 2


async def test_in_one_batch_it_makes_no_difference(client: httpx.AsyncClient, log: MemoryLog) -> None:
    events = [ORDER, ORDER | {"type": "invoice", "user_id": "b"}, {"type": "seen", "user_id": "a"}]
    answer = await post(client, events, "/v1/events/batch")
    assert [result.get("warnings") for result in answer["results"]] == [None, [ANOTHER], None]
    assert [result["contact_id"] for result in answer["results"]] == [cid(f"external_id:{u}") for u in "aba"]
    assert [e["type"] for e in log.events] == ["order", "invoice", "seen"]


async def test_other_content_is_answered_as_the_first_and_said(client: httpx.AsyncClient, log: MemoryLog) -> None:
    first = await post(client, ORDER | {"properties": {"total": 1}})
    again = await post(client, ORDER | {"properties": {"total": 1}})
    other = await post(client, ORDER | {"properties": {"total": 2}})
    assert again == first
    assert other == first | {"warnings": [OTHER]}
    assert len(log.events) == 1


async def test_an_event_without_an_id_of_the_client_is_never_compared(
    client: httpx.AsyncClient, log: MemoryLog
) -> None:
    answers = [await post(client, {"type": "order", "user_id": "a"}) for _ in range(2)]
    assert all("warnings" not in answer for answer in answers)
    assert len(log.events) == 2


def test_of_one_id_only_a_few_events_are_remembered() -> None:
    recent = EventAckCache()
    some: list[Event] = [event("external_id:u1", type=f"t{n}") for n in range(MOST_OF_AN_ID + 5)]
    for event_sent in some:
        recent.put(event_sent, event_sent["contact_id"])
    assert [recent.get(event_sent) is not None for event_sent in some] == [True] * MOST_OF_AN_ID + [False] * 5
    assert recent.put(some[-1], "") == ANOTHER


def test_the_oldest_ids_are_forgotten() -> None:
    recent = EventAckCache(2 * ROOM)
    some = [event("external_id:u1", event_id=f"e{n}") for n in range(3)]
    assert [recent.put(event_sent, "") for event_sent in some] == ["", "", ""]
    assert [recent.get(event_sent) is not None for event_sent in some] == [False, True, True]
