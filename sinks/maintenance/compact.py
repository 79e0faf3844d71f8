"""Overrides in, event rows with their current contact out: the table of overrides that reads join stays small.

1. A squash knows the overrides that were stored before its moment, and takes only rows that were. That moment lies
   ``age_s`` back: by then every insert that began before it has ended.
2. It rewrites a row that it never rewrote, or whose override is newer than the last squash. Numbers do not change:
   an override always agrees with the rewritten rows, or is newer.
3. The moment is recorded after the rows: a squash that breaks off has folded some rows, and nothing relies on it.
4. Two never run at the same time: the table ``_squashing`` is the lock, its comment the holder's sign of life.
5. A cancelled squash ends its mutation, and the remains of a killed one are removed before the next begins:
   a mutation whose table of winners is gone would hold up every later rewrite of the rows, erasures too.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from schemas.retry import repeated
from schemas.settings import Settings
from sinks.clickhouse.connect import writing
from sinks.maintenance import mutations
from sinks.maintenance.migrate import TABLE_ALREADY_EXISTS
from sinks.maintenance.mutations import MutationFailedError

log = logging.getLogger(__name__)

MOST_AT_ONCE = 250_000
"""Overrides that one pass holds in memory."""
LOCK_EXPIRES_S = 60
ALIVE_S = 10.0
CLEAN_UP_S = 30.0
AGE_S = 300

_STALE = """
FROM contact_overrides
WHERE _stored_at < fromUnixTimestamp64Milli({until:Int64})
  AND
  (
      _stored_at >= fromUnixTimestamp64Milli({since:Int64})
      OR (workspace, environment, loser) IN (SELECT workspace, environment, own_contact_id FROM events
          WHERE NOT _squashed AND _stored_at < fromUnixTimestamp64Milli({until:Int64}))
  )
"""
_FOLD = """
ALTER TABLE events UPDATE
    contact_id = if(joinGet({table}, 'winner', workspace, environment, own_contact_id) = '', contact_id,
                    joinGet({table}, 'winner', workspace, environment, own_contact_id)),
    _squashed = 1
WHERE _stored_at < fromUnixTimestamp64Milli({until}) AND cityHash64(own_contact_id) % {passes} = {nth}
  AND (NOT _squashed OR joinGet({table}, 'winner', workspace, environment, own_contact_id) NOT IN ('', contact_id))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionResult:
    """The number of ids whose overrides were folded, and the number of passes."""

    overrides: int
    passes: int


async def compact_merges(settings: Settings, age_s: float = AGE_S) -> CompactionResult | None:
    """Runs one squash; ``None`` if another squash is running. Raises ClickHouse's errors."""
    client = await writing(settings)
    try:
        async with _lock(client) as is_ours:
            if not is_ours:
                return None
            await clean_up(client)
            return await _squash(client, age_s)
    finally:
        await client.close()


async def _squash(client: AsyncClient, age_s: float) -> CompactionResult:
    since, until = (
        await client.query(
            "SELECT toUnixTimestamp64Milli(max(until)), toUnixTimestamp64Milli(now64(3)) - {age:Int64} FROM squashes",
            parameters={"age": int(age_s * 1000)},
        )
    ).result_rows[0]
    place = {"since": since, "until": until}
    stale = (await client.query(f"SELECT uniqExact(workspace, environment, loser) {_STALE}", place)).result_rows[0][0]
    passes = -(-stale // MOST_AT_ONCE) or 1
    for nth in range(passes):
        await _pass(client, place | {"passes": passes, "nth": nth})
    await client.command("INSERT INTO squashes (until) SELECT fromUnixTimestamp64Milli({until:Int64})", place)
    return CompactionResult(overrides=stale, passes=passes)


async def _pass(client: AsyncClient, place: dict[str, int]) -> None:
    """Rewrite a share of the ids; the update looks up their winners in a table."""
    table = f"{mutations.SCRATCH}{secrets.token_hex(4)}"
    await client.command(
        f"CREATE TABLE {table} (workspace String, environment String, loser String, winner String)"
        " ENGINE = Join(ANY, LEFT, workspace, environment, loser)"
    )
    try:
        await client.command(
            f"INSERT INTO {table} SELECT workspace, environment, loser, argMax(winner, version) {_STALE}"
            " AND cityHash64(loser) % {passes:UInt32} = {nth:UInt32} GROUP BY workspace, environment, loser",
            parameters=place,
        )
        fold = _FOLD.format(table=f"'{client.database}.{table}'", **place)
        await mutations.run(client, "events", fold, {}, table)
    finally:
        await asyncio.shield(asyncio.wait_for(_remove(client, table), CLEAN_UP_S))


async def _remove(client: AsyncClient, table: str) -> None:
    """The mutation first: it must not outlive the table that it reads."""
    await mutations.kill(client, "events", table)
    await client.command(f"DROP TABLE IF EXISTS {table} SYNC")


async def clean_up(client: AsyncClient) -> None:
    """Remove the remains of killed squashes; no squash may run meanwhile."""
    left = await client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {scratch:String})",
        parameters={"scratch": mutations.SCRATCH},
    )
    for (table,) in left.result_rows:
        log.warning("removing %s: the squash that made it was cut off", table)
        await _remove(client, table)
    await mutations.kill_orphans(client)


@asynccontextmanager
async def _lock(client: AsyncClient) -> AsyncIterator[bool]:
    expired = await client.query(
        "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = '_squashing'"
        " AND metadata_modification_time < now() - {age:UInt32}",
        parameters={"age": LOCK_EXPIRES_S},
    )
    if expired.result_rows:
        await client.command("DROP TABLE IF EXISTS _squashing SYNC")
    try:
        # without IF NOT EXISTS: of two that try, one gets the error
        await client.command("CREATE TABLE _squashing (x UInt8) ENGINE = Memory")
    except DatabaseError as error:
        if error.code != TABLE_ALREADY_EXISTS:
            raise
        yield False
        return
    alive = asyncio.create_task(_say_alive(client))
    try:
        yield True
    finally:
        alive.cancel()
        await asyncio.shield(client.command("DROP TABLE IF EXISTS _squashing SYNC"))


async def _say_alive(client: AsyncClient) -> None:
    while True:
        await asyncio.sleep(ALIVE_S)
        with suppress(ClickHouseError):
            await client.command(f"ALTER TABLE _squashing MODIFY COMMENT '{secrets.token_hex(4)}'")


async def every(settings: Settings) -> None:
    """Squash on a schedule for ever; a failure is logged and tried again the next time."""

    async def squash() -> None:
        log.info("squash: %s", await compact_merges(settings))

    def report(error: Exception, pause_s: float) -> None:
        log.error("squash failed, retrying in %g s", pause_s, exc_info=error)

    pause_s = settings.squash_interval_s
    await repeated(squash, pause_s, (ClickHouseError, MutationFailedError, TimeoutError), report, at_once=False)
