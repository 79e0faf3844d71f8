"""Settings and a folder, or a place in S3, in; a backup of the cluster there, or a new cluster restored from it, out.

In S3 the tables are ClickHouse's own backup; Kafka's records and the manifest lie beside it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.backup import manifest as manifests
from deploy.backup.archives import archive_tables, archives_of, restore_tables
from deploy.backup.manifest import Archive, Manifest, TableCopy
from deploy.backup.object_store import Bucket, store_of
from deploy.backup.sealed import refuse_sealed
from deploy.backup.tables import copy_in, copy_tables, refuse_rows, tables_of
from deploy.backup.topics_in import commit, commits, refuse_records, write_topics
from deploy.backup.topics_out import TopicsReader
from deploy.group_members import members
from deploy.provision import ProvisionError, provision
from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.maintenance.cluster import insert_clients
from sinks.maintenance.migrate import MigrationError, migrations

Say = Callable[[str], None]


async def backup(settings: Settings, to: str, say: Say) -> None:
    """Beside everything that runs; raises ``CannotStart``. The folder, or the place in S3, has to be new or empty."""
    store = store_of(to)
    if store is None:
        folder = Path(to)
        _prepare(folder)
        await _backup(settings, folder, None, say)
        return
    if not await store.is_empty():
        raise CannotStart(f"{to} is not empty: each backup has a place of its own")
    with _scratch(settings) as folder:
        made = await _backup(settings, folder, store.bucket, say)
        for name in sorted(made.paths()):
            await store.upload(folder, name)
        await store.upload(folder, manifests.NAME)
    say(f"{to}: complete")


async def _backup(settings: Settings, folder: Path, bucket: Bucket | None, say: Say) -> Manifest:
    began_ms = time.time_ns() // 1_000_000
    try:
        made = await _copy(settings, folder, bucket, began_ms, say)
    except (ClickHouseError, KafkaError) as error:
        raise CannotStart(f"Kafka or ClickHouse cannot be read: {str(error)[:300] or error!r}") from error
    made.sha256 = {path: manifests.digest(folder / path) for path in sorted(made.paths())}
    manifests.write(folder, made)
    records = sum(part.records for some in made.topics.values() for part in some)
    tables = len(made.tables) + sum(len(archive.tables) for archive in made.archives or ())
    say(f"{folder}: {records} records of {len(made.topics)} topics, {tables} tables, {len(made.sha256)} files")
    return made


async def _copy(settings: Settings, folder: Path, bucket: Bucket | None, began_ms: int, say: Say) -> Manifest:
    reader = TopicsReader(settings, folder)
    try:
        await reader.start()
        await reader.read_most()
        say("topics: read, except records that arrive now")
        groups = await commits(settings)  # before tables and state: later records are processed again
        copies: list[dict[str, TableCopy]] = [{}]
        archives: list[Archive] | None = None
        is_cluster = bool(settings.clickhouse_cluster)
        async with insert_clients(settings) as clients:
            if bucket is None:
                copies = await copy_tables(clients, folder, replicated=is_cluster)
                say(f"tables: {sum(table.rows for tables in copies for table in tables.values())} rows")
            else:
                names = await tables_of(clients[0])
                archives = archives_of(names, [str(client.database) for client in clients])
                sizes = [
                    await archive_tables(clients, archive, bucket, say, replicated=is_cluster) for archive in archives
                ]
                say(f"tables: {sum(sizes)} bytes")
        await reader.read_rest()
    finally:
        await reader.stop()
    return Manifest(
        release=version("headwater"),
        began_ms=began_ms,
        partitions=settings.partitions,
        migrations=[migration.name for migration in migrations()],
        topics=reader.copies(),
        groups=groups,
        tables=copies[0],
        other_shards=copies[1:] or None,
        archives=archives,
        sha256={},
    )


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # what is in it names people and holds secrets
    if any(folder.iterdir()):
        raise CannotStart(f"{folder} is not empty: each backup has a folder of its own")


@contextmanager
def _scratch(settings: Settings) -> Iterator[Path]:
    """A folder for Kafka's records on their way, which only its owner reads: the home has a disk."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="backup-", dir=settings.home) as folder:
        yield Path(folder)


async def restore(settings: Settings, source: str, say: Say, *, lose: bool = False) -> None:
    """Into a Kafka and a ClickHouse that hold nothing of these names; no process runs. Raises ``CannotStart``.

    ``lose``: secrets may be sealed with a key that is not here.
    """
    store = store_of(source)
    if store is None:
        folder = Path(source)
        await _restore(settings, folder, manifests.read(folder), None, say, lose=lose)
        return
    with _scratch(settings) as folder:
        try:
            await store.download(folder, manifests.NAME)
        except FileNotFoundError:
            raise CannotStart(f"{source} has no {manifests.NAME}: it is no backup, or an unfinished one") from None
        _refuse_other(settings, manifests.head(folder))
        for name in sorted(manifests.head(folder).paths()):
            with suppress(FileNotFoundError):  # the digests say so
                await store.download(folder, name)
        await _restore(settings, folder, manifests.read(folder), store.bucket, say, lose=lose)


def _refuse_other(settings: Settings, manifest: Manifest) -> None:
    """Raise ``CannotStart`` where the backup is of other numbers of partitions or shards, or of a later release."""
    if manifest.partitions != settings.partitions:
        raise CannotStart(
            f"the backup has {manifest.partitions} partitions: set HEADWATER_PARTITIONS={manifest.partitions}"
        )
    if manifest.shards != settings.clickhouse_shards:
        raise CannotStart(
            f"the backup has the tables of {manifest.shards} shards, whose number says where a row lies: set "
            f"HEADWATER_CLICKHOUSE_SHARDS={manifest.shards}"
        )
    if later := sorted(set(manifest.migrations) - {migration.name for migration in migrations()}):
        raise CannotStart(f"the backup is of a later release ({manifest.release}), which has {later[0]}: use that one")


async def _restore(
    settings: Settings, folder: Path, manifest: Manifest, bucket: Bucket | None, say: Say, *, lose: bool
) -> None:
    _refuse_other(settings, manifest)
    if manifest.archives is not None and bucket is None:
        raise CannotStart(f"{folder} has its tables in S3: restore it from its s3:// address")
    state = sorted((settings.home / "state").glob("*"))
    if state:
        raise CannotStart(f"{state[0]} is of another cluster: remove {settings.home / 'state'} first")
    if not lose:
        refuse_sealed(folder, manifest)
    if running := await members(settings):
        raise CannotStart(f"{running[0].stage} {running[0].worker} runs, or did just now: stop every process first")
    try:
        await provision(settings)
    except (ProvisionError, MigrationError) as error:
        raise CannotStart(str(error)) from error
    await refuse_records(settings, manifest)
    async with insert_clients(settings) as clients:
        for client in clients:
            await refuse_rows(client, replicated=bool(settings.clickhouse_cluster))
        say(f"{await write_topics(settings, folder, manifest)} records are written")
        if bucket is not None:
            sizes = [await restore_tables(clients, archive, bucket, say) for archive in manifest.archives or ()]
            say(f"tables: {sum(sizes)} bytes are back")
        else:
            try:
                copies = zip(clients, manifest.by_shard, strict=True)
                say(f"{sum([await copy_in(client, folder, tables) for client, tables in copies])} rows are written")
            except ClickHouseError as error:
                raise CannotStart(f"ClickHouse does not take the tables: {str(error)[:300]}") from error
    await commit(settings, manifest.groups)
    say("restored: start the processes")
