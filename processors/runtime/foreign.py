"""Decoded items of one record in; the items within their tenant, and a quarantine message for each other, out; pure.

The edge refuses a foreign contact id, so here it takes a fault of ours or a writer to Kafka that is not ours.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from processors.runtime.stage import InputRecord, OutputRecord
from schemas import topics
from schemas.records import quarantine, tenancy
from schemas.records.identity import partition_of

T = TypeVar("T", bound=Mapping[str, Any])


def admit(
    record: InputRecord, data: Sequence[T], encode: Callable[[T], bytes], *, partitions: int, now_ms: int
) -> tuple[list[tuple[int, T]], list[OutputRecord]]:
    """The items with their index in the record, and the messages for `quarantine`; ``encode`` gives an item's bytes."""
    admitted: list[tuple[int, T]] = []
    sends: list[OutputRecord] = []
    for index, datum in enumerate(data, max(record.index, 0)):
        try:
            tenancy.check(datum)
        except tenancy.ForeignContactError as error:
            key, value = quarantine.encode(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                index=index,
                key=record.key,
                payload=encode(datum),
                reason=tenancy.FOREIGN,
                detail=str(error),
                now_ms=now_ms,
                workspace=datum["workspace"],
                event_id=datum.get("event_id", ""),
            )
            sends.append(OutputRecord(topics.QUARANTINE.name, partition_of(key.decode(), partitions), key, value))
        else:
            admitted.append((index, datum))
    return admitted, sends
