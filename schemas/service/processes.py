"""The files of the supervisor and of the processes on one machine in; the state of each process out.

``run/stack.json`` is the supervisor's: the processes that there should be, and how each ended last. ``run/<name>.json``
is a process's own (``heartbeat.py``), and ``run/<name>.sock`` answers with its metrics (``exposition.py``).
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.service import heartbeat

STACK_FILE = "stack.json"
SOCKET = ".sock"
"""Suffix of the socket at which a process answers with its metrics; beside its own file."""
METRICS_PATH = "/metrics"
SETTLED_S = 60.0
"""A process that ended twice within this time is shown as restarting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """``state``: ok, starting, waiting (for a dependency), restarting, silent or stopped."""

    name: str
    state: str
    reason: str = ""
    restarts: int = 0
    last_exit: str = ""
    needs: dict[str, Any] = field(default_factory=dict)


def states(run: Path, now: float | None = None) -> list[ProcessState]:
    """The state of each supervised process, in the order of their start; empty without a supervisor's file."""
    stack = heartbeat.read(run / STACK_FILE) or {}
    at = time.time() if now is None else now
    return [
        judge(name, state, heartbeat.read(run / f"{name}.json"), ready_at=_made(run / f"{name}.ready"), now=at)
        for name, state in stack.items()
    ]


def _made(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def judge(
    name: str, state: dict[str, Any], beat: dict[str, Any] | None, *, ready_at: float | None, now: float
) -> ProcessState:
    """``state`` is the supervisor's, ``beat`` the process's own; a beat of an earlier process counts for nothing.

    A beat that is older than ``ready_at`` may name needs that have been met since.
    """
    common = {"name": name, "restarts": state["restarts"], "last_exit": state["last_exit"]}
    if state["pid"] is None:
        return ProcessState(state="restarting", reason=f"{state['last_exit']}; waits to be started again", **common)
    if state["restarts"] > 1 and now - state["exits"][-2] < SETTLED_S:
        return ProcessState(
            state="restarting", reason=f"it ended {state['restarts']} times: {state['last_exit']}", **common
        )
    if not state["beats"]:
        return ProcessState(state="ok", **common)
    if beat is None or beat["pid"] != state["pid"]:
        late = now - state["since"] > heartbeat.SILENT_S * 4
        return ProcessState(state="silent" if late else "starting", reason="it has said nothing yet", **common)
    age = now - beat["at"]
    if age > heartbeat.SILENT_S:
        return ProcessState(state="silent", reason=f"no sign of life for {age:.0f} s", **common)
    away = [f"{name}: {need['reason']}" for name, need in beat["needs"].items() if need["state"] != "ok"]
    if away and (ready_at is None or beat["asked_at"] > ready_at):
        return ProcessState(state="waiting", reason="; ".join(away), needs=beat["needs"], **common)
    return ProcessState(state="starting" if ready_at is None else "ok", needs=beat["needs"], **common)
