"""Settings in; workers to start, kill and feed out, their topics, their state and the recount of both."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processors.runtime.crash_trigger import VARIABLE
from schemas.service import kafka
from schemas.settings import PREFIX, Settings
from schemas.topics import QUARANTINE, Topic, app_id, changelog
from tests.integration.runtime_worker import ALARM, APP, COUNTED, COUNTS, KEPT, NUMBERS
from tests.integration.runtime_worker_store import Row
from tests.support.services import ROOT
from tests.support.waiting import eventually, wait_until

_OPEN = re.compile(r"open: partitions (\[[\d, ]*\])")


@dataclass(slots=True)
class RuntimeWorker:
    """A child process; every start is a new process with the same number."""

    settings: Settings
    module: str = "tests.integration.runtime_worker"
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.settings.home / f"worker-{self.settings.worker}.log"

    @property
    def ready_file(self) -> Path:
        return self.settings.home / f"ready-{self.settings.worker}"

    def start(self, *, crash_at: str = "") -> "RuntimeWorker":
        self.ready_file.unlink(missing_ok=True)
        given = self.settings.model_dump(exclude_unset=True)
        env = {PREFIX + name.upper(): str(value) for name, value in given.items()}
        env |= {"KAFKA_BOOTSTRAP_SERVERS": self.settings.bootstrap, PREFIX + "READY_FILE": str(self.ready_file)}
        env |= {VARIABLE: crash_at}
        self.settings.home.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                cwd=ROOT,
                env={**os.environ, **env},
                stdout=log,
                stderr=log,
            )
        return self

    def until_ready(self, within_s: float = 30.0) -> "RuntimeWorker":
        wait_until(lambda: self.ready_file.exists() or self.ended, f"ready: {self.tail}", within_s=within_s)
        assert not self.ended, self.tail
        return self

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def opened(self) -> list[list[int]]:
        """Its partitions after each rebalance, over all its starts."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [orjson.loads(match[1]) for line in lines if (match := _OPEN.search(line))]

    @property
    def tail(self) -> str:
        return self.log.read_text()[-3000:]

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, within_s: float = 20.0) -> int:
        assert self.process is not None
        return self.process.wait(within_s)

    def stop(self) -> int:
        self.send_signal(signal.SIGTERM)
        return self.wait()


@contextmanager
def workers(
    settings: Settings, count: int = 1, module: str = "tests.integration.runtime_worker"
) -> Iterator[list[RuntimeWorker]]:
    """Not started; killed at the end if they still run."""
    made = [RuntimeWorker(settings.model_copy(update={"worker": number}), module) for number in range(count)]
    for worker in made:
        worker.settings.model_fields_set.add("worker")
    try:
        yield made
    finally:
        for worker in made:
            if worker.process is not None and not worker.ended:
                worker.process.kill()
                worker.process.wait()


