"""A home in; the state and pending dependencies of each of its processes, as lines of text, and a verdict, out."""

import datetime as dt
import json
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import psutil

from deploy.local.figures import Figures, figures_of
from deploy.local.home import SUPERVISOR, StackHome
from deploy.local.stack import address
from schemas.service.processes import ProcessState, states
from schemas.settings import Settings

FINE = "ok"
PASSING = ("behind", "recovering", "holding", "unbalanced")
"""States of a running process; faults only if its figures say so."""
WITHIN_S = 3.0


def status(settings: Settings, home: StackHome) -> tuple[list[str], bool]:
    """The lines, and whether all is well."""
    lives = home.processes()
    figures = figures_of(home.run)
    every = [_with(figures.get(state.name), _seen(state, lives.get(state.name))) for state in states(home.run)]
    is_up = home.is_locked() and home.ready_file(SUPERVISOR).exists()
    health: dict[str, Any] = {"status": "not running", "components": {}}
    if is_up:
        health = _health(settings)
    lines = [_line(process, lives.get(process.name)) for process in every]
    for name, component in health.get("components", {}).items():
        if component["state"] != FINE and name not in {process.name for process in every if process.state != FINE}:
            lines.append(f"{name:<18} {component['state']}: {component.get('reason', '')}")
    lines.append(f"{'disk':<18} {shutil.disk_usage(home.path).free // 1_000_000:,} MB free in {home.path}")
    faulty = {name for name, figure in figures.items() if figure.is_fault}
    well = is_up and health["status"] == "ready"
    well &= all(process.state in (FINE, *PASSING) and process.name not in faulty for process in every)
    lines.append("ready" if well else f"not ready: {health['status']}" if is_up else "not ready")
    return lines, well


def _seen(state: ProcessState, process: psutil.Process | None) -> ProcessState:
    """The kernel's state of a process overrides its last heartbeat."""
    if process is None:
        return state if state.state == "restarting" else replace(state, state="gone", reason="no such process")
    try:
        stopped = process.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return replace(state, state="gone", reason="no such process")
    return replace(state, state="stopped", reason="a signal has stopped it") if stopped else state


def _with(figures: Figures | None, state: ProcessState) -> ProcessState:
    """The state of a running process, with its figures."""
    if figures is None or not figures.state or state.state != FINE:
        return state
    return replace(state, state=figures.state, reason=figures.reason)


def _line(state: ProcessState, process: psutil.Process | None) -> str:
    shown = f"{state.name:<18} {'-':<40}"
    if process is not None:
        try:
            memory, since = process.memory_info().rss // 1_000_000, time.time() - process.create_time()
            shown = (
                f"{state.name:<18} pid {process.pid:<8} {memory:>5} MB   for {dt.timedelta(seconds=int(since))!s:<15}"
            )
        except psutil.Error:
            pass
    why = f": {state.reason}" if state.reason else ""
    ended = f"   (restarts {state.restarts}; last {state.last_exit})" if state.restarts else ""
    return f"{shown} {state.state}{why}{ended}"


def _health(settings: Settings) -> dict[str, Any]:
    """The public port's own answer."""
    try:
        with urllib.request.urlopen(f"{address(settings)}/health/ready", timeout=WITHIN_S) as answer:  # noqa: S310 - ours
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        with error:
            return dict(json.loads(error.read()))
    except (OSError, ValueError) as error:
        return {"status": f"{address(settings)} does not answer: {error}"}
