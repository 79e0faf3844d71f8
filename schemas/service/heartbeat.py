"""Checks of a process's dependencies in; a heartbeat file with their state every other second, for a supervisor, out.

The file lies beside the ready file that the supervisor names. An old file means that the process hangs.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from schemas.errors import ApiError
from schemas.settings import Settings

PAUSE_S = 1.5
STARTING_PAUSE_S = 0.3
PATIENCE_S = 1.5
SILENT_S = 4.5
"""A healthy process writes every 3 s at most."""

Check = Callable[[], Awaitable[None]]
"""Returns where it is well; raises, or does not return, where it is not."""


async def state_of(check: Check, patience_s: float = PATIENCE_S) -> dict[str, str]:
    """``{"state": "ok"}``, or ``away`` with the reason; never raises, and takes no longer than ``patience_s``."""
    try:
        async with asyncio.timeout(patience_s):
            await check()
    except TimeoutError:
        return {"state": "away", "reason": f"no answer within {patience_s:g} s"}
    except ApiError as refused:
        return {"state": "away", "reason": refused.message}
    except Exception as error:  # noqa: BLE001 - any exception is the reason that is reported
        return {"state": "away", "reason": f"{type(error).__name__}: {error}"[:200]}
    return {"state": "ok"}


async def states_of(checks: Mapping[str, Check], patience_s: float = PATIENCE_S) -> dict[str, dict[str, str]]:
    """Runs all checks at the same time; returns their states by name."""
    states = await asyncio.gather(*(state_of(check, patience_s) for check in checks.values()))
    return dict(zip(checks, states, strict=True))


@asynccontextmanager
async def beating(settings: Settings, checks: Mapping[str, Check]) -> AsyncIterator[None]:
    """Beat while the block runs, where there is a supervisor that reads it; the process gets ready within."""
    if not settings.ready_file:
        yield
        return
    _remove(Path(settings.ready_file))  # of an earlier process, in a container that started again
    beat = asyncio.create_task(_beat(Path(settings.ready_file).with_suffix(".json"), checks), name="heartbeat")
    try:
        yield
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _beat(path: Path, checks: Mapping[str, Check]) -> None:
    has_been_well = False
    while True:
        asked_at = time.time()
        needs = await states_of(checks)
        write(path, {"pid": os.getpid(), "asked_at": asked_at, "at": time.time(), "needs": needs})
        has_been_well |= all(need["state"] == "ok" for need in needs.values())
        await asyncio.sleep(PAUSE_S if has_been_well else STARTING_PAUSE_S)


def write(path: Path, value: Any) -> None:
    """Replaces the file atomically; on a full disk the old file stays, and its age shows the failure."""
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(value))
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()


def read(path: Path) -> Any:
    """The value; ``None`` if it is missing or unreadable."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
