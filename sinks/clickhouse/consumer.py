"""The ClickHouse sink: Kafka's records in, to one inserter a topic; the only commit of offsets out.

1. When partitions are assigned, the tables give the positions to resume at (`sinks/clickhouse/resume.py`); until then
   the sink drops all fetched records.
2. Offsets are committed a few times a second, after their rows are stored. The search for the position only
   starts there: the rows are the checkpoint, so a crash before a commit stores nothing twice.
3. While ClickHouse is away the inserters fill, then their partitions are paused: the lag grows in Kafka.
4. The sink releases partitions after their last block has ended, or 5 s later without it.
5. A request to read a topic again (`sinks/clickhouse/rereads.py`) opens a new session at the requested position.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from schemas import topics
from schemas.control.erasure import Erased
from schemas.errors import ApiError
from schemas.service import clock
from schemas.service.kafka import wait_for_broker
from schemas.service.kafka_auth import METADATA_MAX_AGE_MS, connection
from schemas.settings import Settings
from schemas.tracing.spans import Tracer
from sinks.clickhouse.inserter import DlqLimit, SinkContext, StreamInserter
from sinks.clickhouse.publish import SinkPublisher
from sinks.clickhouse.rereads import Mark, Rereads, mark_of
from sinks.clickhouse.resume import RETRY_S, Bounds, committed_of, resume
from sinks.clickhouse.streams import STREAMS, Stream
from sinks.clickhouse.writer import Writer

log = logging.getLogger(__name__)

COMMIT_EVERY_S = 0.25
PACE_S = 0.025
"""Shortest time between fetches: a fetch of many records costs the broker as little as a fetch of one."""
GIVE_AWAY_S = 5.0


class Assignment:
    """The lanes from one assignment of partitions to the next."""

    def __init__(self, loop: "ClickHouseConsumer", assigned: Iterable[TopicPartition]) -> None:
        self._loop = loop
        self.assigned = frozenset(assigned)
        self._marks: dict[TopicPartition, Mark] = {}
        self.knows = loop.rereads.newest_id()
        """The newest request to read again that it was opened with."""
        self._tasks: list[asyncio.Task[None]] = []
        self._committed: dict[TopicPartition, int] = {}
        self.inserters: dict[str, StreamInserter] = {}

    async def open(self) -> None:
        """Starts each inserter at its position."""
        loop = self._loop
        inserters = {}
        committed = await committed_of(loop.settings)
        for stream in STREAMS:
            topic = topics.name(stream.topic, loop.settings)
            assigned = [tp for tp in self.assigned if tp.topic == topic]
            bounds = await self._bounds(stream.topic.name, assigned, committed)
            inserter = inserters[topic] = loop.inserter(stream, topic)
            places = await resume(stream, topic, bounds, partial(self._ends, assigned), loop.writer)
            for partition, (offset, part) in places.items():
                inserter.begin(partition, offset, part)
                loop.consumer.seek(TopicPartition(topic, partition), offset)
        loop.consumer.resume(*self.assigned)
        self.inserters = inserters
        self._tasks = [
            asyncio.create_task(inserter.run(), name=f"insert {topic}") for topic, inserter in inserters.items()
        ]
        for task in self._tasks:
            task.add_done_callback(loop.on_lane_ended)

    async def _bounds(
        self, topic: str, assigned: list[TopicPartition], committed: dict[TopicPartition, OffsetAndMetadata]
    ) -> dict[int, Bounds]:
        first = await self._loop.consumer.beginning_offsets(assigned)
        end = await self._ends(assigned)
        bounds = {}
        for tp in assigned:
            offset, text = committed.get(tp, (None, ""))
            noted = mark_of(text)
            mark = self._marks[tp] = self._loop.rereads.mark(topic, tp.partition, noted)
            bounds[tp.partition] = Bounds(
                committed=offset, first=first[tp], end=end[tp.partition], noted=noted, mark=mark
            )
        return bounds

    async def _ends(self, assigned: list[TopicPartition]) -> dict[int, int]:
        return {tp.partition: end for tp, end in (await self._loop.consumer.end_offsets(assigned)).items()}

    async def close(self) -> None:
        """Let each block that is being stored end; then stop."""
        if self._tasks:
            idle = asyncio.gather(*(inserter.end() for inserter in self.inserters.values()))
            await asyncio.wait([idle], timeout=GIVE_AWAY_S)
            idle.cancel()
        for task in self._tasks:
            task.remove_done_callback(self._loop.on_lane_ended)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.commit()

    async def commit(self) -> None:
        done = {
            TopicPartition(topic, partition): offset
            for topic, inserter in self.inserters.items()
            for partition, offset in inserter.done.items()
        }
        news = {tp: offset for tp, offset in done.items() if self._committed.get(tp) != offset}
        if not news:
            return
        noted = {tp: (offset, self._marks[tp].at(offset)) for tp, offset in news.items()}
        try:
            await self._loop.consumer.commit(noted)
        except KafkaError as error:
            log.warning("offsets are not committed now, the tables have them: %r", error)
        else:
            self._committed.update(news)

    def again(self) -> list[str]:
        """Returns a text for each topic that is still being read again."""
        texts = []
        for topic, inserter in self.inserters.items():
            places = [(tp, mark.until) for tp, mark in self._marks.items() if tp.topic == topic]
            left = sum(max(0, until - inserter.place(tp.partition)) for tp, until in places)
            if left:
                texts.append(f"{topic} is read again, {left} records to go")
        return texts


class ClickHouseConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Consumer, writer and publisher; one session at a time."""

    def __init__(
        self,
        settings: Settings,
        on_ready: Callable[[], None],
        erased: Erased | None = None,
        rereads: Rereads | None = None,
        tracer: Tracer | None = None,
        *,
        writer: Writer | None = None,
    ) -> None:
        self.settings = settings
        self.rereads = Rereads() if rereads is None else rereads
        self.writer = Writer(settings) if writer is None else writer
        self._publisher = SinkPublisher(settings)
        self._context = SinkContext(
            settings=settings,
            writer=self.writer,
            publisher=self._publisher,
            dlq_limit=DlqLimit(),
            on_space=self._on_space,
            erased=Erased() if erased is None else erased,
            tracer=tracer,
        )
        self._on_ready = on_ready
        self.session: Assignment | None = None
        self._opening: asyncio.Task[None] | None = None
        self._paused: set[TopicPartition] = set()

    async def run(self) -> None:
        """Run until cancelled; raises the error that ended an inserter."""
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await wait_for_broker(self.settings)
        await self.writer.start()
        await self.writer.wait_for_tables()
        await self._publisher.start()
        self.consumer = AIOKafkaConsumer(
            **connection(self.settings),
            group_id=topics.app_id(topics.CLICKHOUSE_GROUP, self.settings),
            group_instance_id=f"{topics.app_id(topics.CLICKHOUSE_GROUP, self.settings)}-{self.settings.worker}",
            session_timeout_ms=int(self.settings.session_timeout_s * 1000),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=1000,
            fetch_max_bytes=8 << 20,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        await self.consumer.start()
        self.consumer.subscribe([topics.name(s.topic, self.settings) for s in STREAMS], listener=self)
        tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._commit())]
        try:
            await asyncio.wait([*tasks, self._ended], return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._ended, *tasks):
                if ended.done():
                    ended.result()
        finally:
            await self._close(tasks)

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.on_partitions_revoked(())
        await self.consumer.stop()
        await self._publisher.stop()
        await self.writer.stop()

    def inserter(self, stream: Stream, topic: str) -> StreamInserter:
        return StreamInserter(stream, topic, self._context)

    def on_lane_ended(self, task: asyncio.Task[None]) -> None:
        if not self._ended.done() and not task.cancelled():
            error = task.exception()
            self._ended.set_exception(error or RuntimeError(f"{task.get_name()} ended"))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        session, self.session, self._opening = self.session, None, None
        if session is not None:
            await session.close()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        # a fetch waits for data, and every other question to the same broker waits behind it
        self.consumer.pause(*assigned)
        # not awaited here: ClickHouse may be away, and the group must not wait for it
        self._opening = asyncio.create_task(self._open(Assignment(self, assigned)))

    async def _open(self, session: Assignment) -> None:
        try:
            await session.open()
        except Exception as error:  # noqa: BLE001 - it ends the process
            if not self._ended.done():
                self._ended.set_exception(error)
            return
        self._paused.clear()
        self.session = session
        self._on_ready()

    async def _poll(self) -> None:
        began = 0.0
        while True:
            await asyncio.sleep(began + PACE_S - time.monotonic())
            try:
                with clock.timing(self.writer.counts.seconds, "poll"):
                    fetched = await self.consumer.getmany(timeout_ms=60_000)
            except KafkaError:
                log.exception("waiting for the broker")
                await asyncio.sleep(RETRY_S)
                continue
            began = time.monotonic()
            session = self.session
            if session is None:
                continue  # the tables will say where to go on, and it is read again from there
            for tp, records in fetched.items():
                inserter = session.inserters[tp.topic]
                inserter.put(tp.partition, records)
                if inserter.is_full and tp not in self._paused:
                    self._paused.add(tp)
                    self.consumer.pause(tp)

    def _on_space(self) -> None:
        session = self.session
        for tp in list(self._paused):
            if session is not None and not session.inserters[tp.topic].is_full:
                self._paused.discard(tp)
                self.consumer.resume(tp)

    async def _commit(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            if self.session is None:
                continue
            with clock.timing(self.writer.counts.seconds, "commit"):
                await self.session.commit()
            if self.session is not None and self.session.knows < self.rereads.newest_id():
                session, self.session = self.session, None
                self._opening = asyncio.create_task(self._open_again(session))

    async def _open_again(self, session: Assignment) -> None:
        closing = asyncio.create_task(session.close())
        try:
            await asyncio.shield(closing)
        finally:
            await closing  # the partitions may be given away meanwhile, but not before
        self.consumer.pause(*session.assigned)
        await self._open(Assignment(self, session.assigned))

    async def check_again(self) -> None:
        """Raises ``ApiError`` while topics are being read again."""
        if self.session is not None and (again := self.session.again()):
            raise ApiError("unavailable", "; ".join(again))
