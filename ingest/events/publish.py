"""Records in, acknowledgements of all replicas out; a producer that broke is replaced by a new one."""

import asyncio
import logging

from aiokafka.errors import KafkaError

from schemas.errors import ApiError
from schemas.record_batches import Headers
from schemas.service import kafka
from schemas.settings import Settings

log = logging.getLogger(__name__)


class Publisher:
    """The edge's one Kafka producer.

    While the broker is away a send waits (an idempotent batch never expires): deadlines are the caller's.
    After an error that producer can be poisoned for good (its sequence numbers have a hole), so it is left
    behind; the client's retry with the same event id makes the repeat harmless.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._replacing = asyncio.Lock()

    async def start(self) -> None:
        self._producer = await kafka.started_producer(self._settings)

    async def stop(self) -> None:
        # while the broker is away stop() would wait for ever for unsent records
        try:
            await asyncio.wait_for(self._producer.stop(), 5)
        except TimeoutError:
            log.warning("stopped with records that the broker never acknowledged")

    async def send(self, topic: str, value: bytes, *, partition: int | None = None, key: bytes | None = None) -> int:
        """Publishes with a deadline: after it raises ``ApiError`` (503), the record may still become durable."""
        sending = asyncio.ensure_future(self.publish(topic, value, partition=partition, key=key))
        sending.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(self._settings.publish_deadline_s):
                # shielded: its batch is on its way, even if the caller stops waiting
                return await asyncio.shield(sending)
        except TimeoutError as error:
            raise ApiError("unavailable", "not durable yet; check whether it exists before you repeat it") from error

    async def publish(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Headers | None = None,
    ) -> int:
        """Returns a record's offset when it is durable, with no deadline; raises ``ApiError`` (503) if it fails."""
        producer = self._producer
        try:
            sent = await (await producer.send(topic, value, key=key, partition=partition, headers=headers or None))
        except KafkaError as error:
            log.exception("a record for %s was not accepted", topic, extra={"topic": topic})
            await self._replace(producer)
            raise ApiError("unavailable", "Kafka did not accept it; try again") from error
        return int(sent.offset)

    async def _replace(self, broken: object) -> None:
        async with self._replacing:
            if self._producer is not broken:
                return
            old = self._producer
            self._producer = await kafka.started_producer(self._settings)
            asyncio.create_task(_discard(old), name="discard producer")  # noqa: RUF006 - no caller waits for it


async def _discard(producer: object) -> None:
    try:
        await asyncio.wait_for(producer.stop(), 5)  # type: ignore[attr-defined]  # aiokafka is untyped
    except (TimeoutError, KafkaError):
        log.warning("a broken producer was dropped")


def _retrieve(sending: asyncio.Future[int]) -> None:
    """After the deadline no caller waits any more; errors are in the log."""
    if not sending.cancelled():
        sending.exception()
