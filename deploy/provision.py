"""Settings in; every topic of the catalogue on the cluster and every table in the database out.

``python -m deploy.provision`` is the only way in which a topic is created, on a laptop as in production. It is
idempotent, waits for services that are still starting, and refuses a topic whose partitions are not those of the
settings: keys would move to other partitions, away from their state.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from deploy.first_key import DEFAULT_WORKSPACE, make
from deploy.rebuild import rebuild
from schemas.errors import ApiError, CannotStart
from schemas.service.kafka import quiet_clients, started
from schemas.service.kafka_auth import connection
from schemas.service.process import read_settings, run_to_end
from schemas.settings import Settings
from schemas.topics import IDENTITY_APP, IDENTITY_PAIRS, Topic, catalogue, changelog, partition_count
from sinks.clickhouse.connect import writing
from sinks.maintenance.migrate import MigrationError, migrate, statements_of, unapplied
from sinks.maintenance.restore import restore_missing

log = logging.getLogger(__name__)

WAIT_S = 60.0
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
MINUTE_MS = 60_000
SAFE_REPLICATION = 3
LOOK_MS, LOOK_RECORDS = 2000, 200
OLDER_KEYS = frozenset({28, 56})
"""Lengths of a contact id of before, and of a pair of them."""


class ProvisionError(Exception):
    """The cluster does not come, refuses, or holds topics that contradict the settings."""


async def provision(settings: Settings) -> list[str]:
    """Create topics and tables at the same time; returns the names of the new ones, often none."""
    created = await asyncio.gather(create_topics(settings), migrate(settings))
    restored: list[str] = []
    if not settings.clickhouse_cluster:  # else the other replicas have what one of them has lost
        async with await writing(settings) as client:
            restored = await restore_missing(settings, client)
    for table in restored:
        log.warning("table %s is missing: recreating it from Kafka; older rows are lost", table)
    return [name for names in (*created, restored) for name in names]


async def plan(settings: Settings) -> list[str]:
    """Describe the changes that ``provision`` would make; changes nothing."""
    admin = await _connected(settings)
    try:
        expected, existing = {topic.name: topic for topic in catalogue(settings)}, await _partitions(admin)
    finally:
        await admin.close()
    _check_partitions(expected, existing, settings)
    steps = []
    for name, topic in expected.items():
        if name not in existing:
            config = ", ".join(f"{key}={value}" for key, value in topic_config(topic, settings).items())
            count = partition_count(topic, settings)
            steps.append(f"topic {name}: {count} partitions of {settings.replication} replicas, {config}")
    for migration in await unapplied(settings):
        steps.append(f"tables {migration.name}:")
        steps += statements_of(migration, settings)
    return steps


async def create_topics(settings: Settings) -> list[str]:
    """Create missing topics and return when they can be written to; raises ``ProvisionError``."""
    admin = await _connected(settings)
    try:
        expected = {topic.name: topic for topic in catalogue(settings)}
        existing = await _partitions(admin)
        _check_partitions(expected, existing, settings)
        await _refuse_older_contacts(settings, existing)
        missing = [topic for name, topic in expected.items() if name not in existing]
        if missing:
            await _create(admin, missing, settings)
        return [topic.name for topic in missing]
    finally:
        await admin.close()


def _check_partitions(expected: Mapping[str, Topic], existing: Mapping[str, int], settings: Settings) -> None:
    for name, topic in expected.items():
        partitions = partition_count(topic, settings)
        if existing.get(name, partitions) != partitions:
            raise ProvisionError(f"topic {name} has {existing[name]} partitions, the settings say {partitions}")


async def _refuse_older_contacts(settings: Settings, existing: Collection[str]) -> None:
    """Raise ``ProvisionError`` where the state of identity names contacts by ids that do not carry their tenant."""
    name = changelog(IDENTITY_APP, IDENTITY_PAIRS, settings)
    if name not in existing:
        return
    consumer = await started(settings, lambda: AIOKafkaConsumer(**connection(settings), enable_auto_commit=False))
    try:
        parts = [TopicPartition(name, p) for p in range(settings.partitions)]
        begin, end = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        parts = [tp for tp in parts if end[tp] > begin[tp]]
        if not parts:
            return
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        fetched = await consumer.getmany(timeout_ms=LOOK_MS, max_records=LOOK_RECORDS)
        keys = [record.key or b"" for records in fetched.values() for record in records]
    finally:
        await consumer.stop()
    if any(len(key) in OLDER_KEYS and key.startswith(b"cnt_") for key in keys):
        raise ProvisionError(
            f"topic {name} names contacts by ids of an earlier version, which do not carry their workspace: "
            "start with an empty HEADWATER_HOME, or with another HEADWATER_TOPIC_PREFIX and "
            "HEADWATER_CLICKHOUSE_DATABASE, and import the events again"
        )


def topic_config(topic: Topic, settings: Settings) -> dict[str, str]:
    """The settings that differ from the broker's defaults."""
    config = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    if settings.replication >= SAFE_REPLICATION:
        config["min.insync.replicas"] = "2"
    if topic.retention_ms is None:
        # The open segment is never compacted, so it must not grow: a restarted worker reads all of it.
        config |= {
            "cleanup.policy": "compact",
            "segment.bytes": str(16 * 1024 * 1024),
            "segment.ms": str(60 * MINUTE_MS),
            "min.cleanable.dirty.ratio": "0.2",
        }
    else:
        # Whole segments are deleted: one that stays open as long as the retention would double it.
        config |= {
            "retention.ms": str(topic.retention_ms),
            "segment.ms": str(max(10 * MINUTE_MS, topic.retention_ms // 10)),
        }
    return config


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic], settings: Settings) -> None:
    answer = await admin.create_topics(
        [
            NewTopic(
                topic.name,
                partition_count(topic, settings),
                settings.replication,
                topic_configs=topic_config(topic, settings),
            )
            for topic in topics
        ]
    )
    for name, code, *reason in answer.topic_errors:
        # another process may have been faster; the result is the same
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise ProvisionError(f"topic {name}: {for_code(code).__name__} {reason}")
    names = {topic.name for topic in topics}
    deadline = time.monotonic() + WAIT_S
    while not names <= set(await _partitions(admin)):
        if time.monotonic() > deadline:
            raise ProvisionError(f"the topics have no leaders: {sorted(names)}")
        await asyncio.sleep(0.02)


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Partitions of every topic all of whose partitions have a leader."""
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["error_code"] == 0 and all(p["leader"] >= 0 for p in topic["partitions"])
    }


async def _connected(settings: Settings) -> AIOKafkaAdminClient:
    with quiet_clients:
        return await _try_to_connect(settings, time.monotonic() + WAIT_S)


async def _try_to_connect(settings: Settings, deadline: float) -> AIOKafkaAdminClient:
    while True:
        admin = AIOKafkaAdminClient(**connection(settings))
        try:
            await admin.start()
        except KafkaError as error:
            await admin.close()
            if time.monotonic() > deadline:
                raise ProvisionError(f"Kafka does not answer at {settings.bootstrap}: {error}") from error
            await asyncio.sleep(0.05)
        else:
            return admin


def main(
    first_key: Annotated[
        bool, typer.Option("--first-key", help="Make a key with the scope admin, and print it once.")
    ] = False,
    workspace: Annotated[
        str, typer.Option(help="The workspace of that key; made if it is not there.")
    ] = DEFAULT_WORKSPACE,
    table: Annotated[
        str,
        typer.Option(
            "--rebuild", metavar="TABLE", help="Rebuild a table from the records of Kafka and its older rows."
        ),
    ] = "",
    only_plan: Annotated[bool, typer.Option("--plan", help="Show what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Rebuild it without the rows that cannot be read.")] = False,
) -> None:
    """Create the topics and tables that Headwater needs, and bring them up to date.

    Ends with one line where it cannot be done.
    """
    settings = read_settings()
    try:
        if table:
            run_to_end(rebuild(settings, table, partial(print, flush=True), lose=yes))
            return
        if only_plan:
            print(*asyncio.run(plan(settings)) or ["nothing to do"], sep="\n")
            return
        print(*run_to_end(provision(settings)), sep="\n")
        if first_key:
            key, secret = asyncio.run(make(settings, workspace))
            print(f"workspace {key.workspace}, environment {key.environment}, {key.id}: {' '.join(key.scopes)}")
            print(secret)
            print("keep it: it is not shown again", file=sys.stderr)
    except (ProvisionError, CannotStart, ApiError, MigrationError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    cli = typer.Typer(add_completion=False)
    cli.command()(main)
    cli(prog_name="python -m deploy.provision")
