"""What a container's probes are told of a process by its heartbeat and ready file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.health import problem

AT = 1_000.0
WELL = {"pid": 1, "asked_at": AT, "at": AT, "needs": {"kafka": {"state": "ok"}}}
AWAY = WELL | {"needs": {"kafka": {"state": "ok"}, "clickhouse": {"state": "away", "reason": "no answer"}}}


@pytest.mark.parametrize(
    ("beat", "is_ready", "after_s", "expected"),
    [
        (None, False, 0, ("it has said nothing yet", "it has said nothing yet")),
        (WELL, False, 1, ("", "it is starting")),
        (AWAY, False, 1, ("", "clickhouse: no answer")),
        (WELL, True, 19, ("", "")),
        (AWAY, True, 1, ("", "")),  # it waits for what is away; another pod would wait as well
        (WELL, True, 21, ("no sign of life for 21 s", "no sign of life for 21 s")),
    ],
)
def test_a_process_is_judged_by_its_files(
    tmp_path: Path, beat: dict[str, object] | None, is_ready: bool, after_s: float, expected: tuple[str, str]
) -> None:
    path = tmp_path / "identity.ready"
    if beat is not None:
        path.with_suffix(".json").write_text(json.dumps(beat))
    if is_ready:
        path.touch()
    assert problem(path, asks_ready=False, now=AT + after_s) == expected[0]
    assert problem(path, asks_ready=True, now=AT + after_s) == expected[1]


def test_the_command_ends_with_the_answer(tmp_path: Path) -> None:
    def status(ready_file: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.health"],
            env={**os.environ, "HEADWATER_READY_FILE": ready_file},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    assert status("") == (2, "set HEADWATER_READY_FILE to that of the process\n")
    assert status(str(tmp_path / "x.ready")) == (1, "it has said nothing yet\n")
    (tmp_path / "x.json").write_text(json.dumps(WELL | {"at": 1e11}))
    assert status(str(tmp_path / "x.ready")) == (0, "")
