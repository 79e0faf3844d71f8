"""An edge without a broker: real app, real control state, and in Kafka's place a list of the records it was sent."""

from pathlib import Path

import httpx

from deploy.local.seed import records
from ingest.app import build_app
from ingest.collect import Collector
from ingest.edge import Edge
from ingest.gate import Gate
from ingest.once import Answers
from ingest.publish import Publisher
from ingest.receipts import Receipts
from ingest.recent import Recent
from ingest.view import MergeView
from schemas import codec, control
from schemas.errors import Refused
from schemas.records import Event
from schemas.settings import Settings

NOW_MS = 1_790_000_000_000
SECRET = {"Authorization": "Bearer sk_dev_local"}
PUBLIC = {"Authorization": "Bearer pk_dev_local"}


class MemoryLog:
    """What the edge published; ``down`` makes it answer as a broker that will not take anything."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes]] = []
        self.down = False

    async def publish(self, partition: int, record: bytes) -> None:
        if self.down:
            raise Refused("unavailable", "Kafka did not take it; try again")
        self.records.append((partition, record))

    @property
    def events(self) -> list[Event]:
        return [event for _, record in self.records for event in codec.decode_events(record)]


def memory_edge(home: Path, log: MemoryLog, **changes: int) -> Edge:
    """An edge whose clock stands at ``NOW_MS``; ``changes`` are settings."""
    settings = Settings(home=home, **changes)  # type: ignore[arg-type]  # tests name real settings
    state = control.ControlState()
    for kind, record in records():
        state.apply(*control.encode(kind, record))
    return Edge(
        settings=settings,
        instance="edge_test",
        control=state,
        publisher=Publisher(settings),
        collector=Collector(
            log.publish,
            settings.partitions,
            deadline_s=settings.publish_deadline_s,
            buffer_bytes=settings.publish_buffer_bytes,
        ),
        receipts=Receipts("edge_test"),
        view=MergeView(home / "view", settings.partitions),
        recent=Recent(),
        gate=Gate(state, settings.rate_limit),
        answers=Answers(home / "answers"),
        clock=lambda: NOW_MS,
    )


def client_of(edge: Edge) -> httpx.AsyncClient:
    """Requests straight into the app, no socket between."""
    transport = httpx.ASGITransport(app=build_app(edge))
    return httpx.AsyncClient(transport=transport, base_url="http://edge")