@dataclass(slots=True)
class RuntimeCluster:
    """The topics of one test."""

    settings: Settings
    producer: AIOKafkaProducer
    admin: AIOKafkaAdminClient
    sent: list[tuple[str, int, int, Mapping[str, Any]]] = field(default_factory=list)
    """Topic, partition, offset and value of what the broker has acknowledged."""

    def name(self, topic: Topic) -> str:
        return self.settings.topic_prefix + topic.name

    async def send(self, value: Mapping[str, Any], *, partition: int = 0, topic: Topic = NUMBERS) -> int:
        metadata = await self.producer.send_and_wait(
            self.name(topic), orjson.dumps(value), key=b"k", partition=partition
        )
        self.sent.append((topic.name, partition, metadata.offset, value))
        return int(metadata.offset)

    async def send_alone(self, name: str, value: bytes, *, key: bytes, partition: int) -> int:
        """In a transaction of its own, whose marker takes the offset behind it."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.bootstrap, transactional_id=self.settings.topic_prefix
        )
        async with producer, producer.transaction():
            metadata = await producer.send_and_wait(name, value, key=key, partition=partition)
        return int(metadata.offset)

    async def send_many(self, values: Iterable[Mapping[str, Any]], *, topic: Topic = NUMBERS) -> None:
        """Spread over all partitions."""
        await asyncio.gather(
            *(self.send(value, partition=i % self.settings.partitions, topic=topic) for i, value in enumerate(values))
        )

    @asynccontextmanager
    async def feeding(self, rate: float) -> AsyncIterator[None]:
        """Records at this rate to all partitions in turn, from before the block to after it."""
        stop = asyncio.Event()

        async def feed() -> None:
            start, sent = time.monotonic(), 0
            while not stop.is_set():
                await asyncio.sleep(max(0.0, start + sent / rate - time.monotonic()))
                await self.send({"keys": [f"k{sent % 50}"]}, partition=sent % self.settings.partitions)
                sent += 1

        task = asyncio.create_task(feed())
        try:
            yield
        finally:
            stop.set()
            await task

    def recount(self) -> dict[Row, int]:
        """How often each key must have been counted in each partition."""
        counts: Counter[Row] = Counter()
        for _, partition, _, value in self.sent:
            counts.update((partition, name.encode()) for name in set(value.get("keys", ())))
        return dict(counts)

    async def read(self, name: str, *, partitions: int | None = None) -> list[Any]:
        """Everything that is in a topic now."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        await consumer.start()
        try:
            tps = [TopicPartition(name, p) for p in range(partitions or self.settings.partitions)]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            records = []
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for rows in (await consumer.getmany(timeout_ms=200)).values():
                    records += rows
            return records
        finally:
            await consumer.stop()

    async def outputs(self) -> list[dict[str, Any]]:
        return [orjson.loads(record.value) for record in await self.read(self.name(COUNTED))]

    async def delays(self) -> dict[int, float]:
        """By partition the longest time from a record's arrival to its first output, in seconds."""
        first: dict[str, tuple[int, float]] = {}
        for record in await self.read(self.name(COUNTED)):
            value = orjson.loads(record.value)
            first.setdefault(value["of"], (record.partition, (value["at"] - value["received"]) / 1000))
        delays: dict[int, float] = {}
        for partition, delay in first.values():
            delays[partition] = max(delay, delays.get(partition, 0.0))
        return delays

    async def counted(self) -> dict[Row, int]:
        """The last count of each key on the output topic."""
        records = [r for r in await self.read(self.name(COUNTED)) if not r.key.startswith(ALARM)]
        return {(r.partition, r.key): orjson.loads(r.value)["n"] for r in records}

    async def answered(self) -> set[str]:
        return {output["of"] for output in await self.outputs() if "of" in output}

    def answers(self) -> int:
        """How many outputs there are if no record was processed twice."""
        return sum(len(value.get("keys", ())) for *_, value in self.sent)

    def asked(self) -> set[str]:
        return {f"{topic}/{p}/{offset}" for topic, p, offset, value in self.sent if value.get("keys")}

    async def logged(self) -> dict[Row, bytes]:
        """What a recovery from the changelog would yield."""
        rows: dict[Row, bytes] = {}
        for record in await self.read(changelog(APP, COUNTS, self.settings)):
            if record.value is None:
                rows.pop((record.partition, record.key), None)
            else:
                rows[record.partition, record.key] = record.value
        return rows

    async def committed(self) -> dict[tuple[str, int], int]:
        """By topic of the catalogue and partition."""
        offsets = await self.admin.list_consumer_group_offsets(app_id(APP, self.settings))
        prefix = self.settings.topic_prefix
        return {(tp.topic.removeprefix(prefix), tp.partition): o.offset for tp, o in offsets.items()}

    async def all_committed(self) -> None:
        """Everything that was sent is finished and committed."""
        expected: dict[tuple[str, int], int] = {}
        for topic, partition, offset, _ in self.sent:
            expected[topic, partition] = max(offset + 1, expected.get((topic, partition), 0))

        async def done() -> bool:
            committed = await self.committed()
            return all(committed.get(place, 0) >= offset for place, offset in expected.items())

        await eventually(done, f"commits of {expected}")


@asynccontextmanager
async def cluster(settings: Settings) -> AsyncIterator[RuntimeCluster]:
    """Topics made, a producer and an admin client at hand."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    producer = kafka.producer(settings)
    await admin.start()
    await producer.start()
    compact = {"cleanup.policy": "compact"}
    names: dict[str, dict[str, str]] = {
        settings.topic_prefix + NUMBERS.name: {},
        settings.topic_prefix + KEPT.name: compact,
        settings.topic_prefix + COUNTED.name: {},
        settings.topic_prefix + QUARANTINE.name: {},
        changelog(APP, COUNTS, settings): compact,
    }
    try:
        await admin.create_topics(
            [
                NewTopic(name, settings.partitions, 1, topic_configs={"max.message.bytes": "2097152", **config})
                for name, config in names.items()
            ]
        )
        yield RuntimeCluster(settings, producer, admin)
    finally:
        await producer.stop()
        await admin.close()


def keyed(count: int, keys: Sequence[str] = ("a", "b", "c", "d", "e", "f", "g")) -> list[dict[str, Any]]:
    """Values that touch every key again and again, two of them each."""
    return [{"keys": [keys[i % len(keys)], keys[(i * 3 + 1) % len(keys)]]} for i in range(count)]
