"""Entries of many owners in; the entries that fit into a bound in bytes out; pure.

Over the bound, an owner that holds more than an equal share loses its oldest entries: a flood of one workspace
evicts its own entries and none of the others.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

ENTRY = 200
"""Bytes of an entry's overhead: its place in a dict, and the tuples around it."""
TEXT = 50
"""Bytes that a string costs beside its characters."""
K = TypeVar("K")
V = TypeVar("V")
_SPARE = 64
"""An eviction frees this fraction of the bound (1/64), so that the search for the largest owner is rare."""


class FairCache(Generic[K, V]):
    """A map of owner and key to a value, at most ``limit`` bytes as ``size_of`` counts them."""

    def __init__(self, limit: int, size_of: Callable[[K, V], int]) -> None:
        self._limit = limit
        self._size_of = size_of
        self._owned: dict[str, dict[K, V]] = {}
        self._sizes: dict[str, int] = {}
        self.size = 0

    def get(self, owner: str, key: K) -> V | None:
        owned = self._owned.get(owner)
        return None if owned is None else owned.get(key)

    def put(self, owner: str, key: K, value: V) -> None:
        """Keep a value as the owner's newest."""
        owned = self._owned.get(owner)
        if owned is None:
            owned = self._owned[owner] = {}
            self._sizes[owner] = 0
        elif key in owned:
            self._count(owner, -self._size_of(key, owned.pop(key)))
        owned[key] = value
        self._count(owner, self._size_of(key, value))
        if self.size > self._limit:
            self._make_room(owner)

    def pop(self, owner: str, key: K) -> V | None:
        """Forget an entry; its value."""
        owned = self._owned.get(owner)
        if owned is None or key not in owned:
            return None
        value = owned.pop(key)
        self._count(owner, -self._size_of(key, value))
        self._drop(owner)
        return value

    def owners(self) -> Iterable[str]:
        return self._owned.keys()

    def _count(self, owner: str, size: int) -> None:
        self._sizes[owner] += size
        self.size += size

    def _make_room(self, owner: str) -> None:
        if self._sizes[owner] * len(self._owned) >= self._limit:
            self._clear(owner, self._limit)
            return
        while self.size > self._limit:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self._clear(largest, self._limit - self._limit // _SPARE)

    def _clear(self, owner: str, limit: int) -> None:
        """Evicts the owner's oldest entries until the total is within ``limit``, or the owner within an equal share."""
        owned, share = self._owned[owner], self._limit // len(self._owned)
        while owned and self.size > limit and (self.size > self._limit or self._sizes[owner] > share):
            oldest = next(iter(owned))
            self._count(owner, -self._size_of(oldest, owned.pop(oldest)))
        self._drop(owner)

    def _drop(self, owner: str) -> None:
        if not self._owned[owner]:
            del self._owned[owner], self._sizes[owner]
