"""Overrides in, event rows that carry the contact they belong to out: what reads look up stays small.

1. A squash knows the overrides that were stored before its moment, and takes only rows that were. That moment lies
   ``age_s`` back: by then every insert that began before it has ended.
2. A row is folded when it never was, or when the override of its own contact id is newer than the squash before. So
   the numbers do not move: an override always says the same as the rows that know it, or something newer.
3. The moment is recorded after the rows: a squash that breaks off has folded some rows, and nothing relies on it.
4. Two never run at the same time: the table ``_squashing`` is the lock.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from schemas.settings import Settings
from sinks.clickhouse.migrate import TABLE_ALREADY_EXISTS, connected

log = logging.getLogger(__name__)

MOST_AT_ONCE = 250_000
"""Overrides that one pass holds in memory."""
LOCK_EXPIRES_S = 3600
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
class Squashed:
    """Of how many ids the override was folded, and in how many passes."""

    overrides: int
    passes: int


async def squash(settings: Settings, age_s: float = AGE_S) -> Squashed | None:
    """Fold once; ``None`` where another process is at it. Raises ClickHouse's errors."""
    client = await connected(settings)
    client.database = settings.clickhouse_database
    try:
        async with _lock(client) as is_ours:
            return await _squash(client, age_s) if is_ours else None
    finally:
        await client.close()


async def _squash(client: AsyncClient, age_s: float) -> Squashed:
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
    return Squashed(overrides=stale, passes=passes)


async def _pass(client: AsyncClient, place: dict[str, int]) -> None:
    """One share of the ids; the table of their winners is what the update looks up."""
    table = f"_squash_{secrets.token_hex(4)}"
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
        await client.command(
            _FOLD.format(table=f"'{client.database}.{table}'", **place), settings={"mutations_sync": "2"}
        )
    finally:
        await client.command(f"DROP TABLE IF EXISTS {table} SYNC")


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
    try:
        yield True
    finally:
        await client.command("DROP TABLE IF EXISTS _squashing SYNC")


async def every(settings: Settings) -> None:
    """Squash on a schedule for ever; what goes wrong is logged and tried again the next time."""
    while True:
        await asyncio.sleep(settings.squash_interval_s)
        try:
            done = await squash(settings)
        except ClickHouseError:
            log.exception("the squash broke off; it is repeated")
        else:
            log.info("squash: %s", done)
