"""Counts the bytes that requests hold in memory, by workspace; refuses a request beyond the limit.

A workspace may hold as much as it leaves free, so one alone has half, and however many flood an edge, there is room
for one more. Requests without a key so far are an owner too.
"""

from collections import defaultdict
from collections.abc import MutableMapping
from typing import Any

from schemas.errors import ApiError

UNKNOWN = ""
"""The owner of a request whose key has not been checked yet."""
HELD = "headwater.held"
"""Key of the request's scope: the bytes that it holds until it is answered."""


class Budget:
    """``limit`` bytes; a request beyond it is refused (503)."""

    def __init__(self, limit: int, contents: str) -> None:
        self._limit = limit
        self._contents = contents
        self._held: defaultdict[str, int] = defaultdict(int)
        self.held = 0

    def take(self, size: int, owner: str) -> None:
        if self.held + size + self._held[owner] + size > self._limit:
            self._drop(owner)
            raise ApiError("unavailable", f"too many {self._contents} at a time; try again")
        self._held[owner] += size
        self.held += size

    def give(self, size: int, owner: str) -> None:
        self._held[owner] -= size
        self.held -= size
        self._drop(owner)

    def hold(self, scope: MutableMapping[str, Any], size: int, owner: str) -> None:
        """Until ``release`` of the request; raises ``ApiError`` (503) where there is no room."""
        self.take(size, owner)
        scope.setdefault(HELD, []).append((self, size, owner))

    def _drop(self, owner: str) -> None:
        if not self._held[owner]:
            del self._held[owner]


def release(scope: MutableMapping[str, Any]) -> None:
    """Release the bytes of a request."""
    for budget, size, owner in scope.pop(HELD, ()):
        budget.give(size, owner)
