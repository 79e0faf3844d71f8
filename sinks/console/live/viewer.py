"""New rows in; the rows for one viewer, limited per second, with a count of the rest, out; pure.

A slow viewer loses rows and gets their number; it never delays the feed.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from sinks.console.live.filters import LiveFilter
from sinks.console.live.rows import LiveRow

A_SECOND = 20
AT_ONCE = 60
"""New rows that may come together, after a pause or at the start."""
MOST_WAITING = 200
MOST_FOLLOWED = 500
MOST_PAST = 100


@dataclass(slots=True)
class LiveViewer:
    """``sees_strangers``: whether the viewer shows requests of unknown keys, which belong to no workspace."""

    workspace: str
    environment: str
    filter: LiveFilter = field(default_factory=LiveFilter)
    sees_strangers: bool = False
    is_program: bool = False
    """It reads lines, not a page."""
    came_ms: int = 0
    """When it began to watch; rows received earlier are past, and are limited to the newest of them."""
    since_ms: int | None = None
    """The viewer requested rows received since then, and learns how many of them are left out."""
    has_gap: bool = False
    """Whether the feed did not read some rows between ``since_ms`` and ``came_ms``."""
    left_ms: int | None = None
    hidden: int = 0
    """Rows that matched and were not shown, since ``take``."""
    elsewhere: int = 0
    """Rows of this workspace that the filter or the environment left out, since the viewer came."""
    _room: float = AT_ONCE
    _room_ms: int = 0
    _waiting: dict[str, LiveRow] = field(default_factory=dict)
    _followed: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def owns(self, row: LiveRow) -> bool:
        """Whether the row is of the viewer's workspace."""
        if row.workspace != self.workspace:
            return self.sees_strangers and not row.workspace
        return True

    def offer(self, row: LiveRow, now_ms: int, *, is_older: bool = False) -> bool:
        """Takes a row if it matches and fits; returns whether the viewer shows it. ``is_older``: an earlier row."""
        if not self.owns(row):
            return False
        if row.environment not in ("", self.environment) or not self.filter.takes(row):
            self.elsewhere += 1
            return False
        if row.past or is_older or row.at_ms < self.came_ms:
            self._remember(row)
            return True
        if not self._has_room(now_ms):
            self.hidden += 1
            return False
        self._room -= 1
        self._follow(row)
        return True

    def takes_more(self, at_ms: int, now_ms: int) -> bool:
        """Whether the viewer may show a row received then. A filter has to see the row, so it always takes more."""
        return bool(any(self.filter)) or at_ms < self.came_ms or self._has_room(now_ms)

    def _has_room(self, now_ms: int) -> bool:
        self._room = min(AT_ONCE, self._room + (now_ms - self._room_ms) * A_SECOND / 1000) if self._room_ms else AT_ONCE
        self._room_ms = now_ms
        return self._room >= 1 and len(self._waiting) < MOST_WAITING

    def _follow(self, row: LiveRow) -> None:
        self._waiting[row.id] = row
        self._followed[row.id] = None
        if len(self._followed) > MOST_FOLLOWED:
            self._followed.popitem(last=False)

    def _remember(self, row: LiveRow) -> None:
        """Shows the newest of the older rows; counts the rest for a viewer that asked for older rows."""
        self._follow(row)
        if len(self._waiting) >= 2 * MOST_PAST:
            newest = sorted(self._waiting.values(), key=lambda row: row.place)[-MOST_PAST:]
            waiting = {row.id: row for row in newest}
            for left_out in self._waiting.keys() - waiting.keys():
                self._followed.pop(left_out, None)
                self.hidden += self.since_ms is not None and self._waiting[left_out].at_ms >= self.since_ms
            self._waiting = waiting

    def follow_up(self, earlier: "LiveViewer | None") -> None:
        """Continues the same program's earlier stream; without one, rows may be missing."""
        self.has_gap = earlier is None
        if earlier is not None and earlier.left_ms is not None:
            self.hidden, earlier.hidden = self.hidden + earlier.hidden, 0

    def is_like(self, other: "LiveViewer") -> bool:
        """Whether both viewers show the same rows."""
        mine = self.workspace, self.environment, self.filter, self.sees_strangers
        return mine == (other.workspace, other.environment, other.filter, other.sees_strangers)

    def touch(self, row: LiveRow) -> None:
        """Queues a changed row; ignores a row that the viewer does not show."""
        if row.id in self._followed:
            self._waiting[row.id] = row

    def take(self) -> tuple[list[LiveRow], int]:
        """Returns the rows to send now, and the number of rows left out since the last call."""
        rows, hidden = list(self._waiting.values()), self.hidden
        self._waiting.clear()
        self.hidden = 0
        return rows, hidden
