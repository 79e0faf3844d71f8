"""Settings and a folder in; a backup of the cluster in the folder, or a new cluster restored from it, out."""

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.backup import manifest as manifests
from deploy.backup.manifest import CommittedOffset, Manifest, PartitionCopy, TableCopy
from deploy.backup.tables import copy_in, copy_out, refuse_rows, tables_of
from deploy.backup.topics_in import commit, commits, refuse_records, write_topics
from deploy.backup.topics_out import TopicsReader
from deploy.group_members import members
from deploy.provision import ProvisionError, provision
from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import writing
from sinks.maintenance.cluster import refuse_cluster
from sinks.maintenance.migrate import MigrationError, migrations

Say = Callable[[str], None]


async def backup(settings: Settings, folder: Path, say: Say) -> None:
    """Beside everything that runs; raises ``CannotStart``. The folder has to be new, or empty."""
    refuse_cluster(settings, "a backup", "a replica takes merged parts from the others meanwhile; use BACKUP")
    began_ms = time.time_ns() // 1_000_000
    _prepare(folder)
    try:
        topics, groups, tables = await _copy(settings, folder, say)
    except (ClickHouseError, KafkaError) as error:
        raise CannotStart(f"Kafka or ClickHouse cannot be read: {str(error)[:300] or error!r}") from error
    made = Manifest(
        release=version("headwater"),
        began_ms=began_ms,
        partitions=settings.partitions,
        migrations=[migration.name for migration in migrations()],
        topics=topics,
        groups=groups,
        tables=tables,
        sha256={},
    )
    made.sha256 = {path: manifests.digest(folder / path) for path in sorted(made.paths())}
    manifests.write(folder, made)
    records = sum(part.records for some in topics.values() for part in some)
    say(f"{folder}: {records} records of {len(topics)} topics, {len(tables)} tables, {len(made.sha256)} files")


async def _copy(
    settings: Settings, folder: Path, say: Say
) -> tuple[dict[str, list[PartitionCopy]], list[CommittedOffset], dict[str, TableCopy]]:
    reader = TopicsReader(settings, folder)
    try:
        await reader.start()
        await reader.read_most()
        say("topics: read, except records that arrive now")
        groups = await commits(settings)  # before tables and state: later records are processed again
        tables = {}
        async with await writing(settings) as client:
            for table in await tables_of(client):
                tables[table] = await copy_out(client, table, folder)
        say(f"tables: {sum(table.rows for table in tables.values())} rows of {len(tables)}")
        await reader.read_rest()
    finally:
        await reader.stop()
    return reader.copies(), groups, tables


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # what is in it names people and holds secrets
    if any(folder.iterdir()):
        raise CannotStart(f"{folder} is not empty: each backup has a folder of its own")


async def restore(settings: Settings, folder: Path, say: Say) -> None:
    """Into a Kafka and a ClickHouse that hold nothing of these names; no process runs. Raises ``CannotStart``."""
    manifest = manifests.read(folder)
    if manifest.partitions != settings.partitions:
        raise CannotStart(
            f"the backup has {manifest.partitions} partitions: set HEADWATER_PARTITIONS={manifest.partitions}"
        )
    if later := sorted(set(manifest.migrations) - {migration.name for migration in migrations()}):
        raise CannotStart(f"the backup is of a later release ({manifest.release}), which has {later[0]}: use that one")
    state = sorted((settings.home / "state").glob("*"))
    if state:
        raise CannotStart(f"{state[0]} is of another cluster: remove {settings.home / 'state'} first")
    if running := await members(settings):
        raise CannotStart(f"{running[0].stage} {running[0].worker} runs, or did just now: stop every process first")
    try:
        await provision(settings)
    except (ProvisionError, MigrationError) as error:
        raise CannotStart(str(error)) from error
    await refuse_records(settings, manifest)
    async with await writing(settings) as client:
        await refuse_rows(client)
        say(f"{await write_topics(settings, folder, manifest)} records are written")
        try:
            say(f"{await copy_in(client, folder, manifest)} rows are written")
        except ClickHouseError as error:
            raise CannotStart(f"ClickHouse does not take the tables: {str(error)[:300]}") from error
    await commit(settings, manifest.groups)
    say("restored: start the processes")
