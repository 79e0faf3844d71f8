"""An event from the future: taken as it is, and its sender told when it will count."""

from pathlib import Path
from typing import Any

import pytest

from ingest.events.event_time import MAX_SKEW_MS
from schemas.times import iso
from tests.support.edge import NOW_MS, SECRET, MemoryLog, client_of, memory_edge


def _event(at_ms: int) -> dict[str, Any]:
    return {"type": "booked", "user_id": "u1", "timestamp": at_ms}


async def _answers(home: Path, path: str, body: Any) -> tuple[dict[str, Any], MemoryLog]:
    log = MemoryLog()
    async with client_of(memory_edge(home, log)) as client:
        answer = await client.post(path, json=body, headers=SECRET)
    assert answer.status_code == 202, answer.text
    reply: dict[str, Any] = answer.json()
    return reply, log


async def test_the_answer_says_from_when_it_counts(tmp_path: Path) -> None:
    at_ms = NOW_MS + 3_600_000
    answer, log = await _answers(tmp_path, "/v1/events", _event(at_ms))
    (warning,) = answer["warnings"]
    assert iso(at_ms) in warning
    assert [event["timestamp_ms"] for event in log.events] == [at_ms]


@pytest.mark.parametrize("at_ms", [NOW_MS - 3_600_000, NOW_MS, NOW_MS + MAX_SKEW_MS])
async def test_a_clock_that_is_a_little_ahead_is_none_of_our_business(tmp_path: Path, at_ms: int) -> None:
    answer, _ = await _answers(tmp_path, "/v1/events", _event(at_ms))
    assert "warnings" not in answer


async def test_in_a_batch_only_the_one_concerned_is_warned_of(tmp_path: Path) -> None:
    body = [_event(NOW_MS), _event(NOW_MS + MAX_SKEW_MS + 1), _event(NOW_MS)]
    answer, log = await _answers(tmp_path, "/v1/events/batch", body)
    assert ["warnings" in result for result in answer["results"]] == [False, True, False]
    assert len(log.events) == len(body)
