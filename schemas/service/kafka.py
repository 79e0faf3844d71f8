"""Settings in, aiokafka clients set up the one right way out: the producer, and the tail that replicates a topic."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from schemas import topics
from schemas.service.kafka_auth import METADATA_MAX_AGE_MS, connection
from schemas.settings import Settings

log = logging.getLogger(__name__)

REMIND_S = 10.0
"""Seconds between two log lines of a waiting process."""
RETRY_S = 0.5
MAX_RECORD_BYTES = 1_900_000
"""Below the topics' max.message.bytes of 2 MiB: a rejected batch would poison an idempotent producer."""


def compression_of(settings: Settings) -> str | None:
    """The compression of what producers send, as Kafka's clients name it."""
    return None if settings.kafka_compression == "none" else settings.kafka_compression


def producer(settings: Settings) -> AIOKafkaProducer:
    """Durable before it answers: all replicas, idempotent, no linger (callers batch by themselves)."""
    return AIOKafkaProducer(
        **connection(settings),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        compression_type=compression_of(settings),
        max_batch_size=1 << 20,
        max_request_size=2 << 20,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )


async def started(settings: Settings, make: Callable[[], Any]) -> Any:
    """A started client of ``make``, which is called when the broker answers."""
    while True:
        await wait_for_broker(settings)
        client = make()
        try:
            await client.start()
        except KafkaConnectionError:  # it went away in between
            await client.stop()
        else:
            return client


async def started_producer(settings: Settings) -> AIOKafkaProducer:
    """A ``producer`` that is connected; waits for the broker."""
    # aiokafka binds a producer to the loop that runs when it is made
    return await started(settings, lambda: producer(settings))


class QuietClients:
    """Silences aiokafka's log of each failed try, for callers that report an unavailable broker themselves.

    Several may overlap; the last one to leave restores the logger's level.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._level = logging.NOTSET

    def __enter__(self) -> None:
        clients = logging.getLogger("aiokafka")
        if not self._inside:
            self._level = clients.level
        self._inside += 1
        clients.setLevel(logging.CRITICAL + 1)

    def __exit__(self, *_: object) -> None:
        self._inside -= 1
        if not self._inside:
            logging.getLogger("aiokafka").setLevel(self._level)


quiet_clients = QuietClients()


async def wait_for_broker(settings: Settings) -> None:
    """Return when the broker answers; until then log a line every ``REMIND_S``."""
    loop = asyncio.get_running_loop()
    remind_at = loop.time() + REMIND_S
    while True:
        client = AIOKafkaClient(**connection(settings))
        try:
            await client.bootstrap()
        except KafkaConnectionError as error:
            if loop.time() >= remind_at:
                remind_at = loop.time() + REMIND_S
                log.warning("waiting for Kafka at %s: %s", settings.bootstrap, error)
            await asyncio.sleep(RETRY_S)
        else:
            return
        finally:
            await client.close()


async def make_topic(settings: Settings, name: str) -> None:
    """A topic with the settings' partitions and replicas, unless it is there; raises ``KafkaError``."""
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        made = await admin.create_topics([NewTopic(name, settings.partitions, settings.replication)])
        for _, code, *_ in made.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(name)
    finally:
        await admin.close()


class Probe:
    """Asks the leaders of a topic's partitions for their end offsets: a leader that answers also accepts records."""

    def __init__(self, settings: Settings, topic: topics.Topic) -> None:
        self._settings = settings
        name = topics.name(topic, settings)
        self._parts = [TopicPartition(name, p) for p in range(topics.partition_count(topic, settings))]
        self._client: Any = None

    async def ask(self) -> None:
        """Raises ``KafkaError``; does not return while a leader is silent."""
        if self._client is None:
            client = AIOKafkaConsumer(**connection(self._settings), enable_auto_commit=False)
            try:
                await client.start()
            except BaseException:
                await client.stop()
                raise
            self._client = client
        await self._client.end_offsets(self._parts)

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.stop()


class TailEndedError(Exception):
    """The topic is no longer followed, so a wait for one of its records would never end."""


