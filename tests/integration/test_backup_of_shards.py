"""Backups of a cluster: two databases of one engine as two shards, with rows; replicated tables without any."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from clickhouse_connect.driver.asyncclient import AsyncClient

from deploy.backup.archives import archive_tables, archives_of, backup_statement, restore_statement, restore_tables
from deploy.backup.object_store import bucket_of
from deploy.backup.tables import copy_in, copy_tables, tables_of
from schemas.settings import Settings
from sinks.clickhouse.connect import writing
from sinks.clickhouse.rows import EVENTS, Item
from sinks.clickhouse.writer import Writer
from sinks.maintenance.cluster import EVERYWHERE
from sinks.maintenance.layout import feeds
from sinks.maintenance.merges import stop_and_start
from sinks.maintenance.migrate import migrate, migrations
from tests.support.builders import event
from tests.support.cluster_engine import Refused, answers
from tests.support.object_storage import BUCKET, ObjectStorage, object_storage

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def shards(settings: Settings) -> AsyncIterator[list[list[AsyncClient]]]:
    """Two with rows, and two empty ones; what every shard has whole is read from the first."""
    async with AsyncExitStack() as clients:
        made: list[list[AsyncClient]] = [[], []]
        for n in range(4):
            update = {"clickhouse_database": f"{settings.clickhouse_database}_{n}"}
            host = settings.model_copy(update=update)
            await migrate(host)
            if n < 2:
                await _fill(host, n)
            made[n // 2].append(await clients.enter_async_context(await writing(host)))
        yield made


async def _fill(host: Settings, shard: int) -> None:
    writer = Writer(host)
    await writer.start()
    await writer.prepare(EVENTS)
    for n in range(3):
        who = f"external_id:u{shard}-{n}"
        placed = event(who, event_id=f"e{shard}-{n}", origin_partition=shard, origin_offset=n, origin_index=0)
        await writer.insert(EVENTS, "resolved", [Item(shard, n, 0, placed)])
    await writer.stop()
    async with await writing(host) as client:
        columns = "workspace, environment, loser, winner, version"
        await client.command(f"INSERT INTO contact_overrides ({columns}) VALUES ('w', 'e', 'cnt_1', 'cnt_2', 1)")


async def _expect_equal(old: list[AsyncClient], new: list[AsyncClient], *, but: frozenset[str] = frozenset()) -> None:
    for shard, (before, after) in enumerate(zip(old, new, strict=True)):
        for name in set(await tables_of(before)) - but:
            rows, restored = [
                (await client.query(f"SELECT * FROM {name} ORDER BY ALL")).result_rows for client in (before, after)
            ]
            if shard and name in EVERYWHERE:
                assert not restored, f"{name}: its replicas bring it"
            else:
                assert restored == rows, name
        assert (await after.query("SELECT count() FROM events")).result_rows[0][0] == 3
    assert (await new[0].query("SELECT count() FROM contact_overrides")).result_rows[0][0] == 1


async def test_a_folder_has_the_rows_of_each_shard(shards: list[list[AsyncClient]], tmp_path: Path) -> None:
    old, new = shards
    copies = await copy_tables(old, tmp_path, replicated=False)
    files = [name for tables in copies for table in tables.values() for name in table.files]
    assert len(set(files)) == len(files)
    assert not EVERYWHERE & copies[1].keys()
    for client, tables in zip(new, copies, strict=True):
        await copy_in(client, tmp_path, tables)
    await _expect_equal(old, new, but=frozenset(feed.target for feed in feeds()))  # views fill theirs once more


async def test_s3_has_the_rows_of_each_shard(shards: list[list[AsyncClient]], storage: ObjectStorage) -> None:
    old, new = shards
    bucket = bucket_of(f"s3://{BUCKET}/shards", storage.variables())
    archives = archives_of(await tables_of(old[0]), [str(client.database) for client in old])
    for archive in archives:
        await archive_tables(old, archive, bucket, print)
    for archive in archives:
        await restore_tables(new, archive, bucket, print)
    await _expect_equal(old, new)


def test_the_engine_backs_up_replicated_tables(storage: ObjectStorage, tmp_path: Path) -> None:
    """They are empty: the embedded engine's only replica never gets ready, so it refuses ``SYNC REPLICA`` too."""
    bucket = bucket_of(f"s3://{BUCKET}/replicas", storage.variables())
    made = [
        sql
        for database, replicas in (("one", True), ("two", True), ("alone", False))
        for migration in migrations()
        for sql in (f"CREATE DATABASE IF NOT EXISTS {database}", *migration.statements(database, replicas=replicas))
        if sql.startswith("CREATE DATABASE") or "CREATE TABLE" in sql
    ]
    names = sorted(
        {match[1] for sql in made if (match := re.search(r"^CREATE TABLE IF NOT EXISTS one\.(\w+)", sql, re.MULTILINE))}
    )
    archives = archives_of(names, ["one"])
    held = [sql.replace("events", "one.events") for some in stop_and_start("events", replicated=True) for sql in some]
    queries = [sql for sql in held if sql and "SYNC" not in sql]
    queries += [backup_statement(archive, bucket).removesuffix(" ASYNC") for archive in archives]
    queries += [
        restore_statement(archive, bucket, database).removesuffix(" ASYNC")
        for database in ("two", "alone")
        for archive in archives
    ]
    results = answers(tmp_path, [*made, *queries])
    assert not [answer for answer in results if isinstance(answer, Refused)]
    statuses = [answer.split()[-1] for answer in results[len(made) :] if answer]
    assert statuses == ["BACKUP_CREATED"] * len(archives) + ["RESTORED"] * 2 * len(archives)
