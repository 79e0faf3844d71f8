"""What a process and its supervisor wrote down, and what is told of it: no state looks better than it is."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ingest.http import health
from schemas.control import control_state
from schemas.service import heartbeat, processes
from schemas.settings import Settings

NOW = 1_790_000_000.0
KNOWN: dict[str, Any] = {"pid": 7, "since": NOW - 100, "restarts": 0, "exits": [], "last_exit": "", "beats": True}
BEAT: dict[str, Any] = {"pid": 7, "asked_at": NOW - 1, "at": NOW - 1, "needs": {"kafka": {"state": "ok"}}}
AWAY = {"kafka": {"state": "away", "reason": "no answer within 1.5 s"}}


def state(listed: dict[str, Any], beat: dict[str, Any] | None, *, ready: bool = True) -> tuple[str, str]:
    judged = processes.judge("it", KNOWN | listed, beat, ready_at=NOW - 50 if ready else None, now=NOW)
    return judged.state, judged.reason


@pytest.mark.parametrize(
    ("listed", "beat", "ready", "expected", "reason"),
    [
        ({}, BEAT, True, "ok", ""),
        ({}, BEAT, False, "starting", ""),
        ({}, BEAT | {"needs": AWAY}, True, "waiting", "kafka: no answer within 1.5 s"),
        ({}, BEAT | {"needs": AWAY}, False, "waiting", "kafka: no answer within 1.5 s"),
        ({}, BEAT | {"at": NOW - 10}, True, "silent", "no sign of life for 10 s"),
        ({}, BEAT | {"pid": 6}, True, "silent", "it has said nothing yet"),
        ({"since": NOW - 1}, BEAT | {"pid": 6}, True, "starting", "it has said nothing yet"),
        ({"since": NOW - 1}, None, True, "starting", "it has said nothing yet"),
        ({"beats": False}, None, True, "ok", ""),
        ({"pid": None, "last_exit": "ended with status 70", "restarts": 1, "exits": [NOW]}, None, True, "restarting",
         "ended with status 70; waits to be started again"),
        ({"restarts": 1, "exits": [NOW - 1]}, BEAT, True, "ok", ""),
        ({"restarts": 2, "exits": [NOW - 99, NOW - 1]}, BEAT, True, "ok", ""),
        ({"restarts": 9, "exits": [NOW - 5, NOW - 1], "last_exit": "was killed by signal 9"}, BEAT, True, "restarting",
         "it ended 9 times: was killed by signal 9"),
    ],
)  # fmt: skip
def test_no_state_looks_better_than_it_is(
    listed: dict[str, Any], beat: dict[str, Any] | None, ready: bool, expected: str, reason: str
) -> None:
    assert state(listed, beat, ready=ready) == (expected, reason)


def test_what_a_beat_missed_before_the_process_got_ready_is_there() -> None:
    beat = BEAT | {"needs": AWAY}
    assert processes.judge("it", KNOWN, beat, ready_at=NOW - 0.5, now=NOW).state == "ok"
    assert processes.judge("it", KNOWN, beat, ready_at=NOW - 1.5, now=NOW).state == "waiting"


@pytest.mark.parametrize("content", ["", "{", "[]x", '{"pid"'])
def test_a_file_that_is_cut_short_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "it.json").write_text(content)
    assert heartbeat.read(tmp_path / "it.json") is None


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    heartbeat.write(tmp_path / "it.json", {"at": 1})
    (tmp_path / "it.partial").mkdir()
    (tmp_path / "it.partial" / "x").touch()
    heartbeat.write(tmp_path / "it.json", {"at": 2})
    assert heartbeat.read(tmp_path / "it.json") == {"at": 1}


async def test_a_need_that_hangs_or_fails_is_told_and_holds_nothing_up() -> None:
    async def fine() -> None: ...

    async def fails() -> None:
        raise OSError("no route")

    async def hangs() -> None:
        await asyncio.sleep(60)

    result = await heartbeat.states_of({"a": fine, "b": fails, "c": hangs}, 0.05)
    assert result == {
        "a": {"state": "ok"},
        "b": {"state": "away", "reason": "OSError: no route"},
        "c": {"state": "away", "reason": "no answer within 0.05 s"},
    }


def test_definitions_that_were_passed_over_are_told() -> None:
    state = control_state.ControlState()
    assert health.definitions(state) == {"state": "ok"}
    state.apply(b"poison", b"poison")
    assert health.definitions(state) == {"state": "ok", "reason": "1 records on control were not readable"}


def test_a_disk_that_fills_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert health.disk(tmp_path) == {"state": "ok"}
    monkeypatch.setattr(health, "LEAST_FREE", 1 << 62)
    assert health.disk(tmp_path)["state"] == "full"


async def test_a_process_without_a_supervisor_writes_nothing(tmp_path: Path) -> None:
    async with heartbeat.beating(Settings(home=tmp_path), {}):
        await asyncio.sleep(0)
    assert list(tmp_path.iterdir()) == []
