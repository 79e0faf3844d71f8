"""The ``.sql`` files of ``schemas/clickhouse`` in, a database that has every one of them out.

1. Numbered files are append-only: each is applied once, in order, and recorded in ``_migrations`` with its digest; one
   that changed after it was applied is an error. Files of ``views/`` come last, and again whenever they change.
2. A file that failed half-way is applied again from its beginning, so its statements must be repeatable.
3. Two processes do not migrate at the same time: the table ``_migrating`` is the lock, and its comment the sign of
   life of its holder.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.settings import Settings
from sinks.clickhouse.connect import READ_LAYER, connected
from sinks.maintenance.cluster import hosts_of, replicated
from sinks.maintenance.read_layer import read_layer

FILE = re.compile(r"\d{4}_\w+\.sql")
SEPARATOR = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.)*'|(?P<end>;)", re.DOTALL)
TABLE_ALREADY_EXISTS = 57
LOCK_EXPIRES_S = 20
SIGN_EVERY_S = 1.0
"""One for each statement took half of the time that all of them took."""
VIEWS = "views/"


class MigrationError(Exception):
    """A file that was applied has been changed, or the tables are of a version that cannot be brought up to date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    name: str
    text: str

    @property
    def is_view(self) -> bool:
        """Whether the file may change: it replaces its view."""
        return self.name.startswith(VIEWS)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, database: str, *, replicas: bool = False, shards: int = 1) -> list[str]:
        """The statements between semicolons outside of comments and strings; ``replicas``: for hosts of a cluster."""
        parts, start = [], 0
        for match in SEPARATOR.finditer(self.text):
            if match["end"]:
                parts.append(self.text[start : match.start()])
                start = match.end()
        parts.append(self.text[start:])
        filled = (part.replace("{database}", database).strip() for part in parts)
        statements = [part for part in filled if SEPARATOR.sub("", part).strip()]
        return [replicated(part, shards) for part in statements] if replicas else statements


def migrations() -> list[Migration]:
    """Every file, in order: tables, then views, which may read each other as earlier files made them."""
    folder = files("schemas").joinpath("clickhouse")
    tables = [Migration(name=f.name, text=f.read_text()) for f in folder.iterdir() if FILE.fullmatch(f.name)]
    views = [
        Migration(name=VIEWS + f.name, text=f.read_text())
        for f in folder.joinpath(VIEWS).iterdir()
        if f.name.endswith(".sql")
    ]
    return sorted(tables, key=lambda m: m.name) + sorted(views, key=lambda m: m.name)


def expected_of(settings: Settings) -> list[Migration]:
    """Returns the migrations; with several shards also the one of the tables that read all shards."""
    expected = migrations()
    if settings.clickhouse_shards > 1:
        text = read_layer(settings.clickhouse_cluster, {migration.name: migration.text for migration in expected})
        expected.append(Migration(name=READ_LAYER, text=text))
    return expected


async def migrate(settings: Settings, todo: list[Migration] | None = None) -> list[str]:
    """Applies pending migrations, in a cluster on each host; returns the names of those that it applied.

    Waits for a ClickHouse that is still starting. Raises ``MigrationError`` or ClickHouse's own error.
    """
    chosen = expected_of(settings) if todo is None else todo
    applied: list[str] = []
    for host in await hosts_of(settings):
        applied += [name for name in await _migrate(host, chosen) if name not in applied]
    return applied


async def _migrate(settings: Settings, chosen: list[Migration]) -> list[str]:
    client = await connected(settings)
    try:
        database = settings.clickhouse_database
        await client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
        await client.command(
            f"CREATE TABLE IF NOT EXISTS {database}._migrations"
            " (name String, digest String, applied_at DateTime64(3) DEFAULT now64(3))"
            " ENGINE = MergeTree ORDER BY name"
        )
        await _refuse_older_contacts(client, database)
        if not await _missing(client, database, chosen):
            return []
        async with locked(client, database) as sign_of_life:
            missing = await _missing(client, database, chosen)
            for migration in missing:
                statements = statements_of(migration, settings)
                await _apply(client, database, migration, statements, sign_of_life)
        return [migration.name for migration in missing]
    finally:
        await client.close()


