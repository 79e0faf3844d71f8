"""In-memory state of a partition: timers, the scan after a change of rules, and the event-time clock; pure.

1. Time does not run ahead of a backlog: during a backlog the records' own time drives rules and timers. A record still
   to come may renew a membership that the end of a window would remove.
2. ``ReplayWindow`` holds the changes that the last unit before a restart may have emitted.
"""

from processors.backfill.queue import Tenant
from processors.membership.plans import Plans, PlanVersion
from processors.membership.timers import Timers
from processors.segments.unit import ReplayWindow
from schemas.times import CLOCK_SKEW_MS

COVERAGE = b"!coverage"
"""Key of the row with the history that the partition's contacts cover."""
SCANNED = b"!scanned"
"""Key of the row with the plans that all contacts of the partition follow; it sorts before the contacts' keys."""
BEHIND_MS = 1000
"""A record older than this belongs to a backlog."""
QUIET_MS, START_MS = 250, 1000
"""A backlog ends after so long without a record; after a start, late timers wait so long for a backlog."""

Signature = tuple[PlanVersion, bool, int]
"""The values from which the segments' states follow: plans, whether a scan is open, number of disabled segments."""


class Partition:
    """The in-memory state of a partition, beside its rows."""

    def __init__(self, plans: Plans, timers: Timers, scanned: frozenset[bytes] | None, *, is_new: bool) -> None:
        self.plans = plans
        self.timers = timers
        self.requested: set[Tenant] = set()
        """Homes whose history is on its way."""
        self.announced: dict[tuple[str, str], tuple[int, str, str]] = {}
        """(workspace, segment) -> the last announced version, content of the segment's lists, and state."""
        self.counted: dict[tuple[str, str], tuple[int, str, int, int]] = {}
        """(workspace, segment) -> version, content of its lists, contacts with their history read, all contacts."""
        self.announced_signature: Signature | None = None
        self.scanned = scanned
        """Digests of the plans that all contacts follow; ``None``: not all follow the same."""
        self.compared: PlanVersion | None = None
        """Version of the plans that ``scanned`` has been compared with."""
        self.not_scanned = b""
        self.cursor = SCANNED
        """The last row that the scan has seen, as long as ``scanned`` is ``None``."""
        self.clock_ms = 0
        """The latest evaluation time."""
        self.stepped_ms = 0
        self.is_behind = False
        self.started_ms: int | None = None
        self.restored_ms: int | None = None
        self.plans_changed = scanned is None and not is_new
        self.has_followed = False
        self.has_erased = False
        """Whether the partition has a row of an erased contact."""

    def moment(self, sent_ms: int, now_ms: int) -> int:
        """The evaluation time of a record: now, or its send time during a backlog."""
        self.is_behind = now_ms - sent_ms > BEHIND_MS
        self.stepped_ms = now_ms
        self.clock_ms = max(self.clock_ms, sent_ms if self.is_behind else now_ms)
        return self.clock_ms

    def due_until(self, now_ms: int) -> int:
        """The latest time of timers that may fire now."""
        if self.started_ms is None:
            # a timer that is this late could not fire because no worker ran
            self.started_ms = now_ms if (self.timers.next() or now_ms) < now_ms - BEHIND_MS else 0
        is_starting = now_ms < self.started_ms + START_MS
        if is_starting or (self.is_behind and now_ms - self.stepped_ms < QUIET_MS):
            return self.clock_ms
        self.clock_ms = max(self.clock_ms, now_ms)
        return self.clock_ms

    def replay_window(self, now_ms: int) -> ReplayWindow:
        if self.restored_ms is None:
            self.restored_ms = now_ms
        # the sending workers' clocks may be ahead
        until_ms = self.restored_ms + CLOCK_SKEW_MS
        return ReplayWindow(until_ms=until_ms, plans=self.plans_changed, following=not self.has_followed)