class Tail:
    """A local copy of a topic, as Kafka Streams' GlobalKTable: each record goes to ``apply``, in order.

    It has no group. It reads all partitions or ``partitions``, from the beginning or from ``positions``.
    ``start`` returns when all records that were in the topic at that moment have been applied. ``catch_up`` waits for
    the records that are in the topic now: a read after it sees every write that was acknowledged before. The tail
    waits while the broker is away. An error of ``apply`` ends the tail; ``start`` and ``catch_up`` raise it.
    """

    def __init__(
        self,
        settings: Settings,
        topic: topics.Topic,
        apply: Callable[[Any], None],
        *,
        from_end: bool = False,
        positions: dict[int, int] | None = None,
        partitions: Sequence[int] | None = None,
        patience_s: float | None = None,
    ) -> None:
        self._settings = settings
        self._name = topics.name(topic, settings)
        partition_ids = range(topics.partition_count(topic, settings)) if partitions is None else partitions
        self._parts = [TopicPartition(self._name, p) for p in partition_ids]
        self._apply = apply
        self._from_end = from_end
        self._positions = positions or {}
        self._patience_s = patience_s
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None
        self._failed = False
        self._moved = asyncio.Condition()
        self._asking = asyncio.Lock()
        self._asker: AIOKafkaConsumer | None = None
        self._next: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        self._consumer = await started(
            self._settings,
            lambda: AIOKafkaConsumer(
                **connection(self._settings),
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                fetch_max_wait_ms=2000,
                metadata_max_age_ms=METADATA_MAX_AGE_MS,
            ),
        )
        self._consumer.assign(self._parts)
        begin = await self._consumer.beginning_offsets(self._parts)
        end = await self._consumer.end_offsets(self._parts)
        for tp in self._parts:
            position = self._positions.get(tp.partition, begin[tp])
            at = end[tp] if self._from_end else min(max(position, begin[tp]), end[tp])
            self._consumer.seek(tp, at)
            self._next[tp] = at
        self._task = asyncio.create_task(self._run(), name=f"tail {self._name}")
        await self._wait_for(end)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()
        if self._asker is not None:
            await self._asker.stop()

    async def ended(self) -> None:
        """Return when it follows the topic no more, which only an error makes it do; raises that error."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def catch_up(self) -> None:
        """Return when everything that is in the topic now has been applied.

        Raises ``KafkaError``, and ``TimeoutError`` when ``patience_s`` is over, where it is given.
        """
        async with asyncio.timeout(self._patience_s):
            await self._catch_up()

    async def _catch_up(self) -> None:
        async with self._asking:
            if self._asker is None:
                # The tail's own connection is busy with a fetch that waits for news: an answer would come after it.
                self._asker = await started(
                    self._settings,
                    lambda: AIOKafkaConsumer(**connection(self._settings), enable_auto_commit=False),
                )
        await self._wait_for(await self._asker.end_offsets(self._parts))

    async def _wait_for(self, end: dict[TopicPartition, int]) -> None:
        """Raises ``TailEndedError`` if the tail has ended."""
        while True:
            async with self._moved:
                try:
                    async with asyncio.timeout(REMIND_S):
                        await self._moved.wait_for(lambda: self._has_ended() or not self._missing(end))
                except TimeoutError:
                    log.warning("waiting for %s to be read up to %s", self._name, self._missing(end))
                    continue
            if self._missing(end):
                raise TailEndedError(f"the tail of {self._name} has ended")
            return

    def _missing(self, end: dict[TopicPartition, int]) -> dict[int, int]:
        """Returns the partitions that are not read up to ``end`` yet, with their ends."""
        return {tp.partition: end[tp] for tp in self._parts if self._next[tp] < end[tp]}

    def _has_ended(self) -> bool:
        return self._task is None or self._task.done() or self._failed

    async def _run(self) -> None:
        try:
            while True:
                await self._read()
        except Exception:
            log.exception("following topic %s ended", self._name)
            raise
        finally:
            self._failed = True
            async with self._moved:
                self._moved.notify_all()

    async def _read(self) -> None:
        try:
            fetched = await self._consumer.getmany(timeout_ms=5000)
        except KafkaError:
            log.exception("following topic %s: waiting for the broker", self._name)
            await asyncio.sleep(0.5)
            return
        for records in fetched.values():
            for record in records:
                self._apply(record)
        for tp in self._parts:
            # position, not the last record's offset: a compacted topic's end need not be a record
            self._next[tp] = await self._consumer.position(tp)
        async with self._moved:
            self._moved.notify_all()