def statements_of(migration: Migration, settings: Settings) -> list[str]:
    """Returns the migration's statements for this cluster or single server."""
    is_cluster, shards = bool(settings.clickhouse_cluster), settings.clickhouse_shards
    return migration.statements(settings.clickhouse_database, replicas=is_cluster, shards=shards)


async def unapplied(settings: Settings) -> list[Migration]:
    """The migrations that ``migrate`` would apply on any host; changes nothing. Raises ``MigrationError``."""
    todo = {migration.name: migration for host in await hosts_of(settings) for migration in await _unapplied(host)}
    return [migration for migration in expected_of(settings) if migration.name in todo]


async def _unapplied(settings: Settings) -> list[Migration]:
    client = await connected(settings)
    try:
        result = await client.query(
            "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = '_migrations'",
            {"database": settings.clickhouse_database},
        )
        files = expected_of(settings)
        return await _missing(client, settings.clickhouse_database, files) if result.result_rows else files
    finally:
        await client.close()


async def _refuse_older_contacts(client: AsyncClient, database: str) -> None:
    """Raise ``MigrationError`` where rows name contacts by ids that do not carry their tenant."""
    if not (await client.query(f"EXISTS TABLE {database}.contacts")).result_rows[0][0]:
        return
    older = f"SELECT contact_id FROM {database}.contacts WHERE match(contact_id, '^cnt_[a-z2-7]{{24}}$') LIMIT 1"  # noqa: S608 - checked name
    if (await client.query(older)).result_rows:
        raise MigrationError(
            f"{database}.contacts holds contact ids of an earlier version, which do not carry their workspace: "
            "use another HEADWATER_CLICKHOUSE_DATABASE, or an empty HEADWATER_HOME, and import the events again"
        )


async def _missing(client: AsyncClient, database: str, expected: list[Migration]) -> list[Migration]:
    applied = await digests(client, database)
    for migration in expected:
        if not migration.is_view and applied.get(migration.name, migration.digest) != migration.digest:
            raise MigrationError(f"{migration.name} was changed after it was applied: write a new file instead")
    return [migration for migration in expected if applied.get(migration.name) != migration.digest]


async def digests(client: AsyncClient, database: str) -> dict[str, str]:
    """Returns the digest of the last applied version of each file, by file name."""
    sql = f"SELECT name, argMax(digest, applied_at) FROM {database}._migrations GROUP BY name"  # noqa: S608 - checked name
    return {str(row[0]): str(row[1]) for row in (await client.query(sql)).result_rows}


async def _apply(
    client: AsyncClient,
    database: str,
    migration: Migration,
    statements: list[str],
    sign_of_life: Callable[[str], Awaitable[None]],
) -> None:
    for statement in statements:
        await sign_of_life(migration.name)
        await client.command(statement)
    await client.insert(
        "_migrations", [[migration.name, migration.digest]], column_names=["name", "digest"], database=database
    )


@asynccontextmanager
async def locked(client: AsyncClient, database: str) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    """Hold the lock on changes of tables; call the yielded function with a word before each statement."""
    signed_s = 0.0

    async def sign_of_life(word: str) -> None:
        nonlocal signed_s
        if time.monotonic() - signed_s >= SIGN_EVERY_S:
            await client.command(f"ALTER TABLE {database}._migrating MODIFY COMMENT '{word}'")
            signed_s = time.monotonic()

    while True:
        try:
            # without IF NOT EXISTS: of two that try, one gets the error
            await client.command(f"CREATE TABLE {database}._migrating (x UInt8) ENGINE = Memory")
            break
        except DatabaseError as error:
            if error.code != TABLE_ALREADY_EXISTS:
                raise
        await _drop_expired(client, database)
        await asyncio.sleep(0.1)
    try:
        yield sign_of_life
    finally:
        await client.command(f"DROP TABLE IF EXISTS {database}._migrating SYNC")


async def _drop_expired(client: AsyncClient, database: str) -> None:
    expired = await client.query(
        "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = '_migrating'"
        " AND metadata_modification_time < now() - {age:UInt32}",
        parameters={"database": database, "age": LOCK_EXPIRES_S},
    )
    if expired.result_rows:
        await client.command(f"DROP TABLE IF EXISTS {database}._migrating SYNC")
