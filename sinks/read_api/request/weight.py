"""The rows of a request's queries in; an error out if the request, or its workspace, holds more memory than its share.

1. Rows count from their reading until the answer is sent. ``HELD`` bounds the rows of one workspace's requests, so a
   flood of large pages is refused (503) and leaves room for others.
2. A GraphQL document reads many pages at once; it has a bound of its own (``MOST_IN_DOCUMENT``).

A query for many requests (``sinks.read_api.contacts.query_batcher``) does not count for any of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from schemas.errors import ApiError
from schemas.service.memory_budget import Budget

MIB = 1024 * 1024
HELD = Budget(384 * MIB, "large answers")
"""Of all requests; a workspace alone has half, which holds two of the largest pages."""
MOST_IN_DOCUMENT = 64 * MIB
"""Bytes that a GraphQL document may read and answer together."""
_VALUE = 32
"""Bytes of a number, or of a text beside its characters."""


class Weight:
    """Of one request."""

    def __init__(self) -> None:
        self._most: int | None = None
        self._size = 0
        self._workspace = ""
        self._held: list[tuple[int, str]] = []

    def bound(self, most: int) -> None:
        """Hold so much at most from now on."""
        self._most = most

    def check(self) -> None:
        """Raises ``ApiError`` (``too_complex``) for a request that is over its bound already."""
        if self._most is not None and self._size > self._most:
            raise ApiError("too_complex", f"the answer is larger than {self._most // MIB} MiB: ask for less", "query")

    def add(self, size: int, workspace: str) -> None:
        """Raises ``ApiError``: over its own bound, or 503 where the workspace holds its share already."""
        self._size += size
        self._workspace = workspace
        self.check()
        HELD.take(size, workspace)
        self._held.append((size, workspace))

    def again(self, size: int) -> None:
        """The same for values made of rows; raises ``ApiError``."""
        self.add(size, self._workspace)

    def release(self) -> None:
        for size, workspace in self._held:
            HELD.give(size, workspace)
        self._held.clear()


_current: ContextVar[Weight | None] = ContextVar("weight", default=None)


def current() -> Weight | None:
    """That of the request which is served; ``None``: this is done for no request."""
    return _current.get()


@contextmanager
def counted() -> Iterator[Weight]:
    """Count the rows read in the block, and release them at its end."""
    weight = Weight()
    token = _current.set(weight)
    try:
        yield weight
    finally:
        _current.reset(token)
        weight.release()


def size_of(rows: Sequence[Sequence[Any]]) -> int:
    """Bytes of rows, nearly."""
    return sum(_size(value) for row in rows for value in row)


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value) + _VALUE
    if isinstance(value, list | tuple):
        return sum(map(_size, value)) + _VALUE
    if isinstance(value, dict):
        return sum(_size(k) + _size(v) for k, v in value.items()) + _VALUE
    return _VALUE
