"""A Kafka cluster in; findings on its topics, replicas, groups and their lag out."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import DescribeGroupsRequest, DescribeGroupsRequest_v2

from deploy.cli.doctor.check import Check, Finding, Patient, fail, ok, warn
from deploy.provision import topic_config
from schemas import topics
from schemas.service.kafka_auth import connection
from schemas.settings import Settings

LATE_S = 60.0
PROVISION = "python -m deploy.provision"
GROUPS = {
    topics.IDENTITY_APP: "python -m processors identity",
    topics.SEGMENTS_APP: "python -m processors segments",
    topics.CLICKHOUSE_GROUP: "python -m sinks clickhouse",
}
"""The necessary consumers, each with the command that starts it."""


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=3000)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def answers(patient: Patient) -> Finding:
    began = time.monotonic()
    async with _admin(patient.settings) as admin:
        cluster = await admin.describe_cluster()
    return ok(f"{len(cluster['brokers'])} brokers, {(time.monotonic() - began) * 1000:.0f} ms")


async def _described(admin: AIOKafkaAdminClient) -> dict[str, Any]:
    return {
        description["topic"]: description
        for description in await admin.describe_topics()
        if description["error_code"] == 0
    }


async def topics_there(patient: Patient) -> Finding:
    async with _admin(patient.settings) as admin:
        there = await _described(admin)
    missing = [topic.name for topic in topics.catalogue(patient.settings) if topic.name not in there]
    if missing:
        return fail(f"{len(missing)} topics are not there: {', '.join(missing[:5])}", PROVISION)
    return ok(f"all {len(topics.catalogue(patient.settings))} are there")


async def partitions(patient: Patient) -> Finding:
    settings = patient.settings
    async with _admin(settings) as admin:
        there = await _described(admin)
    for topic in topics.catalogue(settings):
        expected = topics.partition_count(topic, settings)
        have = len(there[topic.name]["partitions"]) if topic.name in there else expected
        if have != expected:
            what = f"{topic.name} has {have} partitions, the settings say {expected}"
            return fail(what, f"export HEADWATER_PARTITIONS={have}")
    return ok(f"{settings.partitions} each, as the settings say")


async def replicas(patient: Patient) -> Finding:
    """A leader for each partition, and all replicas in sync."""
    ours = {topic.name for topic in topics.catalogue(patient.settings)}
    async with _admin(patient.settings) as admin:
        there = await _described(admin)
    behind = 0
    for name in ours & there.keys():
        for part in there[name]["partitions"]:
            if part["leader"] < 0:
                return fail(f"{name}/{part['partition']} has no leader", "look at the brokers' logs: one is away")
            behind += len(part["isr"]) < len(part["replicas"])
    if behind:
        return warn(f"{behind} partitions have replicas that are behind", "look at the brokers' logs: one is away")
    return ok("each partition has a leader and all its replicas")


async def retention(patient: Patient) -> Finding:
    """Compares retention with the catalogue: a shorter one may delete records before a stage reads them."""
    settings = patient.settings
    expected = {topic.name: topic_config(topic, settings) for topic in topics.catalogue(settings)}
    async with _admin(settings) as admin:
        there = await _described(admin)
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(expected.keys() & there.keys())]
        answers_ = await admin.describe_configs(resources)
    for answer in answers_:
        for resource in answer.resources:
            name, entries = resource[3], {entry[0]: entry[1] for entry in resource[4]}
            for key in ("cleanup.policy", "retention.ms"):
                if key in expected[name] and entries.get(key) != expected[name][key]:
                    what = f"{name}: {key} is {entries.get(key)}, and should be {expected[name][key]}"
                    mend = f"kafka-configs.sh --alter --topic {name} --add-config {key}={expected[name][key]}"
                    return warn(what, f"{mend} --bootstrap-server {settings.bootstrap}")
    return ok("as the catalogue says")


class _DescribeGroups(DescribeGroupsRequest):  # type: ignore[misc]  # aiokafka has no types
    """Uses version 2: aiokafka misreads the answer of version 3."""

    def prepare(self, versions: dict[int, tuple[int, int]]) -> DescribeGroupsRequest_v2:
        return DescribeGroupsRequest_v2(self._groups)


async def _groups(admin: AIOKafkaAdminClient, names: list[str]) -> list[Any]:
    groups = []
    for name in names:
        node = await admin.find_coordinator(name)
        groups.append(await admin._send_request(_DescribeGroups([name]), node))  # noqa: SLF001 - its own way, with this version
    return groups


async def members(patient: Patient) -> Finding:
    """Consumer groups without a member: no process reads their topics."""
    settings = patient.settings
    async with _admin(settings) as admin:
        described = await _groups(admin, [topics.app_id(group, settings) for group in GROUPS])
    counts = {group[1]: (group[2], len(group[5])) for answer in described for group in answer.groups}
    for group, command in GROUPS.items():
        state, count = counts.get(topics.app_id(group, settings), ("Dead", 0))
        if not count:
            remedy = "headwater status" if patient.has_own_kafka else command
            return fail(f"the group {group} has no member ({state})", remedy)
    return ok(", ".join(f"{group}: {counts[topics.app_id(group, settings)][1]}" for group in GROUPS))


async def lag(patient: Patient) -> Finding:
    """A stage's lag by age: unacknowledged records older than a minute."""
    settings = patient.settings
    owed: dict[str, dict[TopicPartition, int]] = {}
    async with _admin(settings) as admin:
        for group in GROUPS:
            committed = await admin.list_consumer_group_offsets(topics.app_id(group, settings))
            owed[group] = {part: entry.offset for part, entry in committed.items() if entry.offset >= 0}
    parts = sorted({part for of_group in owed.values() for part in of_group})
    if not parts:
        return ok("nothing was read yet")
    consumer = AIOKafkaConsumer(**connection(settings), enable_auto_commit=False)
    try:
        await consumer.start()
        ends = await consumer.end_offsets(parts)
        since = int((time.time() - LATE_S) * 1000)
        recent = await consumer.offsets_for_times(dict.fromkeys(parts, since))
    finally:
        await consumer.stop()
    late: dict[str, int] = {}
    behind = 0
    for group, of_group in owed.items():
        for part, offset in of_group.items():
            behind += max(0, ends[part] - offset)
            # without a record since then the whole backlog is older
            border = recent[part].offset if recent.get(part) else ends[part]
            late[group] = late.get(group, 0) + max(0, border - offset)
    group, count = max(late.items(), key=lambda pair: pair[1])
    if count:
        remedy = "headwater status" if patient.has_own_kafka else GROUPS[group]
        return fail(f"{group} owes {count:,} records that are older than {LATE_S:g} s", remedy)
    return ok(f"{behind:,} records on their way, none older than {LATE_S:g} s")


CHECKS = (
    Check("broker", "events are acknowledged when Kafka has them", answers, "headwater status"),
    Check("topics", "what has no topic cannot be sent", topics_there, PROVISION),
    Check("partitions", "keys would move away from their state", partitions),
    Check("replicas", "with too few in sync Kafka takes nothing, or may lose it", replicas),
    Check("retention", "what Kafka forgets before it was read is lost", retention),
    Check("members", "a topic that no process reads fills up", members),
    Check("lag", "rows, memberships and webhooks come late", lag),
)
