"""A running stack in; every membership change on `changes`, as it arrives, out."""

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer

from schemas import topics
from schemas.records import codec
from schemas.records.records import Change
from tests.support.stack import LocalStack


async def follow_memberships(
    stack: LocalStack, seen: Callable[[Any, Change], None], *, since: str = "latest", wait_ms: int = 50
) -> None:
    """Runs until its cancellation; ``seen`` gets the record and one of its changes."""
    consumer = AIOKafkaConsumer(
        topics.name(topics.CHANGES, stack.settings),
        bootstrap_servers=stack.settings.bootstrap,
        auto_offset_reset=since,
        fetch_max_wait_ms=wait_ms,
    )
    await consumer.start()
    try:
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    for change in codec.decode_changes(record.value):
                        if change["kind"] == "membership":
                            seen(record, change)
    finally:
        await consumer.stop()
