"""Periodic snapshots of a worker's partitions in; the reason to end the process, if any, out.

Faust hangs in ways that nothing reports: a recovery that waits for a record that does not come, a fetch
that is not repeated, a wait in recovery that runs into its time-out and ends the recovery task. A restart
reads again from the committed offsets, and with static membership no rebalance happens.
Time in which the broker does not answer is not counted: a restart would not help. Nor is time in which the
process itself did not run, as on a suspended machine.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

TICK_S = 1.0
LOOK_EVERY = 5
STALL_S = 30.0
LATE_S = 15.0
"""If so much time passes between two looks, in place of 5 s, the process did not run."""
UNREADY_S = 90.0
"""Longer than the rebalance time-out, in which the group waits for a member that does not come back."""


@dataclass(frozen=True, slots=True)
class PartitionSnapshot:
    """The state of a source partition at one moment."""

    committable: int
    position: int
    end: int
    pending: int

    @property
    def behind(self) -> bool:
        return self.pending > 0 or self.end > self.position


class WatchedRuntime(Protocol):
    def progress(self) -> object | None:
        """Returns a value that changes whenever recovery moves on; ``None`` once the partitions are open."""
        ...

    async def look(self) -> Mapping[str, PartitionSnapshot]:
        """Source partitions by a name to report; raises ``OSError`` or ``TimeoutError`` if the broker is away."""
        ...


class Watchdog:
    """Pure but for ``run``: times come in."""

    def __init__(self) -> None:
        self._progress: tuple[object, float] | None = None
        self._still: dict[str, tuple[tuple[int, int], float]] = {}
        self._looked_s: float | None = None

    def look_at(self, now_s: float) -> None:
        """Call before each look: excuses partitions that made no progress while the process did not run."""
        if self._looked_s is not None and now_s - self._looked_s > LATE_S:
            self.excuse()
        self._looked_s = now_s

    def unready(self, progress: object | None, now_s: float) -> str | None:
        if progress is None:
            self._progress = None
        elif self._progress is None or self._progress[0] != progress:
            self._progress = (progress, now_s)
        elif now_s - self._progress[1] >= UNREADY_S:
            return f"not ready, and no progress for {UNREADY_S:.0f} s: {progress}"
        return None

    def stalled(self, snapshots: Mapping[str, PartitionSnapshot], now_s: float) -> str | None:
        still: dict[str, tuple[tuple[int, int], float]] = {}
        for name, snapshot in snapshots.items():
            if not snapshot.behind:
                continue
            mark = (snapshot.committable, snapshot.position)
            before = self._still.get(name)
            since = before[1] if before is not None and before[0] == mark else now_s
            still[name] = (mark, since)
            if now_s - since >= STALL_S:
                return f"{name} stands still for {STALL_S:.0f} s: {snapshot}"
        self._still = still
        return None

    def excuse(self) -> None:
        """The broker did not answer, or the process did not run: standing still is not the worker's fault."""
        self._still = {}
        self._progress = None


async def watch(subject: WatchedRuntime, wake: Callable[[], None], abort: Callable[[str], None]) -> None:
    """Runs until cancelled; also asks once a second for background work."""
    watchdog, clock, ticks = Watchdog(), asyncio.get_running_loop().time, 0
    while True:
        await asyncio.sleep(TICK_S)
        ticks += 1
        wake()
        if ticks % LOOK_EVERY:
            continue
        watchdog.look_at(clock())
        progress = subject.progress()
        reason = watchdog.unready(progress, clock())
        if progress is None:
            try:
                reason = watchdog.stalled(await subject.look(), clock())
            except (OSError, TimeoutError):
                watchdog.excuse()
        if reason is not None:
            abort(reason)
