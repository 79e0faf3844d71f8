"""Settings in; the right to send, which one sender of a cluster (or of a share) has at a time, out.

1. Kafka's group coordinator grants it: a group with one partition to assign. The holder keeps it when other senders
   join; they stand by.
2. The holder counts its session from its last acknowledged heartbeat, on a clock that also runs while the machine
   sleeps. So it stops before another sender may begin, even after a pause.
3. Each share of the contacts (`share_of`) has a lease, a group and a producer id of its own.
4. The broker fences its records on `deliveries`: all senders of a share have one producer id, and each claim a higher
   epoch of it. Once a new holder has written to a partition, the broker refuses pending records of an older one.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import ProducerFenced

from schemas import topics
from schemas.service import kafka
from schemas.service.kafka_auth import METADATA_MAX_AGE_MS, connection
from schemas.settings import Settings

log = logging.getLogger(__name__)

GROUP = "headwater-webhooks-lease"
PRODUCER = "headwater-webhooks"
BEAT_MS = 1000
MARGIN_S = 1.0
"""The holder stops so much before its session ends."""
LOOK_S = 0.05
RENEW_S = 12 * 3600.0
"""The broker forgets a producer id that is not claimed or used in a transaction for a week."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseLostError(Exception):
    """Another sender may be at work: this process must end; the next one resumes from durable state."""


LEASE_ERRORS = (LeaseLostError, ProducerFenced)


def share_of(settings: Settings) -> int:
    """The share of this sender: more senders than shares stand by."""
    return settings.worker % settings.webhook_senders


def partitions_of(settings: Settings) -> list[int]:
    """The partitions of a share, in every topic: a contact has the same partition in each of them."""
    return list(range(share_of(settings), settings.partitions, settings.webhook_senders))


def name_of_share(name: str, settings: Settings) -> str:
    """The group or producer id of a share on the cluster."""
    share = share_of(settings)
    return topics.app_id(f"{name}-{share}" if share else name, settings)


def member_name(home: Path) -> str:
    """The name of this home among the senders: after a crash it regains the lease at once, even with a lost disk."""
    path = home / "state" / "webhooks.member"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"webhooks-{secrets.token_hex(8)}\n")
        return path.read_text().strip()


