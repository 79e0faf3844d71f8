"""Every process starts before topics and tables are there: it waits, makes none of them, and is ready afterwards."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local import seed
from deploy.local.stack import environment
from deploy.provision import plan, provision
from schemas import topics
from schemas.settings import Settings
from sinks.clickhouse.connect import connected
from sinks.maintenance.migrate import migrations
from tests.support.services import ROOT
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

PROCESSES = (
    ("ingest",),
    ("processors", "identity"),
    ("processors", "segments"),
    ("sinks", "clickhouse"),
    ("sinks", "query"),
    ("sinks", "webhooks"),
)
BEFORE_S = 10.0
"""Long enough for each to be at what it waits for."""


async def topics_of(settings: Settings) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        return {name for name in await admin.list_topics() if name.startswith(settings.topic_prefix)}
    finally:
        await admin.close()


async def tables_of(settings: Settings) -> list[str]:
    async with await connected(settings) as client:
        rows = await client.query(
            "SELECT name FROM system.tables WHERE database = {d:String}", {"d": settings.clickhouse_database}
        )
    return [name for (name,) in rows.result_rows]


def start(settings: Settings, module: tuple[str, ...], folder: Path) -> "subprocess.Popen[bytes]":
    name = module[-1]
    variables = environment(settings) | {"HEADWATER_READY_FILE": str(folder / f"{name}.ready")}
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *module], cwd=ROOT, env={**os.environ, **variables}, stdout=log, stderr=log
        )


async def test_all_processes_wait_for_it(settings: Settings, tmp_path: Path) -> None:
    running = {module[-1]: start(settings, module, tmp_path) for module in PROCESSES}

    def logs() -> str:
        return "\n".join(f"--- {p.name}\n{p.read_text(errors='replace')[-1500:]}" for p in tmp_path.glob("*.log"))

    def ready() -> set[str]:
        return {path.stem for path in tmp_path.glob("*.ready")}

    try:
        await asyncio.sleep(BEFORE_S)
        assert {name: process.poll() for name, process in running.items()} == dict.fromkeys(running), logs()
        assert ready() == set(), logs()
        assert await topics_of(settings) == set()
        assert await tables_of(settings) == []
        await provision(settings)
        await seed.seed(settings)
        await eventually(lambda: ready() == set(running), "all are ready", within_s=90)
    except BaseException as error:
        raise AssertionError(f"ready: {ready()}\n{logs()}") from error
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(20)


async def test_a_plan_names_everything_and_does_nothing(settings: Settings) -> None:
    planned = await plan(settings)
    for topic in topics.catalogue(settings):
        assert any(line.startswith(f"topic {topic.name}: ") for line in planned), topic.name
    for migration in migrations():
        assert f"tables {migration.name}:" in planned
    assert await topics_of(settings) == set()
    assert await tables_of(settings) == []
    await provision(settings)
    assert await plan(settings) == []
