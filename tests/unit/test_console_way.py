"""Lines of an event's way, from a trace as the API gives it."""

from typing import Any

import pytest

from schemas.api.answers.schemas import answer_schemas
from sinks.console.live import way
from sinks.console.live.way import way_of

PLACE = {"topic": "events", "partition": 1, "offset": 2, "index": 3}
DETAILS: dict[str, dict[str, Any]] = {
    "request": {"source": "segment", "key_id": "key_1", "task_id": None, "kind": "track"},
    "received": {},
    "resolved": {
        "contact_id": "cnt_2",
        "own_contact_id": "cnt_1",
        "identifiers": [],
        "because": {"event_id": "evt_0", "identifier": {"type": "email", "value": "a@b.example"}},
        "taught": [{}, {}],
    },
    "merged": {"from": "cnt_1", "into": "cnt_2"},
    "refused": {"type": "email", "value": "a@b.example", "reason": "too many"},
    "changed": {"change": "entered", "name": None, "segment_id": "seg_1", "reason": "event"},
    "consent": {"consent": "sms", "state": "given"},
    "stored": {"table": "events"},
    "repeated": {"conflict": True, "key_id": None},
    "delivered": {
        "webhook_id": "whk_1",
        "type": "x",
        "response_code": None,
        "error": "timed out",
        "duration_ms": 12,
        "attempt": 2,
    },
}


def test_every_step_that_a_trace_can_have_is_said() -> None:
    steps = answer_schemas()["EventStep"]["properties"]["step"]
    assert steps["enum"] == list(DETAILS) == list(way._TEXTS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("request", "track by segment, key key_1"),
        ("resolved", "cnt_2, as event evt_0 tied a@b.example to it; it taught 2 links"),
        ("changed", "entered seg_1: event"),
        ("repeated", "came again, with other content"),
        ("delivered", "x to whk_1: timed out in 12 ms, attempt 2"),
    ],
)
def test_a_step_says_what_was_decided(name: str, text: str) -> None:
    [trace_step] = way_of({"steps": [{"step": name, "at": None, "place": PLACE, "detail": DETAILS[name]}]})
    assert (trace_step.text, trace_step.place, trace_step.after_ms) == (text, "events/1/2/3", None)


def test_times_count_from_the_request_and_never_back() -> None:
    times = ("2026-01-01T00:00:01.000Z", None, "2026-01-01T00:00:01.250Z", "2026-01-01T00:00:00.900Z")
    steps = [
        {"step": name, "at": at, "place": None, "detail": DETAILS[name]}
        for name, at in zip(("request", "received", "resolved", "stored"), times, strict=True)
    ]
    assert [trace_step.after_ms for trace_step in way_of({"steps": steps})] == [0, None, 250, 0]
    assert way_of(None) == []
