"""Names of steps on stdin, one a line; the CPU that a new contact of a batch costs in that step, in µs, out.

With ``EVENTS=1`` it is an event of a known contact, among ten segments. The steps are those of the processes, without
Kafka and ClickHouse: the edge's request, identity's events and links, segments, and both readers of the results. Each
step reads the records of the step before it.
"""

import schemas.compiled.use  # noqa: F401 - before the modules that it finds

# isort: split
import asyncio
import gc
import logging
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
from aiokafka import TopicPartition

from ingest.app import build_app
from processors.identity.stage import IdentityStage
from processors.runtime.stage import InputRecord, PartitionState, Stage
from processors.segments.stage import SegmentsStage
from schemas import topics
from schemas.control.control_state import ControlState, Segment, encode
from schemas.service import clock
from sinks.clickhouse import dedupe, streams
from sinks.clickhouse.block import Buffer
from sinks.clickhouse.rows import fill
from sinks.webhooks.notification_state import NotificationState
from sinks.webhooks.planner import DeliveryPlanner
from sinks.webhooks.store import Store
from tests.bench.cost import SEGMENTS, event
from tests.bench.imports import people
from tests.support.builders import MemoryTables
from tests.support.edge import NOW_MS, MemoryLog, memory_edge

CONTACTS = int(os.environ.get("CONTACTS", "500"))
EVENTS = os.environ.get("EVENTS") == "1"
BATCH = 100 if EVENTS else CONTACTS
PARTITIONS, RECORDS = 4, 4
OLD_MS = 600_000
"""A stage that began so long ago tells nothing again."""
Records = dict[int, list[bytes]]
"""By partition."""


