"""A stage in; the static members of its consumer group listed, and some of them removed, out.

A member that stops does not leave: its partitions wait for it until its session ends. Removing it is one request of
Kafka's protocol (LeaveGroup, version 3), which aiokafka has in older versions only.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from schemas.errors import CannotStart
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from schemas.topics import CLICKHOUSE_GROUP, IDENTITY_APP, SEGMENTS_APP, app_id

GROUPS = {"identity": IDENTITY_APP, "segments": SEGMENTS_APP, "clickhouse": CLICKHOUSE_GROUP}
"""What `python -m processors` and `python -m sinks` call a stage; its group."""

TRIES, RETRY_S = 60, 0.5


class _LeaveResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "members",
            Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")), ("error_code", Int16)),
        ),
    )


class _LeaveRequest(RequestStruct):  # type: ignore[misc]  # same
    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("members", Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")))),
    )


class _Leave(Request[_LeaveRequest]):  # type: ignore[misc]  # same
    API_KEY = 13

    def __init__(self, group: str, instances: Sequence[str]) -> None:
        self._group, self._instances = group, instances

    def build(self, request_struct_class: type[_LeaveRequest]) -> _LeaveRequest:
        # a member is named by its instance alone
        return request_struct_class(self._group, [("", instance) for instance in self._instances])


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    stage: str
    worker: int
    host: str
    partitions: int
    """Of all topics that the stage reads."""


async def members(settings: Settings) -> list[GroupMember]:
    """The members of every stage, alive or awaited; raises ``CannotStart`` if Kafka does not answer."""
    admin = await _connected(settings)
    try:
        group_members = []
        for stage, app in GROUPS.items():
            group = app_id(app, settings)
            (answer,) = await admin.describe_consumer_groups([group], await _coordinator(admin, group))
            for member_id, _, host, _, assigned in answer.groups[0][5]:
                number = _worker(member_id, group)
                if number is not None:
                    member = GroupMember(stage=stage, worker=number, host=host.lstrip("/"), partitions=_count(assigned))
                    group_members.append(member)
        return sorted(group_members, key=lambda member: (member.stage, member.worker))
    finally:
        await admin.close()


async def retire(settings: Settings, stage: str, workers: Sequence[int]) -> list[int]:
    """Take these workers out of their group; those that were in it. Their partitions go to the others at once.

    Raises ``CannotStart`` where Kafka does not answer, or refuses.
    """
    group = app_id(GROUPS[stage], settings)
    admin = await _connected(settings)
    try:
        coordinator = await _coordinator(admin, group)
        answer = await admin._send_request(_Leave(group, [f"{group}-{n}" for n in workers]), coordinator)  # noqa: SLF001 - the client has no public way to send a request of one's own
    except KafkaError as error:
        raise CannotStart(f"the group {group} cannot be reached: {error!r}") from error
    finally:
        await admin.close()
    outcomes = [for_code(code) for code in (answer.error_code, *(code for _, _, code in answer.members))]
    for outcome in outcomes:
        if outcome not in {NoError, UnknownMemberIdError}:
            raise CannotStart(f"the group {group} refuses: {outcome.__name__}")
    return [worker for worker, outcome in zip(workers, outcomes[1:], strict=True) if outcome is NoError]


async def _connected(settings: Settings) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
    except KafkaError as error:
        await admin.close()
        raise CannotStart(f"Kafka does not answer at {settings.bootstrap}: {error}") from error
    return admin


async def _coordinator(admin: AIOKafkaAdminClient, group: str) -> int:
    """The broker of the group; a new cluster makes its topic of offsets when it is first asked."""
    for _ in range(TRIES):
        with suppress(GroupCoordinatorNotAvailableError):
            return int(await admin.find_coordinator(group))
        await asyncio.sleep(RETRY_S)
    raise CannotStart(f"Kafka has no coordinator of the group {group} yet: try again")


def _worker(member_id: str, group: str) -> int | None:
    """The broker calls a static member ``<instance>-<uuid>``, and the instance is ``<group>-<worker>``."""
    number, _, _ = member_id.removeprefix(f"{group}-").partition("-")
    return int(number) if member_id.startswith(f"{group}-") and number.isdecimal() else None


def _count(assigned: bytes) -> int:
    if not assigned:
        return 0
    return sum(len(parts) for _, parts in ConsumerProtocolMemberAssignment.decode(assigned).assignment)
