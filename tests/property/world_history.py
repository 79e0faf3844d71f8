"""A world of segments with a database: what reached the stage can be read again as history."""

from typing import Any

from processors.backfill.queue import BackfillChunk, BackfillQueue, SegmentBackfill
from processors.runtime.stage import PartitionState
from processors.segments.stage import SegmentsStage
from schemas import topics
from schemas.records import codec, identity
from schemas.records.records import Event
from tests.property.world_segments import (
    ENVIRONMENT,
    PARTITIONS,
    WORKSPACE,
    SegmentsWorld,
    partition_of,
)


class Past(SegmentsWorld):
    """A world with a database: what was put on `resolved` can be asked for, once ``answer`` is called."""

    def __init__(self, **rules: Any) -> None:
        self.queue = BackfillQueue()
        self.stored: list[tuple[int, Event]] = []
        super().__init__(**rules)

    def restart(self) -> None:
        self.queue = BackfillQueue()
        self.stage = SegmentsStage(self.control, PARTITIONS, self.queue)
        for partition in range(PARTITIONS):
            self.stage.on_assigned(partition, lambda table, p=partition: self.store.scan(table, p))  # type: ignore[misc]

    def publish(self, *sent: Event, batch: int = 500) -> None:
        self.stored += [(partition_of(e["contact_id"]), e) for e in sent]
        super().publish(*sent, batch=batch)

    def answer(self, size: int = 3) -> None:
        """Everything that was wished for goes to the desk."""
        while self.queue.requests:
            request = self.queue.requests.popleft()
            events = [
                codec.decode_events(codec.encode_events([e]))[0]
                for partition, e in self.stored
                if (
                    partition == request.partition and e["type"] in request.types and e["kind"] == "track"
                    if isinstance(request, SegmentBackfill)
                    else identity.own_contact_id(e) in request.members
                )
            ]
            chunks = [events[start : start + size] for start in range(0, len(events), size)] or [[]]
            for n, some in enumerate(chunks):
                self.queue.give(BackfillChunk(request=request, events=some, is_last=n == len(chunks) - 1))

    def follow(self) -> None:
        while self.queue.requests or any(self.stage.has_work(p) for p in range(PARTITIONS)):
            self.answer()
            super().follow()

    def _unit(self, partition: int, work: Any, *, lose: bool) -> None:
        def without_control(state: PartitionState) -> Any:
            sends = list(work(state))
            for send in sends:
                if send.topic == topics.CONTROL.name:
                    self.control.apply(send.key or b"", send.value)
            return [send for send in sends if send.topic != topics.CONTROL.name]

        super()._unit(partition, without_control, lose=lose)

    def standing(self, name: str) -> str:
        segment = self.control.segments[WORKSPACE, ENVIRONMENT][name]
        return self.control.standing(segment, PARTITIONS)[0]