class Steps:
    """Each step reads the records that the preceding steps published in their last run."""

    def __init__(self, home: Path) -> None:
        self._home, self._runs, self._now_ms = home, count(), clock.now_ms()
        self._log = MemoryLog()
        self._edge = memory_edge(home, self._log)
        self._edge.clock = clock.now_ms
        self._app = build_app(self._edge)
        self._loop = asyncio.new_event_loop()
        self._records: dict[str, Records] = {}
        self._tables = defaultdict[str, MemoryTables](MemoryTables)
        if EVENTS:
            _declare(self._edge.control)
        self.all: dict[str, Callable[[], float]] = {
            "edge": self._take,
            "identity": lambda: self._process(IdentityStage(self._edge.control, PARTITIONS), topics.EVENTS.name),
            "links": lambda: self._process(IdentityStage(self._edge.control, PARTITIONS), topics.LINKS.name),
            "segments": lambda: self._process(SegmentsStage(self._edge.control, PARTITIONS), topics.RESOLVED.name),
            **{f"sink of {stream.topic.name}": partial(self._store, stream) for stream in streams.STREAMS[:3]},
            "webhooks": self._plan,
        }

    def _take(self) -> float:
        name, more = ("events", _events()) if EVENTS else ("contacts", self._contacts())
        bodies = [orjson.dumps({name: more[at : at + BATCH]}) for at in range(0, CONTACTS, BATCH)]
        self._log.records.clear()
        spent = sum(self._request(f"/v1/{name}/batch", body) for body in bodies)
        events = self._records[topics.EVENTS.name] = defaultdict(list)
        for partition, record in self._log.records:
            events[partition].append(record)
        return spent

    def _contacts(self) -> list[dict[str, Any]]:
        return people(f"run{next(self._runs)}", CONTACTS, emails=False)

    def _request(self, path: str, body: bytes) -> float:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        key = b"Bearer sk_dev_local"
        headers = [(b"authorization", key), (b"content-type", b"application/json"), (b"host", b"edge")]
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": headers,
            "query_string": b"",
        }
        scope |= {"scheme": "http", "http_version": "1.1", "root_path": "", "client": ("127.0.0.1", 1)}
        began = time.thread_time()
        self._loop.run_until_complete(self._app(scope, receive, send))
        spent = time.thread_time() - began
        assert sent[0]["status"] == 202, sent
        return spent

    def _process(self, stage: Stage, topic: str) -> float:
        tables = self._tables[topic] if EVENTS else MemoryTables()
        spent, sent = 0.0, defaultdict[str, Any](lambda: defaultdict(list))
        for partition, values in self._records[topic].items():
            stage.on_assigned(partition, lambda table, p=partition: tables.scan(table, p))  # type: ignore[misc]
            stage.on_timer(PartitionState(partition, tables), self._now_ms - OLD_MS)
            for first in range(0, len(values), RECORDS):
                some = enumerate(values[first : first + RECORDS], first)
                records = [InputRecord(topic, partition, n, None, value, self._now_ms) for n, value in some]
                state, began = PartitionState(partition, tables), time.thread_time()
                sends = stage.process(records, state, self._now_ms)
                spent += time.thread_time() - began
                tables.apply(partition, state.writes)
                for send in sends:
                    sent[send.topic][send.partition].append(send.value)
        self._records |= sent
        return spent

    def _consumed(self, topic: str) -> dict[int, list[Any]]:
        more: dict[str, Any] = {"topic": topic, "timestamp": self._now_ms, "headers": (), "key": None}
        return {
            partition: [SimpleNamespace(partition=partition, offset=n, value=v, **more) for n, v in enumerate(values)]
            for partition, values in self._records[topic].items()
        }

    def _store(self, stream: streams.Stream) -> float:
        async def stored(_places: Sequence[Any]) -> dict[Any, str]:
            return {}

        parts = {p: streams.Part(dedupe.Deduplicator(dedupe.WINDOW // PARTITIONS)) for p in range(PARTITIONS)}
        buffer, name = Buffer(stream, stream.topic.name), stream.topic.name
        consumed, began = self._consumed(name), time.thread_time()
        for partition, records in consumed.items():
            buffer.put(partition, records)
        while buffer:
            work = self._loop.run_until_complete(stream.sort(buffer.cut(5000).items, parts, stored))
            for group in work.inserts:
                for table, items in group.items():
                    fill(table, name, items)
        return time.thread_time() - began

    def _plan(self) -> float:
        planner = DeliveryPlanner.__new__(DeliveryPlanner)  # planning needs no consumer
        planner._control, planner._names = self._edge.control, {topics.CHANGES.name: topics.CHANGES}
        store = Store(self._home / f"store{next(self._runs)}")
        consumed, began = self._consumed(topics.CHANGES.name), time.thread_time()
        for partition, records in consumed.items():
            state = NotificationState(store.get)
            for record in records:
                planner._messages(TopicPartition(topics.CHANGES.name, partition), record, state)
            store.learn(state.writes, {})
        spent = time.thread_time() - began
        store.close()
        return spent


def _events() -> list[dict[str, Any]]:
    return [event(f"order_{CONTACTS}", n) for n in range(CONTACTS)]


def _declare(control: ControlState) -> None:
    """Ten segments, as of the cost of an event."""
    key = control.key("sk_dev_local", NOW_MS)
    assert key is not None
    home: dict[str, Any] = {"workspace": key.workspace, "environment": key.environment}
    for n, rule in enumerate(SEGMENTS):
        segment = Segment(id=f"seg_{n}", name="s", rule=rule, version=1, created_ms=1, updated_ms=1, **home)
        control.apply(*encode("segment", segment))


def main() -> None:
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as home:
        steps = Steps(Path(home)).all
        for _ in range(2):
            for run in steps.values():
                run()
        gc.collect()
        gc.freeze()
        gc.set_threshold(200_000, 20, 50)
        print(*steps, sep=",", flush=True)
        for name in sys.stdin:
            print(steps[name.strip()]() * 1e6 / CONTACTS, flush=True)


if __name__ == "__main__":
    main()
