"""A stage and settings in, a Faust application that runs it out, with all settings that matter.

Faust's pitfalls: topics are created by the provisioner alone (``topic_allow_declare``, ``topic_disable_leader``);
``producer_linger`` is in seconds and batches are built here; ``producer_request_timeout`` is 1,200 s by
default; a worker keeps its partitions over a restart only with ``consumer_group_instance_id``, and its
assignor wants one address per worker; an exception in an agent acknowledges its record, so there are no
agents, and the inputs are only subscribed to. Never ``exactly_once``, ``producer_threaded`` or the confluent
driver.
"""

# ruff: noqa: SLF001 - Faust and aiokafka offer no other way in; what is reached for is pinned by version

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import faust
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from faust.auth import Credentials, OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types import TP

from processors.runtime.consumer import Transport
from processors.runtime.crash_trigger import CrashTrigger
from processors.runtime.executor import PartitionExecutor
from processors.runtime.offset_tracker import OffsetOrder
from processors.runtime.publish import TopicPartition, publish
from processors.runtime.recovery import TableManager
from processors.runtime.stage import InputRecord, Quarantine, Rows, Stage
from processors.runtime.table import DurableTable
from processors.runtime.watchdog import PartitionSnapshot
from schemas.caches.recent_rows import Read
from schemas.record_batches import Message
from schemas.service.kafka import compression_of
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from schemas.topics import app_id
from schemas.tracing.spans import Tracer

log = logging.getLogger(__name__)

COMMIT_S = 0.5
HEARTBEAT_S = 1.0
LOOK_TIMEOUT_S = 5.0


