"""Copies of events in the live view, records without a row, and a viewer's missed rows: pure."""

import secrets
from pathlib import Path
from types import SimpleNamespace

import pytest

from schemas.records import codec
from schemas.records.records import Event
from schemas.settings import Settings
from sinks.console.live.board import LiveBoard
from sinks.console.live.event_ids import EventIds
from sinks.console.live.feed import BUDGET_S, LiveFeed
from sinks.console.live.filters import filter_of
from sinks.console.live.rows import LiveRow, of_event
from sinks.console.live.viewer import AT_ONCE, LiveViewer
from tests.unit.test_console_rows import NOW, row, sent, viewer


def copies(*, repeat: int, place: int) -> tuple[LiveRow, Event]:
    """Returns an event as read from `events` at this offset, and its resolved form."""
    resolved: Event = {**sent(1), "origin_partition": 3, "origin_offset": place, "origin_index": 0, "repeat": repeat}
    return of_event(sent(1), place, NOW + 5, past=False, origin=(3, place, 0)), resolved


def test_a_copy_of_an_event_has_a_row_of_its_own_and_is_done_when_it_is_known_as_one() -> None:
    board, seer, picky = LiveBoard(), viewer(), viewer(filter=filter_of({"status": "duplicate"}))
    board.viewers += [seer, picky]
    for place, repeat in ((1, 0), (1, 0), (2, 1), (3, 2)):
        added, resolved = copies(repeat=repeat, place=place)
        board.add(added, NOW)
        board.resolved(resolved, 0, place, NOW + 9)
    rows, _ = seer.take()
    assert [row.state for row in rows] == ["ok", "duplicate", "duplicate"]
    assert [row.is_conflict for row in rows] == [False, False, True]
    assert [row.is_done for row in rows] == [False, True, True]
    assert picky.take() == (rows[1:], 0)
    assert len(board.pending) == 1
    assert board.incomplete().are_in(b"evt_1")
    assert not board.incomplete().are_in(b"evt_2")


def test_of_a_copy_whose_first_is_long_gone_a_viewer_of_duplicates_has_one_row() -> None:
    board, picky = LiveBoard(), viewer(filter=filter_of({"status": "duplicate"}))
    board.viewers.append(picky)
    added, resolved = copies(repeat=1, place=8)
    for _ in range(2):
        board.add(added, NOW)
        board.resolved(resolved, 0, 4, NOW + 9)
    rows, hidden = picky.take()
    assert ([row.state for row in rows], hidden, board.pending) == (["duplicate"], 0, {})
    assert picky.filter.takes(rows[0])
    assert board.row(rows[0].id) is rows[0]


@pytest.mark.parametrize("home", [("w", "other"), ("other", "e")])
def test_copies_of_other_tenants_take_no_place_from_the_rows_of_a_viewer(home: tuple[str, str]) -> None:
    board, picky = LiveBoard(), viewer(filter=filter_of({"status": "duplicate"}))
    board.viewers.append(picky)
    for place in range(9):
        _, resolved = copies(repeat=1, place=place)
        board.resolved({**resolved, "workspace": home[0], "environment": home[1]}, 0, place, NOW)
    assert (board.since(0), picky.take()) == ([], ([], 0))


@pytest.mark.parametrize(("spent_s", "shown"), [(0.0, 1), (BUDGET_S / 3, 1), (BUDGET_S / 2, 0), (BUDGET_S, 0)])
def test_looking_for_copies_has_half_of_the_time_and_is_counted(tmp_path: Path, spent_s: float, shown: int) -> None:
    feed = LiveFeed(Settings(home=tmp_path))
    feed.board.viewers.append(viewer(filter=filter_of({"status": "duplicate"})))
    _, resolved = copies(repeat=1, place=8)
    value = codec.encode_events([resolved])
    feed._spent_s = spent_s
    feed._resolved(SimpleNamespace(topic="resolved", partition=0, offset=4, value=value, timestamp=NOW))
    assert (len(feed.board.since(0)), feed._skipped) == (shown, 1 - shown)


def test_another_event_with_the_same_id_is_no_copy() -> None:
    board, seer = LiveBoard(), viewer()
    board.viewers.append(seer)
    for place in (1, 2):
        added, resolved = copies(repeat=0, place=place)
        board.add(added, NOW)
        board.resolved(resolved, 2, place, NOW + 9)
    board.committed({2: 3}, {2: 3}, NOW + 20)
    assert [(item.state, item.is_done) for item in seer.take()[0]] == [("ok", True), ("ok", True)]


def test_a_viewer_that_comes_back_is_told_what_came_for_it_meanwhile(tmp_path: Path) -> None:
    feed, before = LiveFeed(Settings(home=tmp_path)), viewer(came_ms=NOW - 60_000, left_ms=NOW)
    feed.board.viewers.append(before)
    for number in range(AT_ONCE + 7):
        feed.board.add(row(number), NOW)
    again = viewer()
    again.follow_up(feed._earlier(again, NOW - 1000))
    assert (again.hidden, again.has_gap) == (7, False)
    for strange in (viewer(filter=filter_of({"type": "a"})), LiveViewer("w", "other")):
        strange.follow_up(feed._earlier(strange, NOW - 1000))
        assert (strange.hidden, strange.has_gap) == (0, True)
    again.follow_up(feed._earlier(again, NOW - 70_000))
    assert again.has_gap


def test_a_record_is_looked_at_where_it_names_an_event() -> None:
    made = f"evt_{secrets.token_hex(16)}"
    ids = EventIds([made, "mine", "ü\ud800"])
    for named in (made.encode(), b"mine", "ü\ud800".encode("utf-8", "surrogatepass")):
        assert ids.are_in(b"\x00evt_" + b"0" * 32 + named + b"\xff")
    assert not ids.are_in(b"\x00evt_" + b"0" * 32 + made.encode()[:-1])
    assert not EventIds([]).are_in(b"evt_1")


def test_many_events_are_counted_without_a_look_at_each() -> None:
    board, full, picky = LiveBoard(), viewer(), viewer(filter=filter_of({"q": "x"}))
    elsewhere, stranger = LiveViewer("w", "other"), LiveViewer("v", "e")
    board.viewers += [full, elsewhere, stranger]
    for number in range(1000):
        if not board.passes_over("w", "e", NOW, NOW):
            board.add(row(number), NOW)
    assert (len(board.pending), full.hidden) == (AT_ONCE, 1000 - AT_ONCE)
    assert (elsewhere.elsewhere, stranger.elsewhere, board.seen["w", "e"]) == (1000, 0, 1000)
    board.viewers.append(picky)
    assert not board.passes_over("w", "e", NOW, NOW), "it may match"
