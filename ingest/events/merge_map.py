"""Records of `merges` in, the winner of a contact id out: the edge's copy of the merge map, on disk.

Memory is bounded by the cache settings below, for any number of merges. The position is written in the same
batch as the merges, so a restart resumes there and ``Tail.start`` catches up.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rocksdict import Rdict, ReadOptions, WriteBatch

from schemas.caches.recent_rows import RecentRows
from schemas.control.definitions import Erasure
from schemas.control.erasure import Erased
from schemas.records import mergemap, tenancy
from schemas.records.codec import decode_merge
from schemas.service.rocksdb import options_of_a_copy

log = logging.getLogger(__name__)
LATELY_S = 5.0
CACHE_BYTES = 4 * 1024 * 1024
"""Bytes of recently read rows, in each of two generations. An event reads one; from disk that takes 3 us."""
_POSITION = b"!position/"
_ERASED = b"!erased/"
_OF = b"!of/"
"""Before a winner and one of its losers."""


class MergeMapReplica:
    """loser -> (version, winner); the highest version wins, so records may repeat."""

    def __init__(self, folder: Path, partitions: int, erased: Erased | None = None) -> None:
        self._erased = Erased() if erased is None else erased
        folder.mkdir(parents=True, exist_ok=True)
        self._db = Rdict(str(folder), options_of_a_copy())
        self._rows = RecentRows(CACHE_BYTES, self._db.get)
        self._partitions = partitions
        self._empty = self._db.get(b"!any") is None
        self._awaited: dict[str, list[asyncio.Future[None]]] = {}
        self._lately: dict[str, float] = {}
        """When ids lost, as long as that may not be read everywhere."""

    def positions(self) -> dict[int, int]:
        """The next offset to read of each partition."""
        stored = {p: self._db.get(_POSITION + str(p).encode()) for p in range(self._partitions)}
        return {p: int(raw) for p, raw in stored.items() if raw is not None}

    def winner(self, contact_id: str) -> str:
        """The contact that the id belongs to, as far as this edge knows; itself where it never lost."""
        if self._empty or not contact_id:
            return contact_id
        row = self._rows.read(contact_id.encode())
        return contact_id if row is None else mergemap.winner_of(row)

    def _note(self, loser: str) -> None:
        now = time.monotonic()
        self._lately.pop(loser, None)
        self._lately[loser] = now
        while (oldest := next(iter(self._lately))) and now - self._lately[oldest] > LATELY_S:
            del self._lately[oldest]

    def joined_lately(self, ids: Sequence[str]) -> bool:
        """Whether one of these was merged so lately that the tables may not show it yet."""
        since = time.monotonic() - LATELY_S
        return any(self._lately.get(contact_id, 0.0) > since for contact_id in ids)

    async def joined(self, ids: Sequence[str], within_s: float) -> bool:
        """Whether these ids are one contact's, or become it in time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while len({self.winner(contact_id) for contact_id in ids}) > 1:
            news = loop.create_future()
            for contact_id in ids:
                self._awaited.setdefault(contact_id, []).append(news)
            try:
                async with asyncio.timeout_at(end):
                    await news
            except TimeoutError:
                return False
            finally:
                for contact_id in ids:
                    self._no_longer_awaits(contact_id, news)
        return True

    def _no_longer_awaits(self, contact_id: str, news: asyncio.Future[None]) -> None:
        left = [future for future in self._awaited.get(contact_id, ()) if future is not news]
        if left:
            self._awaited[contact_id] = left
        else:
            self._awaited.pop(contact_id, None)

    def version(self, contact_id: str) -> int:
        """The version of the newest merge that this edge knows of the id; 0: it never lost."""
        row = self._rows.read(contact_id.encode())
        return 0 if row is None else mergemap.version_of(row)

    def apply(self, record: Any) -> None:
        """Apply a record of the `merges` topic."""
        batch = WriteBatch(raw_mode=True)
        batch.put(_POSITION + str(record.partition).encode(), str(record.offset + 1).encode())
        try:
            read = None if record.value is None else _row_of(record.value, self._erased)
        except (ValueError, OverflowError) as error:
            log.error("skipping merges/%s/%s: %s", record.partition, record.offset, error)  # noqa: TRY400
            read = None
        replaces = read is not None and self._merge(batch, *read)
        self._db.write(batch)
        if read is not None:
            if replaces:
                self._rows.put(*read)
            self._note(read[0].decode())
        if read is not None and self._awaited:
            for future in self._awaited.pop(read[0].decode(), ()):
                if not future.done():
                    future.set_result(None)

    def members(self, contact_id: str) -> set[str]:
        """Every id that resolves to the contact, as far as this edge knows; the contact's own too."""
        prefix = _OF + contact_id.encode() + b"/"
        options = ReadOptions()
        options.set_iterate_upper_bound(_OF + contact_id.encode() + b"0")
        pairs = self._db.items(from_key=prefix, read_opt=options)
        return {contact_id} | {key[len(prefix) :].decode() for key, _ in pairs}

    def _merge(self, batch: WriteBatch, loser: bytes, row: bytes) -> bool:
        """Returns whether the row replaces the present one."""
        current = self._rows.read(loser)
        if not mergemap.replaces(row, current):
            return False
        batch.put(loser, row)
        if current is not None:
            batch.delete(_reverse(loser, current))
        if mergemap.winner_of(row).encode() != loser:
            batch.put(_reverse(loser, row), b"")
        if self._empty:
            batch.put(b"!any", b"1")
            self._empty = False
        return True

    def forget(self, erasure: Erasure) -> None:
        """Remove the merges of erased contacts. Applied once per erasure: merges made afterwards are kept."""
        mark = _ERASED + erasure.id.encode()
        if self._db.get(mark) is not None:
            return
        batch = WriteBatch(raw_mode=True)
        batch.put(mark, b"1")
        for contact_id in erasure.contacts:
            row = self._rows.read(contact_id.encode())
            if row is not None:
                batch.delete(contact_id.encode())
                batch.delete(_reverse(contact_id.encode(), row))
        self._db.write(batch)
        for contact_id in erasure.contacts:
            self._rows.put(contact_id.encode(), None)

    def close(self) -> None:
        self._db.close()


def _reverse(loser: bytes, row: bytes) -> bytes:
    """The key by which a winner's losers are found."""
    return _OF + mergemap.winner_of(row).encode() + b"/" + loser


def _row_of(value: bytes, erased: Erased) -> tuple[bytes, bytes] | None:
    """Key and row of a merge, ``None`` for one that was erased; raises ``ValueError`` or ``OverflowError``."""
    merge = decode_merge(value)
    tenancy.check(merge)
    return None if erased.covers(merge) else (merge["loser"].encode(), mergemap.row_of(merge))