class Runtime:
    """A worker of a stage, made of a Faust application; the executor and the watchdog use it.

    Create it in the event loop that it runs in.
    """

    def __init__(
        self,
        stage: Stage,
        settings: Settings,
        quarantine: Quarantine,
        crash: CrashTrigger,
        abort: Callable[[str], NoReturn],
        *,
        tracer: Tracer | None = None,
    ) -> None:
        self.stage, self.settings, self.abort = stage, settings, abort
        self.executor = PartitionExecutor(stage, self, quarantine, crash, tracer)
        self.app = faust.App(app_id(stage.app, settings), **faust_settings(stage, settings))
        self.app.transport = Transport(self.app.conf.broker_consumer, self.app)
        self.tables = {
            name: self.app.tables.add(DurableTable(self.app, name=name, partitions=settings.partitions))
            for name in stage.tables
        }
        self._sources = {settings.topic_prefix + topic.name: topic.name for topic in stage.inputs}
        for name in self._sources:
            self.app.topics.add(self.app.topic(name))  # subscribes to it
        recovery = self.app.tables.recovery
        recovery.opened, recovery.settled = self._open, self._settle
        self.app.consumer.before_revoke = self.executor.close
        self.app.consumer.on_record = self._take
        self.app.consumer.seconds = self.executor.counts.seconds
        self.settled = asyncio.Event()

    def _take(self, tp: TP, record: ConsumerRecord[Any, Any], order: OffsetOrder) -> None:
        if order is OffsetOrder.NEXT:
            self.executor.take(self._input(tp, record))
        elif order is OffsetOrder.GAP:
            self.abort(f"{tp} offset {record.offset} came before an earlier one that was fetched")

    def _input(self, tp: TP, record: ConsumerRecord[Any, Any]) -> InputRecord:
        return InputRecord(
            self._sources[tp.topic],
            tp.partition,
            record.offset,
            record.key,
            record.value or b"",
            record.timestamp,
            headers=record.headers or (),
        )

    def _open(self) -> None:
        assigned = self.app.consumer.assignment()
        topics_needed = [*self._sources, *(table.changelog_topic_name for table in self.tables.values())]
        partitions = {tp.partition for tp in assigned}
        missing = {TP(topic, p) for topic in topics_needed for p in partitions} - assigned
        if missing:
            self.abort(f"inputs and changelogs of a partition must come together; not assigned: {sorted(missing)}")
        self.executor.open(partitions)

    def _settle(self) -> None:
        log.info("open: partitions %s", sorted(self.executor.tasks))
        self.settled.set()

    # --- the shell's outside

    def reader(self, table: str, partition: int) -> Read:
        read: Read = self.tables[table].reader(partition)
        return read

    def scan(self, table: str, partition: int, after: bytes | None = None) -> Rows:
        rows: Rows = self.tables[table].scan(partition, after)
        return rows

    async def publish(self, messages: Mapping[TopicPartition, Sequence[Message]]) -> None:
        prefix = self.settings.topic_prefix
        await publish(
            self.app.producer.client,
            {(prefix + topic, partition): rows for (topic, partition), rows in messages.items()},
        )

    async def flush(self, partition: int, writes: Mapping[str, Mapping[bytes, bytes | None]]) -> dict[str, int]:
        names = list(writes)
        offsets = await asyncio.gather(*(self.tables[name].flush(partition, writes[name]) for name in names))
        return dict(zip(names, offsets, strict=True))

    def apply(
        self, partition: int, writes: Mapping[str, Mapping[bytes, bytes | None]], offsets: Mapping[str, int]
    ) -> None:
        for name, rows in writes.items():
            self.tables[name].apply(partition, rows, offsets[name])

    def done(self, record: InputRecord) -> None:
        self.app.consumer.done(TP(self.settings.topic_prefix + record.topic, record.partition), record.offset)

    def holds_lease(self) -> bool:
        lease: bool = self.app.consumer.holds_lease()
        return lease

    # --- the watchdog's subject

    def progress(self) -> object | None:
        if self.settled.is_set() and not self.app.rebalancing:
            return None
        recovery = self.app.tables.recovery
        return (self.app.rebalancing_count, sum(offset or 0 for offset in recovery.active_offsets.values()))

    async def look(self) -> dict[str, PartitionSnapshot]:
        consumer = self.app.consumer
        tps = list(consumer.trackers)
        if not tps:
            return {}
        try:
            ends = await asyncio.wait_for(consumer.highwaters(*tps), LOOK_TIMEOUT_S)
        except KafkaError as error:
            raise OSError from error
        snapshots = {}
        for tp in tps:
            tracker, position = consumer.trackers.get(tp), consumer._thread.position(tp)
            if tracker is not None and position is not None:
                snapshots[f"{tp.topic}/{tp.partition}"] = PartitionSnapshot(
                    tracker.committable, position, ends[tp], tracker.pending
                )
        return snapshots

    async def stop(self) -> None:
        """Finish the units in hand and commit them; a static member does not leave its group."""
        self.app.consumer.stop_flow()
        await self.executor.close()
        await self.app.consumer.force_commit()  # an ordinary one is content if another is under way


def state_dir(app: str, settings: Settings) -> Path:
    """A disk of the worker's own; its content can be rebuilt from the changelogs."""
    return settings.home.absolute() / "state" / f"{app_id(app, settings)}-{settings.worker}"


def credentials(options: Mapping[str, Any]) -> Credentials | None:
    """Options of an aiokafka client in, the same in Faust's words out; ``None``: plain text."""
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in options:
        return SASLCredentials(
            mechanism=options["sasl_mechanism"],
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None


def faust_settings(stage: Stage, settings: Settings) -> dict[str, Any]:
    worker = f"{app_id(stage.app, settings)}-{settings.worker}"
    return {
        "broker": ";".join(f"aiokafka://{server}" for server in settings.bootstrap.split(",")),
        "broker_credentials": credentials(connection(settings)),
        "datadir": state_dir(stage.app, settings),
        "store": "rocksdb://",
        "TableManager": TableManager,
        "table_standby_replicas": 0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "topic_partitions": settings.partitions,
        "web_enabled": False,
        "canonical_url": f"http://{worker}",
        "consumer_group_instance_id": worker,
        "consumer_auto_offset_reset": "earliest",
        "broker_session_timeout": settings.session_timeout_s,
        "broker_request_timeout": settings.session_timeout_s + 45.0,
        "broker_heartbeat_interval": HEARTBEAT_S,
        "broker_commit_interval": COMMIT_S,
        "producer_request_timeout": 30.0,
        "producer_compression_type": compression_of(settings),
        "stream_wait_empty": False,
        "worker_redirect_stdouts": False,
    }
