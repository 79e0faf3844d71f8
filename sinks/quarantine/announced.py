"""Replays that were announced in; where those that were sent stand in Kafka, out."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.control.quarantine_jobs import QuarantineId, place_of


class Announced(NamedTuple):
    """An announced replay: the record, and the first offset of its partition at which the replay may be."""

    id: QuarantineId
    workspace: str
    job: str
    replays: int
    partition: int
    since: int


async def found_in(
    consumer: AIOKafkaConsumer, announced: Sequence[Announced], header: str, name: Callable[[str], str]
) -> dict[QuarantineId, int]:
    """Returns the offsets of replays that are in Kafka; ``name`` converts a topic's name to the cluster's."""
    first: dict[TopicPartition, int] = defaultdict(lambda: 1 << 62)
    for record in announced:
        tp = TopicPartition(name(record.id[0]), record.partition)
        first[tp] = min(first[tp], record.since)
    if not first:
        return {}
    ids = {record.id for record in announced}
    ends = await consumer.end_offsets(list(first))
    begins = await consumer.beginning_offsets(list(first))
    consumer.assign(list(first))
    for tp, since in first.items():
        consumer.seek(tp, min(max(since, begins[tp]), ends[tp]))
    offsets: dict[QuarantineId, int] = {}
    while behind := [tp for tp in first if await consumer.position(tp) < ends[tp]]:
        for records in (await consumer.getmany(*behind, timeout_ms=1000)).values():
            for record in records:
                for key, value in record.headers:
                    place = place_of(value.decode("utf-8", "replace")) if key == header else None
                    if place in ids and place is not None:
                        offsets.setdefault(place, record.offset)
    return offsets
