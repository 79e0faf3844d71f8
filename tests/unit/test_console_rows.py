"""The live view's rows, filters and viewers, and what the edge tells of refused requests: pure, bounded, no secrets."""

from pathlib import Path
from typing import Any

import pytest

from ingest.http.refusals import MOST_A_SECOND, MOST_IN_ALL, RefusalLog
from schemas.errors import ApiError
from schemas.records.records import Change, Event, Quarantined
from schemas.service.web import HEADERS
from sinks.console.live.board import LiveBoard
from sinks.console.live.detail import again, body_of, curl_of, sql_of
from sinks.console.live.filters import filter_of
from sinks.console.live.rows import LiveRow, of_event, of_quarantined, of_refusal
from sinks.console.live.viewer import AT_ONCE, MOST_FOLLOWED, MOST_WAITING, LiveViewer
from tests.support.builders import event
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

NOW = 1_790_000_000_000


def sent(number: int, **changes: Any) -> Event:
    made = event(f"external_id:u{number}", event_id=f"evt_{number}", received_ms=NOW, **changes)
    return {**made, "workspace": "w", "environment": "e"}


def row(number: int, **changes: Any) -> LiveRow:
    return of_event(sent(number, **changes), number, NOW + 5, past=False)


def viewer(**changes: object) -> LiveViewer:
    return LiveViewer(workspace="w", environment="e", **changes)  # type: ignore[arg-type]  # tests name real fields


def test_one_row_fills_in_place_from_stage_to_stage() -> None:
    board, seer = LiveBoard(), viewer()
    board.viewers.append(seer)
    board.add(row(1), NOW + 5)
    (shown,), hidden = seer.take()
    assert (hidden, shown.accepted_ms, shown.is_done) == (0, 5, False)
    board.resolved(sent(1), 2, 40, NOW + 30)
    change = Change(workspace="w", environment="e", contact_id="c", kind="membership", version=1, at_ms=NOW)
    board.changed({**change, "event_id": "evt_1", "segment_id": "seg_1", "member": True}, NOW + 60)
    board.committed({2: 40}, {2: 40}, NOW + 70)
    assert not shown.judged
    assert not shown.stored
    board.committed({2: 41}, {2: 41}, NOW + 90)
    assert (shown.resolved_ms, shown.judged_ms, shown.stored_ms) == (30, 60, 90)
    assert shown.segments == [("seg_1", True)]
    assert seer.take() == ([shown], 0)
    late = {**change, "event_id": "evt_1", "segment_id": "seg_2", "member": False}
    board.changed(late, NOW + 200)  # type: ignore[arg-type]  # a change with more fields
    assert seer.take() == ([shown], 0)
    board.committed({}, {}, NOW + 10_000)
    assert board.pending == {}


def test_a_time_is_that_of_the_record_although_it_is_read_later() -> None:
    board, seer = LiveBoard(), viewer()
    board.viewers.append(seer)
    board.resolved(sent(1), 2, 40, NOW + 200, written_ms=NOW + 12)  # read before its event
    board.add(row(1), NOW + 210)
    change = Change(workspace="w", environment="e", contact_id="c", kind="membership", version=1, at_ms=NOW)
    board.changed({**change, "event_id": "evt_1", "segment_id": "seg_1", "member": True}, NOW + 230, NOW + 31)
    (shown,), _ = seer.take()
    assert (shown.resolved_ms, shown.judged_ms) == (12, 31)
    assert shown.touched_ms == NOW + 230, "what a viewer missed follows from the time of reading"


def test_of_what_was_there_before_the_newest_are_shown() -> None:
    seer = viewer()
    for number in range(3000):
        assert seer.offer(of_event(sent(number), number, NOW, past=True), NOW)
    rows, hidden = seer.take()
    assert hidden == 0
    assert len(rows) <= 2 * MOST_WAITING
    assert max(rows, key=lambda row: row.place).event_id == "evt_2999"


def test_rows_of_before_do_not_crowd_out_the_newest_and_are_counted() -> None:
    seer = viewer(came_ms=NOW + 10_000, since_ms=NOW)
    for number in range(500):
        assert seer.offer(of_event(sent(number), number, NOW, past=False), NOW + 10_000)
    rows, hidden = seer.take()
    assert len(rows) + hidden == 500
    assert max(rows, key=lambda row: row.place).event_id == "evt_499"


def test_what_a_stage_says_before_the_event_is_seen_waits_for_it() -> None:
    board, seer = LiveBoard(), viewer()
    board.viewers.append(seer)
    board.resolved(sent(1), 0, 7, NOW)
    board.add(row(1), NOW)
    assert board.pending["w", "e", "evt_1"].resolved == (0, 7)


def test_a_row_is_shown_to_its_workspace_and_environment_alone() -> None:
    others = [LiveViewer("v", "e"), LiveViewer("w", "f"), LiveViewer("v", "e", sees_strangers=True)]
    assert [other.offer(row(1), NOW) for other in others] == [False] * 3
    lost = Quarantined(
        topic="t",
        partition=0,
        offset=1,
        index=-1,
        workspace="",
        event_id="",
        reason="r",
        detail="d",
        at_ms=NOW,
        key=b"",
        payload=b"",
    )
    stranger = of_quarantined(lost, 1, NOW)
    assert [other.offer(stranger, NOW) for other in (*others, viewer())] == [False, False, True, False]


