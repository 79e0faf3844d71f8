"""Requests to read a topic again in; where each of its partitions resumes, and the notes of its commits, out; pure.

1. A request stays on `control` for ever; its time is its number. Every sink sees it, also a sink that starts later.
2. A commit carries the number of the newest request that the position accounts for. Until that request is finished it
   also carries the offset up to which rows are stored again even if the tables have them. After a crash a sink resumes
   at the commit. A group without such a note performs the requests again, which changes nothing: the tables collapse
   repeats by their keys.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.control.control_state import parse_key, record_key
from sinks.clickhouse.rows import Table
from sinks.clickhouse.streams import STREAMS, Stream

log = logging.getLogger(__name__)

KIND = "reread"
OWNER = "-"
"""Stands in place of a workspace: no workspace has this slug."""


class Reread(BaseModel):
    """Read again from Kafka's first record up to ``until``, by partition."""

    model_config = ConfigDict(frozen=True)

    id: int
    """Epoch milliseconds: of two the larger one is the newer."""
    topic: str
    """The topic's name in the catalogue."""
    until: dict[int, int]
    reason: str
    parts: tuple[str, ...] = ()
    """``table/part`` of the broken parts that this replaces."""


class Mark(NamedTuple):
    """The note of a committed offset."""

    reread: int = 0
    until: int = 0

    def at(self, offset: int) -> str:
        """The text to commit with this offset."""
        return f"{self.reread} {self.until}" if offset < self.until else str(self.reread or "")


UNMARKED = Mark()


def mark_of(metadata: str) -> Mark:
    """Any other text is ignored."""
    numbers = [int(word) for word in metadata.split() if word.isascii() and word.isdigit()]
    return Mark(*numbers[:2])


class Rereads:
    """The fold over `control`."""

    def __init__(self) -> None:
        self._all: dict[bytes, Reread] = {}

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        parsed = parse_key(key)
        if parsed is None or key is None or parsed[:2] != (OWNER, KIND):
            return
        self._all.pop(key, None)
        if value is not None:
            try:
                self._all[key] = Reread.model_validate_json(value)
            except ValidationError as error:
                log.error("a request to read again cannot be read by this version: %s", error)  # noqa: TRY400

    def newest(self, topic: str) -> Reread | None:
        return max(
            (reread for reread in self._all.values() if reread.topic == topic),
            key=lambda reread: reread.id,
            default=None,
        )

    def newest_id(self) -> int:
        return max((reread.id for reread in self._all.values()), default=0)

    def parts(self) -> set[str]:
        """All broken parts for which a request was made."""
        return {part for reread in self._all.values() for part in reread.parts}

    def mark(self, topic: str, partition: int, committed: Mark) -> Mark:
        """The mark to read by: newer than the committed one if a newer request of the topic is still open."""
        newest = self.newest(topic)
        if newest is None or newest.id <= committed.reread:
            return committed
        return Mark(newest.id, max(committed.until, newest.until.get(partition, 0)))


def encode(reread: Reread) -> tuple[bytes, bytes]:
    """Kafka key and value."""
    return record_key(KIND, OWNER, f"{reread.id}.{reread.topic}"), reread.model_dump_json().encode()


def streams_of(table: str) -> list[Stream]:
    """The streams that fill a table, by way of a view too; the one whose checkpoint the table is comes first."""
    own = [stream for stream in STREAMS if _fills(stream.checkpoints, table)]
    return own + [stream for stream in STREAMS if _fills(stream.extra, table)]


def _fills(tables: Sequence[Table], name: str) -> bool:
    return any(name in (table.name, *table.views) for table in tables)


def stream_of(table: str) -> Stream | None:
    """Returns the first stream of ``streams_of``; ``None`` if no topic fills the table."""
    return next(iter(streams_of(table)), None)
