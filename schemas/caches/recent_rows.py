"""A store's read in; the same read through a cache of the rows that were used last out."""

from collections.abc import Callable, Mapping
from typing import Final

Read = Callable[[bytes], bytes | None]
"""Reads a row by its key."""
ENTRY_BYTES: Final = 120
"""Of a dictionary's entry, and of its two objects without their content."""


class RecentRows:
    """The rows that were read or written last, missing rows too, in two generations of ``limit`` bytes.

    A full generation replaces the one before; a row that is found there moves to the new one. Other rows come from
    ``read_stored``.
    """

    __slots__ = ("_limit", "_new", "_old", "_read_stored", "_size")

    def __init__(self, limit: int, read_stored: Read) -> None:
        self._limit = limit
        self._read_stored = read_stored
        self._size = 0
        self._new: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}

    def read(self, key: bytes) -> bytes | None:
        row = self._new.get(key)
        if row is not None or key in self._new:
            return row
        row = self._old[key] if key in self._old else self._read_stored(key)
        self.put(key, row)
        return row

    def put(self, key: bytes, row: bytes | None) -> None:
        size = ENTRY_BYTES + len(key) + (len(row) if row else 0)
        if size > self._limit:  # its earlier row must not stay
            self._new.pop(key, None)
            self._old.pop(key, None)
            return
        self._size += size
        if self._size > self._limit:
            self._old, self._new, self._size = self._new, {}, size
        self._new[key] = row

    def update(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Caches written rows."""
        for key, row in rows.items():
            self.put(key, row)
