"""A real app and control state in; an edge without a broker out: a list collects its records in Kafka's place."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from deploy.local.seed import records
from ingest.app import build_app
from ingest.events.ack_cache import EventAckCache
from ingest.events.batching import BatchAccumulator
from ingest.events.edge import Edge
from ingest.events.merge_map import MergeMapReplica
from ingest.events.publish import Publisher
from ingest.events.receipts import Receipts
from ingest.events.replay_cache import RequestReplayCache
from ingest.http.idempotency import IdempotencyStore
from ingest.http.rate_limit import RateLimiter
from ingest.http.read_api import ReadApiClient
from processors.identity import resolve, resolver
from processors.runtime.stage import PartitionState
from schemas.control import control_state
from schemas.errors import ApiError
from schemas.record_batches import Headers
from schemas.records import codec
from schemas.records.records import Event
from schemas.settings import Settings
from tests.support.builders import MemoryTables

NOW_MS = 1_790_000_000_000
SECRET = {"Authorization": "Bearer sk_dev_local"}
PUBLIC = {"Authorization": "Bearer pk_dev_local"}


class MemoryLog:
    """Collects the edge's records; ``down`` makes it refuse them, like a broker that is down.

    With ``tell`` the real identity code processes each record, and ``tell`` gets its merges.
    """

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes]] = []
        self.down = False
        self.tell: Callable[[Any], None] | None = None
        self._tables = MemoryTables()

    async def publish(self, partition: int, record: bytes, headers: Headers) -> None:
        if self.down:
            raise ApiError("unavailable", "Kafka did not accept it; try again")
        self.records.append((partition, record))
        if self.tell is not None:
            self._identify(self.tell)

    def _identify(self, tell: Callable[[Any], None]) -> None:
        state = PartitionState(0, self._tables)
        links = [link for event in codec.decode_events(self.records[-1][1]) for link in resolve.new_links(event, state)]
        for merge in resolver.resolve([(len(self.records), links)], state)[0]:
            tell(SimpleNamespace(partition=0, offset=len(self.records), value=codec.encode_merge(merge)))
        self._tables.apply(0, state.writes)

    @property
    def events(self) -> list[Event]:
        return [event for _, record in self.records for event in codec.decode_events(record)]


class MemoryPublisher(Publisher):
    """Collects records other than events, by key."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.sent: dict[bytes, bytes] = {}

    async def send(self, topic: str, value: bytes, *, partition: int | None = None, key: bytes | None = None) -> int:
        self.sent[key or b""] = value
        return len(self.sent) - 1


def memory_edge(home: Path, log: MemoryLog, **changes: int) -> Edge:
    """Returns an edge whose clock stands at ``NOW_MS``; ``changes`` are settings."""
    settings = Settings(home=home, **changes)  # type: ignore[arg-type]  # tests name real settings
    state = control_state.ControlState()
    for kind, record in records():
        state.apply(*control_state.encode(kind, record))
    return Edge(
        settings=settings,
        instance="edge_test",
        control=state,
        publisher=MemoryPublisher(settings),
        accumulator=BatchAccumulator(
            log.publish,
            settings.partitions,
            deadline_s=settings.publish_deadline_s,
            buffer_bytes=settings.publish_buffer_bytes,
        ),
        receipts=Receipts("edge_test"),
        merge_map=MergeMapReplica(home / "view", settings.partitions),
        ack_cache=EventAckCache(),
        rate_limiter=RateLimiter(state, settings.rate_limit),
        idempotency=IdempotencyStore(home / "answers"),
        replay_cache=RequestReplayCache(),
        clock=lambda: NOW_MS,
    )


class RecordedReads(ReadApiClient):
    """Returns the read API's recorded answers by the start of the path; ``asked`` collects the requests."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        super().__init__("")
        self._answers = answers
        self.asked: list[Any] = []

    async def request_json(self, path: str, headers: Mapping[str, str], value: Any = None) -> tuple[int, Any]:
        self.asked.append(path if value is None else [path, value])
        for start, (status, answer) in self._answers.items():
            if path.startswith(start):
                return status, answer
        raise ApiError("unavailable", "the read API is unavailable; try again")


def client_of(edge: Edge, reads: RecordedReads | None = None) -> httpx.AsyncClient:
    """Returns a client that sends requests straight to the app, without a socket."""
    transport = httpx.ASGITransport(app=build_app(edge, reads))
    return httpx.AsyncClient(transport=transport, base_url="http://edge")
