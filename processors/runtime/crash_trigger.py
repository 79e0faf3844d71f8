"""A point in the unit of work in; the process killed there if a test requested it, nothing otherwise.

``HEADWATER_CRASH_AT=after_send:3`` kills the process, as ``kill -9`` would, the third time that outputs are
durable and state is not. It exists for tests of faults and is off unless the variable is set.
"""

import os
import signal
from enum import StrEnum

VARIABLE = "HEADWATER_CRASH_AT"


class CrashPoint(StrEnum):
    AFTER_SEND = "after_send"
    """Outputs are durable."""
    AFTER_FLUSH = "after_flush"
    """So is the state, on the changelog; the local store does not have it yet."""
    AFTER_WRITE = "after_write"
    """The local store has it too; nothing is acknowledged."""


class CrashTrigger:
    def __init__(self, setting: str) -> None:
        point, _, count = setting.partition(":")
        self._point = CrashPoint(point) if point else None
        self._left = int(count or 1)

    def reach(self, point: CrashPoint) -> None:
        if point is not self._point:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
