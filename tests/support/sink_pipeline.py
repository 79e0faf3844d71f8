"""Settings in; a provisioned broker and database, a sink as a child process, and its stored rows, out."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from subprocess import Popen
from typing import Any

import clickhouse_connect
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.local import seed
from deploy.local.stack import environment
from deploy.provision import provision
from schemas import topics
from schemas.control import control_state
from schemas.control.development import SECRET_KEY
from schemas.records import codec
from schemas.records.identity import partition_of
from schemas.records.records import Change, Event
from schemas.service import kafka
from schemas.settings import Settings
from sinks.clickhouse.rows import Item, Table
from sinks.clickhouse.streams import STREAMS
from sinks.clickhouse.writer import Writer
from tests.support import services
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, event
from tests.support.waiting import eventually


@asynccontextmanager
async def process(settings: Settings, command: str) -> AsyncIterator["Popen[bytes]"]:
    """Runs ``python -m sinks COMMAND`` until the block ends, and yields when it is ready; the test's tasks continue."""
    ready = settings.home / f"{command}-{time.monotonic_ns()}.ready"
    variables = environment(settings) | {"HEADWATER_READY_FILE": str(ready)}
    log = settings.home / f"{command}.log"
    running = services.child((sys.executable, "-m", "sinks", command), log=log, ready=ready.exists, env=variables)
    child = await asyncio.to_thread(running.__enter__)
    try:
        yield child
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


class Pipeline:
    """The stages around the sink: sends their records, and reads an analyst's rows."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer, client: Any) -> None:
        self.settings = settings
        self._producer = producer
        self._client = client

    async def raw(self, topic: topics.Topic, value: bytes | None, partition: int = 0, key: bytes | None = None) -> int:
        """Sends one record; returns its offset."""
        name = topics.name(topic, self.settings)
        sent = await self._producer.send_and_wait(name, value, partition=partition, key=key)
        return int(sent.offset)

    async def resolved(self, events: Sequence[Event], partition: int = 0) -> int:
        return await self.raw(topics.RESOLVED, codec.encode_events(events), partition)

    async def changes(self, *changes: Change) -> None:
        """Sends each change to its contact's partition, in order."""
        parts: dict[int, list[Change]] = {}
        for change in changes:
            parts.setdefault(partition_of(change["contact_id"], self.settings.partitions), []).append(change)
        for partition, some in parts.items():
            await self.raw(topics.CHANGES, codec.encode_changes(some), partition)

    async def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in (await self._client.query(sql, parameters=parameters)).result_rows]

    async def run(self, sql: str) -> None:
        await self._client.command(sql)

    async def committed(self, topic: topics.Topic, partition: int = 0) -> int:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.bootstrap,
            group_id=topics.app_id(topics.CLICKHOUSE_GROUP, self.settings),
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            return await consumer.committed(TopicPartition(topics.name(topic, self.settings), partition)) or 0
        finally:
            await consumer.stop()

    async def read(self, topic: topics.Topic, count: int, within_s: float = 20) -> list[Any]:
        """Reads the first ``count`` records of a topic, from all partitions."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest")
        name = topics.name(topic, self.settings)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(name, p) for p in range(topics.partition_count(topic, self.settings))])
            fetched: list[Any] = []
            deadline = time.monotonic() + within_s
            while len(fetched) < count:
                assert time.monotonic() < deadline, f"{len(fetched)} records of {count} in {name}"
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    fetched += records
            return fetched
        finally:
            await consumer.stop()


@asynccontextmanager
async def pipeline(settings: Settings) -> AsyncIterator[Pipeline]:
    """Creates topics and tables."""
    await provision(settings)
    producer = kafka.producer(settings)
    await producer.start()
    client = await clickhouse_connect.get_async_client(
        dsn=settings.clickhouse, database=settings.clickhouse_database, autogenerate_session_id=False
    )
    try:
        yield Pipeline(settings, producer, client)
    finally:
        await client.close()
        await producer.stop()


def change(contact_id: str, kind: str, version: int, **more: Any) -> Change:
    row = Change(
        workspace=WORKSPACE, environment=ENVIRONMENT, contact_id=contact_id, kind=kind, version=version, at_ms=NOW_MS
    )
    row.update(more)  # type: ignore[typeddict-item]  # tests name real fields
    return row


def placed(number: int) -> Event:
    """Event ``number``, of a contact of its own, as identity would send it: it stood at that offset of `events`."""
    place: dict[str, Any] = {"origin_partition": 0, "origin_offset": number, "origin_index": 0}
    return event(f"external_id:u{number}", event_id=f"e{number}", **place)


def placed_items(first: int, end: int) -> list[Item]:
    return [Item(0, number, 0, placed(number)) for number in range(first, end)]


class ReadPipeline(Pipeline):
    """Runs the read API as a process; stores its rows and definitions."""

    http: httpx.AsyncClient
    _writer: Writer
    _placed = 0

    async def define(self, kind: str, record: control_state.ControlRecord) -> None:
        key, value = control_state.encode(kind, record)
        await self.raw(topics.CONTROL, value, key=key)

    async def store(self, table: Table, *data: Any) -> None:
        """Stores rows as the sink does, after their way over Kafka: twice, as after a lost answer."""
        stream = next(stream for stream in STREAMS if table in stream.tables)
        arrived = [datum for datum_sent in data for datum in stream.decode(stream.encode(datum_sent))]
        items = [Item(0, self._placed + n, 0, datum) for n, datum in enumerate(arrived)]
        self._placed += len(items)
        await self._writer.prepare(table)
        for _ in range(2):
            await self._writer.insert(table, "test", items)

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """Returns the JSON of a response, and checks its status."""
        answer = await self.http.get(path, params=query)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        return answer.json()


@asynccontextmanager
async def reads(settings: Settings) -> AsyncIterator[ReadPipeline]:
    async with pipeline(settings) as pipe:
        api = ReadPipeline(settings, pipe._producer, pipe._client)
        for kind, record in seed.records():
            await api.define(kind, record)
        api._writer = Writer(settings)
        await api._writer.start()
        headers = {"Authorization": f"Bearer {SECRET_KEY}"}
        api.http = httpx.AsyncClient(base_url=settings.query, headers=headers, trust_env=False, timeout=30)
        try:
            async with process(settings, "query"), api.http:
                await eventually(lambda: _is_up(api.http), "the read API")
                yield api
        finally:
            await api._writer.stop()


async def _is_up(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health/ready")).is_success
    except httpx.TransportError:
        return False
