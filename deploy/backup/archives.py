"""Tables of ClickHouse's hosts in, its own backups of them in S3 out; and the same rows in empty tables, out of those.

1. An archive is one ``BACKUP`` at one host: of each table the parts that it had at a moment. Archives follow each
   other: what says how far others are (``squashes``, then the tables with the sink's position) comes before these.
2. Each shard gives its own tables; those that every shard has whole come from the first one.
3. A statement is asked for and looked after: no request lasts as long as a backup. ClickHouse hides the key and its
   secret in its logs and errors.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.backup.manifest import Archive
from deploy.backup.object_store import Bucket
from deploy.backup.tables import ordered, tables_at
from schemas.errors import CannotStart
from schemas.sql_text import literal

Say = Callable[[str], None]

S3_RETRIES = {"backup_restore_s3_retry_attempts": "20"}
"""ClickHouse's own 1,000 are hours where an address is wrong."""
LOOK_S, LONGEST_LOOK_S, SAY_S = 0.05, 2.0, 10.0
_STATE = "SELECT status, error, total_size FROM system.backups WHERE id = {id:String}"


def archives_of(tables: Iterable[str], databases: Sequence[str]) -> list[Archive]:
    """The archives in their order, from the database of each shard; pure."""
    archives = []
    for step, names in enumerate(ordered(tables), 1):
        for shard, database in enumerate(databases, 1):
            if own := tables_at(shard, names):
                path = f"tables/shard-{shard}/{step}"
                archives.append(Archive(path=path, shard=shard, database=database, tables=own))
    return archives


def sync_statements(archive: Archive) -> list[str]:
    """Before a backup at a replica, which copies what it has: it may be behind the others. Pure."""
    return [f"SYSTEM SYNC REPLICA {archive.database}.{name}" for name in archive.tables]


def backup_statement(archive: Archive, bucket: Bucket) -> str:
    """Pure."""
    tables = ", ".join(f"TABLE {archive.database}.{name}" for name in archive.tables)
    return f"BACKUP {tables} TO {_place(archive, bucket)} ASYNC"


def restore_statement(archive: Archive, bucket: Bucket, database: str) -> str:
    """Into present tables, which may have got more columns since, or become replicated; pure."""
    tables = ", ".join(f"TABLE {archive.database}.{name} AS {database}.{name}" for name in archive.tables)
    settings = "SETTINGS create_table = 'must-exist', allow_different_table_def = 1"
    return f"RESTORE {tables} FROM {_place(archive, bucket)} {settings} ASYNC"


def _place(archive: Archive, bucket: Bucket) -> str:
    values = [f"{bucket.url}/{archive.path}", *((bucket.key, bucket.secret) if bucket.key else ())]
    token = [f"session_token = {literal(bucket.token)}"] if bucket.token else []
    return f"S3({', '.join([*map(literal, values), *token])})"


async def archive_tables(
    clients: Sequence[AsyncClient], archive: Archive, bucket: Bucket, say: Say, *, replicated: bool = False
) -> int:
    """The bytes that are in S3 now; the clients are of the shards. Raises ``CannotStart``."""
    client = clients[archive.shard - 1]
    for statement in sync_statements(archive) if replicated else ():
        await client.command(statement)
    return await _run(client, backup_statement(archive, bucket), archive, bucket, say)


async def restore_tables(clients: Sequence[AsyncClient], archive: Archive, bucket: Bucket, say: Say) -> int:
    """The bytes that came from S3; raises ``CannotStart``."""
    client = clients[archive.shard - 1]
    return await _run(client, restore_statement(archive, bucket, str(client.database)), archive, bucket, say)


async def _run(client: AsyncClient, statement: str, archive: Archive, bucket: Bucket, say: Say) -> int:
    try:
        answer = await client.command(statement, settings=S3_RETRIES)
        backup_id = answer[0] if isinstance(answer, list | tuple) else str(answer)
        return await _done(client, str(backup_id), archive, say)
    except ClickHouseError as error:
        reason = bucket.without_secrets(str(error))
        raise CannotStart(f"ClickHouse and {bucket.address}/{archive.path}: {reason[:400]}") from None


async def _done(client: AsyncClient, backup_id: str, archive: Archive, say: Say) -> int:
    pause_s, say_at = LOOK_S, time.monotonic() + SAY_S
    while True:
        rows = (await client.query(_STATE, {"id": backup_id})).result_rows
        if not rows:
            raise CannotStart(f"{archive.path}: ClickHouse was started again meanwhile; begin anew")
        status, reason, size = rows[0]
        if status in ("BACKUP_CREATED", "RESTORED"):
            return int(size)
        if status not in ("CREATING_BACKUP", "RESTORING"):
            raise ClickHouseError(str(reason) or str(status))
        if time.monotonic() > say_at:
            say_at = time.monotonic() + SAY_S
            say(f"{archive.path}: {len(archive.tables)} tables, {str(status).lower().replace('_', ' ')}")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)
