"""Receipts and records that could not be stored in; records on `receipts` and `quarantine` out, durable on return."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from schemas import topics
from schemas.records import codec, quarantine
from schemas.records.identity import partition_of
from schemas.records.records import Receipt
from schemas.service import clock, kafka
from schemas.settings import Settings
from sinks.clickhouse.rows import Item

UNDECODABLE = "undecodable"
UNSTORABLE = "unstorable"


MAX_RECORD = 800_000
"""Bytes of one record, about, and well below the broker's limit."""
RECEIPT_BYTES = 2000
"""Bytes of a receipt beside its contact, about: names of segments are part of them."""


def split(receipts: Sequence[Receipt]) -> Iterator[Sequence[Receipt]]:
    """Divides receipts into consecutive groups, each of which fits into a record."""
    start, size = 0, 0
    for index, receipt in enumerate(receipts):
        added = RECEIPT_BYTES + len(receipt.get("contact", b""))
        if size + added > MAX_RECORD and size:
            yield receipts[start:index]
            start, size = index, 0
        size += added
    if receipts:
        yield receipts[start:]


class SinkPublisher:
    """Waits while the broker is away; raises ``KafkaError`` for a refused record."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def start(self) -> None:
        self._producer = await kafka.started_producer(self._settings)

    async def stop(self) -> None:
        await self._producer.stop()

    async def receipts(self, by_instance: dict[str, list[Receipt]]) -> None:
        """Sends the receipts to the waiting edges, in as few records as possible for each edge."""
        sends = [
            await self._producer.send(
                topics.name(topics.RECEIPTS, self._settings),
                codec.encode_receipts(some),
                key=instance.encode(),
                partition=partition_of(instance, topics.partition_count(topics.RECEIPTS, self._settings)),
            )
            for instance, receipts in by_instance.items()
            for some in split(receipts)
        ]
        if sends:
            await asyncio.gather(*sends)

    async def record(self, topic: str, record: Any, detail: str) -> None:
        """Quarantine a whole record that cannot be decoded; ``topic`` as the catalogue calls it."""
        await self._quarantine(
            topic=topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            payload=record.value,
            reason=UNDECODABLE,
            detail=detail,
        )

    async def item(self, topic: str, item: Item, payload: bytes, detail: str) -> None:
        """Send a datum of a record to quarantine, as a record that can be replayed alone."""
        await self._quarantine(
            topic=topic,
            partition=item.partition,
            offset=item.offset,
            index=item.nth,
            key=None,
            payload=payload,
            reason=UNSTORABLE,
            detail=detail,
            workspace=item.datum.get("workspace", ""),
            event_id=item.datum.get("event_id", ""),
        )

    async def _quarantine(self, **of: Any) -> None:
        key, value = quarantine.encode(now_ms=clock.now_ms(), **of)
        await self._producer.send_and_wait(
            topics.name(topics.QUARANTINE, self._settings),
            value,
            key=key,
            partition=partition_of(key.decode(), topics.partition_count(topics.QUARANTINE, self._settings)),
        )