def test_a_viewer_is_sent_so_much_and_told_of_the_rest() -> None:
    seer = viewer()
    taken = [seer.offer(row(n), NOW) for n in range(1000)]
    assert sum(taken) == AT_ONCE
    rows, hidden = seer.take()
    assert (len(rows), hidden) == (AT_ONCE, 1000 - AT_ONCE)
    assert not seer.offer(row(2000), NOW)
    assert seer.offer(row(2001), NOW + 1000)
    assert len(seer._followed) <= MOST_FOLLOWED


@pytest.mark.parametrize(
    ("query", "takes"),
    [
        ({}, True),
        ({"type": "ORDER"}, True),
        ({"type": "order2"}, False),
        ({"contact": "U1"}, True),
        ({"contact": "external_id:u1"}, True),
        ({"contact": "u"}, False),
        ({"q": "blue"}, True),
        ({"q": "green"}, False),
        ({"status": "ok"}, True),
        ({"status": "refused"}, False),
        ({"source": "posthog"}, False),
        ({"key": "key_"}, True),
        ({"key": "key_2"}, False),
        ({"status": "duplicate"}, False),
    ],
)
def test_a_filter_is_the_and_of_its_parts(query: dict[str, str], takes: bool) -> None:
    made_row = row(1, type="order", properties={"colour": "Blue"}, key_id="key_1")
    assert filter_of(query).takes(made_row) is takes


@pytest.mark.parametrize("query", [{"status": "odd"}, {"q": "x" * 201}, {"key": "sk_live_5ecret5ecret"}])
def test_a_filter_that_is_none_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ApiError, match=r"one of|at most|by its id"):
        filter_of(query)


def test_an_event_becomes_a_call_and_a_query_that_no_value_breaks_out_of() -> None:
    stored: dict[str, Any] = {
        "event_id": "evt_'1\\",
        "type": "it's",
        "timestamp": "2026-01-01T00:00:00Z",
        "properties": {"a": "'; rm -rf /"},
        "contact_id": "cnt_1",
        "identifiers": [{"type": "external_id", "value": "u1"}, {"type": "id", "value": "x"}],
    }
    assert body_of(stored)["external_id"] == "u1"
    assert "timestamp" not in again(stored)
    assert "'\"'\"'; rm -rf /" in curl_of("http://h", "sk_1", stored)
    assert "event_id = 'evt_\\'1\\\\'" in sql_of("w", "e", stored["event_id"])


def scope(path: str = "/v1/events", key: bytes = b"Bearer sk_live_secret", query: bytes = b"") -> dict[str, object]:
    return {"method": "POST", "path": path, "query_string": query, HEADERS: {b"authorization": key}}


def test_refusals_are_bounded_and_say_what_they_leave_out() -> None:
    now = [NOW]
    log = RefusalLog(lambda: now[0])
    for _ in range(10_000):
        log.note(scope(), "altacee", ApiError("invalid_key", "m" * 9000, "p" * 900), "req_1")
    assert len(log._waiting) == MOST_A_SECOND <= MOST_IN_ALL
    now[0] += 1000
    log.note(scope(), "altacee", ApiError("invalid_key", "m"), "req_2")
    record = log._waiting[-1]
    assert record["untold"] == 10_000 - MOST_A_SECOND
    assert (record["key"], record["status"]) == ("sk_live_", 401)
    assert len(log._waiting[0]["message"]) == 500


def test_a_refusal_tells_no_secret() -> None:
    log = RefusalLog(lambda: NOW)
    log.note(scope(key=b"Bearer hunter2hunter2", query=b"token=abc"), "", ApiError("not_found", "m"), "req_1")
    log.note_other(scope("/console/keys"), ApiError("not_found", "m"))
    (record,) = log._waiting
    assert record["key"] == "hunt"
    assert "abc" not in str(record)


async def test_refused_items_of_an_accepted_request_are_told_with_their_environment(tmp_path: Path) -> None:
    edge = memory_edge(tmp_path, MemoryLog())
    async with client_of(edge) as client:
        good, late = {"type": "a", "user_id": "u"}, {"type": "b", "user_id": "u", "timestamp": "soon"}
        for body in ([good, good], [good, late, {"user_id": "u"}, good]):
            answer = await client.post("/v1/events/batch", json=body, headers=SECRET)
            assert answer.status_code in {202, 207}, answer.text
        await client.post(
            "/v1/batch", json={"batch": [{"type": "track", "event": "c", "userId": "u"}, 7]}, headers=SECRET
        )
        await client.post("/v1/events", json=late, headers=SECRET)
    records = list(edge.refusals._waiting)
    items = [record for record in records if record["item"]]
    assert [(row["param"], row["type"], row["taken"]) for row in items[:2]] == [
        ("events[1].timestamp", "b", 2),
        ("events[2].type", "", 2),
    ]
    assert {row["source"] for row in items} == {"altacee", "segment"}
    assert {(row["workspace"], row["environment"]) for row in items} == {("local", "production")}
    assert all(row["key"] == "sk_dev_l" and row["status"] == 422 and row["request_id"] for row in items)
    (whole,) = [record for record in records if not record["item"]]
    assert (whole["param"], whole["environment"]) == ("timestamp", "")
    row = of_refusal(items[0], 1, NOW)
    assert (row.kind, row.item, row.environment) == ("refused", True, "production")
    assert filter_of({"type": "B", "status": "refused"}).takes(row)
    assert not LiveViewer("local", "staging").offer(row, NOW)
