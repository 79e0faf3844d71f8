"""`changes` and `resolved` in; webhook deliveries on `deliveries`, then committed offsets, out.

1. Deliveries become durable first, then the contacts' notification state, then the offsets. A crash in between plans
   again, with the same ids.
2. The disk holds the position. If the disk is older than the committed offsets (it was lost), the planner reads the
   records before them to rebuild its state, and plans nothing for them.
3. Endpoints are those on `control` when the records are planned: an endpoint receives every event that was sent after
   the 201 of its creation.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.control.control_state import ControlState
from schemas.records import codec
from schemas.records.codec import UndecodableError
from schemas.records.deliveries import WebhookDelivery
from schemas.records.identity import partition_of
from schemas.retry import retried
from schemas.service import clock
from schemas.service.kafka import Tail
from schemas.service.kafka_auth import METADATA_MAX_AGE_MS, connection
from schemas.settings import Settings
from sinks.delivery.lease import Lease, partitions_of
from sinks.launch.entry import EntryPlace, LaunchEntry, entries
from sinks.webhooks.delivery_log import DeliveryLog, LogRow
from sinks.webhooks.derive import messages_of_changes, messages_of_events
from sinks.webhooks.launches import failure
from sinks.webhooks.messages import ENTERED, Message
from sinks.webhooks.notification_state import NotificationState
from sinks.webhooks.outgoing import CustomerTopics, Outgoing, outgoing
from sinks.webhooks.spans import DeliveryTraces
from sinks.webhooks.store import Store
from sinks.webhooks.subscriptions import Targets, has_endpoints, plan, subscribed

log = logging.getLogger(__name__)

GROUP = "headwater-webhooks"
SOURCES = (topics.CHANGES, topics.RESOLVED)
COMMIT_EVERY_S = 1.0
RETRY_S = 0.5
UNIT = 2000
"""Deliveries after which the plan is made durable."""
MAX_RECORDS = 500
PACE_S = 0.025
"""Units begin at least so far apart: one of ten records costs little more than one of a single record."""
NO_ENDPOINT_PACE_S = 0.1
"""The same while no endpoint subscribes: records then only update the state."""


@dataclass(slots=True)
class PlannedUnit:
    """A batch that becomes durable together: deliveries, then the notification state, up to these offsets."""

    state: NotificationState
    planned: dict[str, WebhookDelivery] = field(default_factory=dict)
    outgoing: list[Outgoing] = field(default_factory=list)
    entries: list[LaunchEntry] = field(default_factory=list)
    positions: dict[TopicPartition, int] = field(default_factory=dict)


class DeliveryPlanner:
    """The one consumer of a share of both topics; assigns its own partitions, and a group only keeps its offsets."""

    def __init__(
        self,
        settings: Settings,
        control: ControlState,
        tail: Tail,
        store: Store,
        delivery_log: DeliveryLog,
        *,
        lease: Lease,
        traces: DeliveryTraces,
    ) -> None:
        self._settings = settings
        self._control = control
        self._tail = tail
        self._store = store
        self._delivery_log = delivery_log
        self._lease = lease
        self._traces = traces
        self._targets: Targets = subscribed(control)
        self._topics = CustomerTopics(settings)
        self._seq = 0
        self._planned_before: dict[TopicPartition, int] = {}
        self._done: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._names = {topics.name(topic, settings): topic for topic in SOURCES}

    async def start(self) -> None:
        """Determines the start offsets."""
        self._consumer = AIOKafkaConsumer(
            **connection(self._settings),
            group_id=topics.app_id(GROUP, self._settings),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=1000,
            fetch_max_bytes=8 << 20,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )
        await self._consumer.start()
        parts = [TopicPartition(name, p) for name in self._names for p in partitions_of(self._settings)]
        self._consumer.assign(parts)
        first = await self._consumer.beginning_offsets(parts)
        end = await self._consumer.end_offsets(parts)
        positions = {name: self._store.positions(topic.name) for name, topic in self._names.items()}
        for tp in parts:
            self._planned_before[tp] = await self._consumer.committed(tp) or 0
            position = positions[tp.topic].get(tp.partition, first[tp])
            if self._names[tp.topic] is topics.RESOLVED:
                position = max(position, self._planned_before[tp])  # events leave no state
            self._consumer.seek(tp, min(max(position, first[tp]), end[tp]))

    async def stop(self) -> None:
        await self._commit()
        await self._consumer.stop()
        await self._topics.stop()

    async def run(self) -> None:
        """Runs for ever; raises an error if going on would lose data."""
        began = 0.0
        while True:
            pace_s = PACE_S if has_endpoints(self._control) else NO_ENDPOINT_PACE_S
            await asyncio.sleep(began + pace_s - time.monotonic())
            try:
                fetched = await self._consumer.getmany(timeout_ms=5000, max_records=MAX_RECORDS)
            except KafkaError:
                log.exception("waiting for the broker")
                await asyncio.sleep(RETRY_S)
                continue
            began = time.monotonic()
            if fetched:
                await self._caught_up()
                await self._take(fetched)

    async def commit(self) -> None:
        """Runs for ever: commits durable offsets about once a second."""
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self._commit()

    async def _caught_up(self) -> None:
        def report(error: Exception, pause_s: float) -> None:
            log.warning("reading the definitions failed, retrying in %g s: %r", pause_s, error)

        await retried(self._tail.catch_up, KafkaError, report, RETRY_S)

    async def _take(self, fetched: dict[TopicPartition, list[Any]]) -> None:
        """Takes records of all partitions, in units that become durable one after the other."""
        unit = self._begin()
        for tp, records in fetched.items():
            for record in records:
                messages = self._messages(tp, record, unit.state)
                if messages and record.offset >= self._planned_before[tp]:
                    now_ms = clock.now_ms()
                    planned = plan(
                        messages, self._targets, known_ms=record.timestamp, now_ms=now_ms, seq=self._next_seq
                    )
                    unit.planned.update((d["id"], d) for d in planned if not self._is_known(unit, d))
                    self._traces.planned(record, planned)
                    unit.outgoing.extend(outgoing(self._control, messages))
                    place = EntryPlace(tp.partition, record.offset, record.timestamp)
                    unit.entries.extend(self._entries(messages, place))
                unit.positions[tp] = record.offset + 1
                if len(unit.planned) + len(unit.entries) >= UNIT:
                    await self._keep(unit)
                    unit = self._begin()
        await self._keep(unit)

    def _begin(self) -> PlannedUnit:
        control = self._control
        state, known = NotificationState(self._store.get), control.erased.added

        def drop(contact_ids: Collection[str]) -> None:
            # an erasure may become known, and delete rows, while the unit's deliveries become durable
            if control.erased.added != known:
                state.drop_contacts(contact_ids)

        self._store.on_contacts_deleted = drop
        return PlannedUnit(state)

    def _is_known(self, unit: PlannedUnit, delivery: WebhookDelivery) -> bool:
        return delivery["id"] in unit.planned or self._store.knows(delivery["id"])

    def _messages(self, tp: TopicPartition, record: Any, state: NotificationState) -> list[Message]:
        control, value = self._control, record.value or b""
        try:
            if self._names[tp.topic] is topics.CHANGES:
                since_ms = self._complete_since(record, state)
                return messages_of_changes(control, codec.decode_changes(value), state, since_ms)
            # events leave no state, so that without an endpoint they need not be decoded
            return messages_of_events(control, codec.decode_events(value), state) if has_endpoints(control) else []
        except UndecodableError as error:
            # the ClickHouse sink quarantines the record
            where = {"topic": tp.topic, "partition": tp.partition, "offset": record.offset}
            log.error("skipping %s/%s/%s: %s", *where.values(), error, extra=where)  # noqa: TRY400 - one line
            return []

    def _complete_since(self, record: Any, state: NotificationState) -> int:
        key = b"t/%d" % record.partition
        since = state.read(key)
        if since is None:
            # from the topic's first record on, the state is complete
            since = b"%d" % (record.timestamp if record.offset else 0)
            state.writes[key] = since
        return int(since)

    async def _keep(self, unit: PlannedUnit) -> None:
        # a delivery without a contact may lie in another sender's share, and is not read back here
        is_alone = self._settings.webhook_senders == 1
        self._store.fresh.update(
            delivery_id for delivery_id, delivery in unit.planned.items() if delivery["contact_id"] or is_alone
        )
        await self._delivery_log.write(
            [self._delivery_log.state(delivery) for delivery in unit.planned.values()], urgent=True
        )
        await self._delivery_log.write([self._entry_row(entry) for entry in unit.entries], urgent=True)
        await self._lease.hold()
        if failed := await self._topics.send(unit.outgoing):
            await self._delivery_log.write([self._failure(record, reason) for record, reason in failed])
        positions = {(self._names[tp.topic].name, tp.partition): at for tp, at in unit.positions.items()}
        self._store.learn(unit.state.writes, positions)
        self._done.update((tp, max(at, self._planned_before[tp])) for tp, at in unit.positions.items())

    def _entries(self, messages: Sequence[Message], place: EntryPlace) -> Iterator[LaunchEntry]:
        for message in messages:
            if message.type == ENTERED:
                yield from entries(
                    self._control, (message.workspace, message.environment), message.data, message.id, place
                )

    def _entry_row(self, entry: LaunchEntry) -> LogRow:
        count = topics.partition_count(topics.LAUNCHES, self._settings)
        return LogRow(topics.LAUNCHES, entry.key, entry.value, partition_of(entry.contact, count))

    def _failure(self, record: Outgoing, reason: str) -> LogRow:
        message = record.message
        data, now_ms = orjson.loads(record.value)["data"], clock.now_ms()
        home, partitions = (message.workspace, message.environment), self._settings.partitions
        return failure(home, message.contact_id, data, reason, now_ms=now_ms, partitions=partitions)

    def _next_seq(self) -> int:
        self._seq = max(self._seq + 1, self._store.last_seq + 1, time.time_ns())
        return self._seq

    async def _commit(self) -> None:
        news = {tp: offset for tp, offset in self._done.items() if self._committed.get(tp) != offset}
        if not news or not self._lease.is_held:  # another sender's offsets are newer
            return
        try:
            await self._consumer.commit(news)
        except KafkaError as error:
            log.warning("offsets are not committed now, the disk has them: %r", error)
        else:
            self._committed.update(news)
