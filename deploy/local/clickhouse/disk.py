"""The free space in; refusals of writes, and merges stopped and started, out.

A write that is under way when the last byte goes ends without an error and with empty files. So there is a floor:
below it nothing is written and nothing is merged; merges begin again a quarter above it.
"""

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from deploy.local.clickhouse.codes import refusal

log = logging.getLogger(__name__)

FLOOR_BYTES = 512 * 1024 * 1024
AGAIN = 1.25
"""Times the floor: merges begin again above it."""
WRITES = (b"INSERT", b"ALTER", b"OPTIMIZE", b"DELETE", b"UPDATE", b"RESTORE")


def free_bytes(path: Path) -> int:
    return shutil.disk_usage(path).free


class Floor:
    """Thread-safe. ``run`` is given a statement when merges have to stop or start."""

    def __init__(
        self, path: Path, run: Callable[[str], None], floor: int, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._path = path
        self._run = run
        self._floor = floor
        self._free = free
        self._lock = threading.Lock()
        self.is_low = False

    def look(self) -> str:
        """The reason why nothing is written now, empty when there is room; stops and starts merges."""
        with self._lock:
            free = self._free(self._path)
            low = free < self._floor * (AGAIN if self.is_low else 1)
            if low != self.is_low:
                self._run("SYSTEM STOP MERGES" if low else "SYSTEM START MERGES")
                self.is_low = low
                log.warning(
                    "merges %s: %d bytes are free, the floor is %d", "stop" if low else "start", free, self._floor
                )
        return f"{free} bytes are free, the floor is {self._floor}: nothing is written" if low else ""

    def admit(self, sql: bytes) -> None:
        """Raises ``ClickHouseError`` 243 for a write below the floor; reads and drops pass."""
        if sql.lstrip()[:8].upper().startswith(WRITES) and (reason := self.look()):
            raise refusal(243, "NOT_ENOUGH_SPACE", reason)