class Lease(ConsumerRebalanceListener, AbstractPartitionAssignor):  # type: ignore[misc]
    """Member of the group; assigns its one partition when it leads the group."""

    name = "holder-first"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session_s = settings.session_timeout_s
        self._topic = topics.name(topics.CONTROL, settings)
        self._member = ""
        """The id under which the lease was acquired; a member that the group forgot gets another one."""
        self._assigned = False
        self._beat_s = 0.0
        self._why = ""
        self._watching: list[asyncio.Task[None]] = []
        self._consumer: Any = None

    # --- holding

    @property
    def is_held(self) -> bool:
        """Whether no other process can be sending now."""
        return self._assigned and time.clock_gettime(_CLOCK) < self._beat_s + self._session_s - MARGIN_S

    async def hold(self) -> None:
        """Return when this process may send; raises ``LeaseLostError`` when another one may."""
        while not self.is_held or self._why:
            if self._why:
                raise LeaseLostError(self._why)
            await asyncio.sleep(LOOK_S)

    async def acquire(self) -> None:
        """Join the group and wait for the lease, for as long as another sender has it."""
        self._consumer = await kafka.started(self._settings, self._make)
        self._coordinator = self._consumer._coordinator  # noqa: SLF001 - the public client does not show its heartbeats
        self._send_beat, self._coordinator._do_heartbeat = self._coordinator._do_heartbeat, self._beat  # noqa: SLF001
        self._consumer.subscribe([self._topic], listener=self)
        self._watching.append(asyncio.create_task(self._poll(), name="lease"))
        remind_s = 2 * BEAT_MS / 1000
        while not self.is_held:
            polling = self._watching[0]
            done, _ = await asyncio.wait([polling], timeout=LOOK_S)
            if done:
                polling.result()
            if (remind_s := remind_s - LOOK_S) <= 0:
                remind_s = kafka.REMIND_S
                log.warning("another sender of webhooks is at work on this share: standing by until it is gone")
        self._member = self._coordinator.member_id

    async def lost(self) -> None:
        """Waits for ever; raises an error once the lease is lost or cannot be kept."""
        (polling,) = self._watching
        while True:
            await asyncio.wait([polling], timeout=0.5)
            if polling.done():
                polling.result()
            if self._why:
                raise LeaseLostError(self._why)

    async def stop(self) -> None:
        """Leave the group, so that a sender that stands by need not wait for the session to end."""
        self._assigned = False
        if self._consumer is None:
            return
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        # a member with a name is not taken out by the client itself: it might come back
        self._coordinator._group_instance_id = None  # noqa: SLF001
        await self._consumer.stop()

    def _make(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **connection(self._settings),
            group_id=name_of_share(GROUP, self._settings),
            group_instance_id=member_name(self._settings.home),
            partition_assignment_strategy=(self,),
            auto_offset_reset="latest",
            enable_auto_commit=False,
            session_timeout_ms=round(self._session_s * 1000),
            heartbeat_interval_ms=BEAT_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )

    async def _poll(self) -> None:
        """A group takes a member that asks for no records for a dead one; the partition is paused."""
        while True:
            await self._consumer.getmany(timeout_ms=1000)

    async def _beat(self) -> bool:
        at_s = time.clock_gettime(_CLOCK)
        is_alive: bool = await self._send_beat()
        if is_alive:
            self._beat_s = at_s
        return is_alive

    # --- the group's callbacks

    def on_partitions_revoked(self, revoked: Any) -> None:
        del revoked
        self._assigned = False

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        places = list(assigned)
        self._consumer.pause(*places)
        if self._member and (not places or self._coordinator.member_id != self._member):
            self._why = "the session of this sender of webhooks has ended, another one may be at work"
        if places:
            # counted from a heartbeat of now: this process may have been paused since the group decided
            self._beat_s = 0.0
            self._assigned = True
            await self._beat()

    def metadata(self, subscribed: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        is_holder = bool(self._member) and self._coordinator.member_id == self._member
        return ConsumerProtocolMemberMetadata(0, list(subscribed), b"holder" if is_holder else b"")

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        del cluster
        chosen = min(members, key=lambda member: (members[member].user_data != b"holder", member))
        return {
            member: ConsumerProtocolMemberAssignment(0, [(self._topic, [0])] if member == chosen else [], b"")
            for member in members
        }

    def on_assignment(self, assignment: Any) -> None:
        del assignment


class Claim:
    """An epoch of the senders' producer id, higher than all before it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def start(self) -> None:
        name = name_of_share(PRODUCER, self._settings)
        self._claim: AIOKafkaProducer = await kafka.started(
            self._settings,
            lambda: AIOKafkaProducer(**connection(self._settings), transactional_id=name),
        )

    async def stop(self) -> None:
        await self._claim.stop()

    async def producer(self) -> AIOKafkaProducer:
        """Idempotent, under this epoch, and without the cost of transactions."""
        manager = self._claim._txn_manager  # noqa: SLF001 - the client offers the id's epoch for transactions only

        def make() -> AIOKafkaProducer:
            made = kafka.producer(self._settings)
            made._txn_manager.set_pid_and_epoch(manager.producer_id, manager.producer_epoch)  # noqa: SLF001
            return made

        return await kafka.started(self._settings, make)

    async def renew(self, every_s: float = RENEW_S) -> None:
        """Commits an empty transaction again and again; raises ``ProducerFenced`` after another claim."""
        place = TopicPartition(topics.name(topics.CONTROL, self._settings), 0)
        group = name_of_share(PRODUCER, self._settings)
        while True:
            await asyncio.sleep(every_s)
            async with self._claim.transaction():
                await self._claim.send_offsets_to_transaction({place: 0}, group)
