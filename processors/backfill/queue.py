"""Requests for history from the stage in, chunks of stored events from the ClickHouse reader out; pure.

A contact's state is a join, so an event may be applied any number of times. History therefore needs no exact offset,
only coverage: a request is made when all later events are counted live, and the reader waits until all earlier
events are stored before it reads (``processors/backfill/reader.py``).
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.records.records import Event, Identifier
from schemas.rules.windows import Retention

Tenant = tuple[str, str]
"""Workspace and environment."""
MOST_CHUNKS = 3
"""Chunks of a partition that wait to be taken in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentBackfill:
    """Events of these types that reached the partition, for conditions it has not counted so far."""

    partition: int
    home: Tenant
    types: frozenset[str]
    within_ms: int | None
    """The age beyond which an event cannot count any more; ``None``: events of any age count."""
    keeps: Mapping[str, Retention]
    """The conditions, with their retention, that contacts have when it is done."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContactRebuild:
    """Requests every event of these identifiers, for the contact that a split made of them."""

    partition: int
    home: Tenant
    contact_id: str
    members: Mapping[str, Identifier]
    """The contact's identifiers, by their own contact ids."""


BackfillRequest = SegmentBackfill | ContactRebuild


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillChunk:
    """A part of a requested history; ``done`` and ``total`` count contacts."""

    request: BackfillRequest
    events: list[Event]
    is_last: bool
    done: int = 0
    total: int = 0


class BackfillQueue:
    """Connects the stage and the reader; ``on_request``, ``on_taken`` and ``on_chunk`` wake the side with new work."""

    def __init__(self) -> None:
        self.requests: deque[BackfillRequest] = deque()
        self._chunks: dict[int, deque[BackfillChunk]] = defaultdict(deque)
        self._open: set[BackfillRequest] = set()
        self.on_request: Callable[[], None] = lambda: None
        self.on_taken: Callable[[], None] = lambda: None
        self.on_chunk: Callable[[], None] = lambda: None

    def ask(self, request: BackfillRequest) -> None:
        self.requests.append(request)
        self._open.add(request)
        self.on_request()

    def is_open(self, request: BackfillRequest) -> bool:
        """False once the partition belongs to another worker: the rest is not needed."""
        return request in self._open

    def has_room(self, partition: int) -> bool:
        return len(self._chunks[partition]) < MOST_CHUNKS

    def give(self, chunk: BackfillChunk) -> None:
        """Adds a chunk; chunks of one request come in the order of their events."""
        if self.is_open(chunk.request):
            self._chunks[chunk.request.partition].append(chunk)
            self.on_chunk()

    def has(self, partition: int) -> bool:
        return bool(self._chunks.get(partition))

    def take(self, partition: int) -> BackfillChunk:
        chunk = self._chunks[partition].popleft()
        if chunk.is_last:
            self._open.discard(chunk.request)
        self.on_taken()
        return chunk

    def forget(self, partition: int) -> None:
        """The partition is revoked; its next worker makes the requests again."""
        self._chunks.pop(partition, None)
        self._open = {request for request in self._open if request.partition != partition}
        self.requests = deque(request for request in self.requests if request.partition != partition)
        self.on_taken()
