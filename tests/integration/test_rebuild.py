"""A table is rebuilt by the commands of `deploy/README.md`: nothing is missing, nothing doubled, older rows stay."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.local.stack import environment
from deploy.provision import provision
from deploy.rebuild import refill
from schemas import topics
from schemas.settings import Settings
from tests.support.builders import cid, event
from tests.support.services import ROOT, clickhouse_front, free_port, front_url
from tests.support.sink_pipeline import Pipeline, change, pipeline, process
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

SEGMENT = {"segment_id": "seg_1", "segment_version": 1, "reason": "r"}
FIGURES = {
    "events": "SELECT event_id, type, contact_id FROM events FINAL ORDER BY ALL",
    "contacts": "SELECT contact_id, version FROM contacts FINAL ORDER BY ALL",
    "membership_changes": "SELECT contact_id, member, version FROM membership_changes FINAL ORDER BY ALL",
    "memberships": "SELECT contact_id, member, version FROM memberships FINAL ORDER BY ALL",
    "contact_memberships": "SELECT contact_id, member, version FROM contact_memberships FINAL ORDER BY ALL",
}


def documented() -> list[str]:
    """The rebuild's commands, as an operator copies them."""
    section = (ROOT / "deploy" / "README.md").read_text().split("### Rebuilding a table", 1)[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block
    return [line.split("#")[0].strip() for line in block[1].splitlines() if line.strip()]


async def run(settings: Settings, command: str) -> "subprocess.CompletedProcess[str]":
    words = command.split()
    assert words[0] == "python"
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *words[1:]],
        cwd=ROOT,
        env={**os.environ, **environment(settings)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def figures(pipe: Pipeline) -> dict[str, list[tuple[object, ...]]]:
    return {table: await pipe.rows(sql) for table, sql in FIGURES.items()}


@asynccontextmanager
async def filled(settings: Settings) -> AsyncIterator[Pipeline]:
    """A running sink that has stored events, contacts and memberships."""
    async with pipeline(settings) as pipe, process(settings, "clickhouse"):
        for n in range(40):
            who = f"external_id:u{n}"
            await pipe.resolved([event(who, event_id=f"evt_{n}", origin_offset=n)], partition=n % 4)
            await pipe.changes(
                change(cid(who), "profile", 1), change(cid(who), "membership", 2, member=True, **SEGMENT)
            )
        await eventually(partial(_has, pipe, "events", 40), "events")
        await eventually(partial(_has, pipe, "contact_memberships", 40), "memberships")
        yield pipe


async def _has(pipe: Pipeline, table: str, count: int) -> bool:
    return int((await pipe.rows(f"SELECT count() FROM {table} FINAL"))[0][0]) >= count


async def forget_in_kafka(settings: Settings, topic: topics.Topic, before: int) -> None:
    """As retention does: the first records of each partition are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        name = topics.name(topic, settings)
        gone = {TopicPartition(name, p): RecordsToDelete(before_offset=before) for p in range(settings.partitions)}
        await admin.delete_records(gone)
    finally:
        await admin.close()


async def test_the_documented_commands_rebuild_tables_beside_a_running_sink(settings: Settings) -> None:
    """Rows that nobody sent go, rows that were lost come, and those that Kafka has no longer stay."""
    async with filled(settings) as pipe:
        was = await figures(pipe)
        await forget_in_kafka(settings, topics.CHANGES, 3)
        await pipe.run("ALTER TABLE contacts DELETE WHERE _offset >= 5 SETTINGS mutations_sync = 2")
        await pipe.run(
            "INSERT INTO contacts (contact_id, version, _topic, _offset)"
            " SELECT 'cnt_x', 9, _topic, 4 FROM contacts LIMIT 1"
        )
        await pipe.run("TRUNCATE TABLE memberships")
        commands = documented()
        assert commands
        for command in commands:
            done = await run(settings, command)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            assert "rebuilt" in done.stdout, (command, done.stdout)
        done = await run(settings, "python -m deploy.provision --rebuild membership_changes")
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert await figures(pipe) == was
        await pipe.resolved([event("external_id:u1", event_id="evt_later", origin_offset=41)])
        await eventually(partial(_has, pipe, "events", 41), "the next event")


async def test_of_a_cluster_missing_rows_come_beside_the_others(settings: Settings) -> None:
    """Here of one server: the same calls but for the engines of the tables."""
    async with filled(settings) as pipe:
        was = await figures(pipe)
        await pipe.run("ALTER TABLE contacts DELETE WHERE _offset >= 5 SETTINGS mutations_sync = 2")
        await pipe.run("TRUNCATE TABLE memberships")
        await pipe.run("DROP TABLE events SYNC")
        await pipe.run("TRUNCATE TABLE event_types")
        reported: list[str] = []
        for table in ("contacts", "memberships", "events", "event_types"):
            await refill(settings, table, reported.append)
            assert reported[-1] == f"{table} is filled again"
        assert await figures(pipe) == was
        assert await pipe.rows("SELECT count() FROM event_types FINAL") != [(0,)]


async def test_a_table_that_was_dropped_is_made_again_by_provisioning(settings: Settings) -> None:
    async with filled(settings) as pipe:
        was = await figures(pipe)
        for table in ("contacts", "memberships", "events"):
            await pipe.run(f"DROP TABLE {table} SYNC")
        assert await provision(settings) == ["contacts", "events", "memberships"]
        await eventually(partial(_has, pipe, "contacts", 40), "contacts")
        await eventually(partial(_has, pipe, "events", 40), "events")
        assert await figures(pipe) == was
        assert await provision(settings) == []


async def test_a_table_whose_source_cannot_be_read_now_is_filled_by_the_next_call(
    settings: Settings, tmp_path: Path
) -> None:
    port = free_port()
    own = settings.model_copy(update={"clickhouse_url": front_url(port)})
    with clickhouse_front(tmp_path / "ch", port):
        async with filled(own) as pipe:
            was = await figures(pipe)
            await forget_in_kafka(own, topics.CHANGES, 4)
            await pipe.run("SYSTEM STOP MERGES membership_changes")
            ((path,),) = await pipe.rows(
                "SELECT path FROM system.parts WHERE table = 'membership_changes' AND active"
                " AND database = currentDatabase() ORDER BY name LIMIT 1"
            )
            kept = {file: file.read_bytes() for file in Path(path).iterdir() if file.suffix != ".txt"}
            for file in kept:
                file.write_bytes(b"")
            for table in ("memberships", "contact_memberships"):
                await pipe.run(f"DROP TABLE {table} SYNC")
            with pytest.raises(ClickHouseError):
                await provision(own)
            for file, content in kept.items():
                file.write_bytes(content)
            assert await provision(own) == [], "the tables are there, though without all rows"
            assert await figures(pipe) == was
            assert await pipe.rows("SHOW TABLES LIKE '%unfilled%'") == []


async def test_a_rebuild_that_was_killed_is_repeated(settings: Settings) -> None:
    async with filled(settings) as pipe:
        was = await figures(pipe)
        await forget_in_kafka(settings, topics.RESOLVED, 4)
    async with pipeline(settings) as pipe:
        words = ["-m", "deploy.provision", "--rebuild", "events"]
        variables = {**os.environ, **environment(settings)}
        command = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=ROOT, env=variables, stdout=asyncio.subprocess.PIPE
        )
        assert command.stdout
        async with asyncio.timeout(60):
            while b"waiting for a sink" not in await command.stdout.readline():
                pass
        command.kill()
        await command.wait()
        assert await _has(pipe, "events", 16)
        assert not await _has(pipe, "events", 17)
        async with process(settings, "clickhouse"):
            done = await run(settings, "python -m deploy.provision --rebuild events")
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert await figures(pipe) == was
        assert await pipe.rows("SHOW TABLES LIKE '%before%'") == []


async def test_parts_that_cannot_be_read_are_given_up_with_a_yes_only(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    own = settings.model_copy(update={"clickhouse_url": front_url(port)})
    with clickhouse_front(tmp_path / "ch", port):
        async with filled(own) as pipe:
            await forget_in_kafka(own, topics.RESOLVED, 4)
            await pipe.run("SYSTEM STOP MERGES events")
            (part, path), *_ = await pipe.rows(
                "SELECT name, path FROM system.parts WHERE table = 'events' AND active AND database = currentDatabase()"
            )
            for file in [*Path(path).glob("*.bin"), *Path(path).glob("*.*mrk*")]:
                file.write_bytes(b"")
            done = await run(own, "python -m deploy.provision --rebuild events")
            assert done.returncode == 1
            assert part in done.stderr
            assert "--yes" in done.stderr
            assert await pipe.rows("SHOW TABLES LIKE '%before%'") == []
            done = await run(own, "python -m deploy.provision --rebuild events --yes")
            assert done.returncode == 0, (done.stdout, done.stderr)
            assert await _has(pipe, "events", 24), "what Kafka has, at the least"


async def test_what_is_not_made_from_kafka_is_not_rebuilt_from_it(settings: Settings) -> None:
    await provision(settings)
    done = await run(settings, "python -m deploy.provision --rebuild squashes")
    assert done.returncode == 1
    assert "not filled from Kafka" in done.stderr
