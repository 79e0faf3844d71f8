"""The time and randomness in, ids out: time-ordered for new things, derived for repeats."""

import os
import re
from typing import Final
from uuid import UUID

_POOL_BYTES: Final = 5000


class _Entropy:
    """The system's randomness by the page: a system call for each id would be a tenth of a request's cost."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = _POOL_BYTES
        # two processes must never hand out the same bytes
        os.register_at_fork(after_in_child=self._spend)

    def _spend(self) -> None:
        self._at = _POOL_BYTES

    def ten(self) -> bytes:
        at = self._at
        if at >= _POOL_BYTES:
            self._pool, at = os.urandom(_POOL_BYTES), 0
        self._at = at + 10
        return self._pool[at : at + 10]


_entropy = _Entropy()


def uuid7(now_ms: int) -> UUID:
    """RFC 9562 version 7."""
    tail = int.from_bytes(_entropy.ten())
    value = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | 7 << 76 | (tail >> 68) << 64 | 2 << 62 | tail & (2**62 - 1)
    return UUID(int=value)


def uuid7_ms(value: UUID) -> int:
    """The time a version 7 UUID was made, epoch ms."""
    return value.int >> 80


MOST_COUNTED: Final = 0xFFF


def task_id(now_ms: int, events: int) -> str:
    """A UUID of version 7 whose twelve spare bits hold the number of its events, which then needs no storage."""
    return counted(uuid7(now_ms), events)


def counted(task: UUID, events: int) -> str:
    """The same task with another number of events."""
    return str(UUID(int=task.int & ~(MOST_COUNTED << 64) | min(events, MOST_COUNTED) << 64))


def count_of(task: UUID) -> int:
    """The number of events of a task."""
    return task.int >> 64 & MOST_COUNTED


def new_id(prefix: str, now_ms: int) -> str:
    """``prefix`` + 32 characters that sort by time."""
    return prefix + (now_ms.to_bytes(6) + _entropy.ten()).hex()


_REQUEST_ID: Final = re.compile(rb"^[A-Za-z0-9._-]{1,128}$")


def request_id(supplied: bytes | None, now_ms: int) -> str:
    """The client's own ``X-Request-Id`` where it is a sane one, else a new one."""
    if supplied is not None and _REQUEST_ID.match(supplied):
        return supplied.decode()
    return new_id("req_", now_ms)
