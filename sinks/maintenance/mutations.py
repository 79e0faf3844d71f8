"""Runs an ALTER that rewrites rows, and waits until ClickHouse has done it, for as long as it takes.

A mutation outlives the request that asked for it, and its process: one that reads a table that is gone, or fails
again and again, holds up every later mutation of its table. So requests do not wait for mutations, they are looked
at; one that fails is killed; and what an earlier process left behind is killed at start.
"""

import asyncio
import logging
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

log = logging.getLogger(__name__)

LOOK_S = 0.05
LONGEST_LOOK_S = 2.0
SCRATCH = "_squash_"
"""The prefix of the names of the squash's tables."""

_OF = "database = currentDatabase() AND table = {table:String} AND NOT is_done AND position(command, {mark:String}) > 0"
_STATE = f"SELECT count(), max(latest_fail_reason) FROM system.mutations WHERE {_OF}"  # noqa: S608 - constants
_ORPHANS = """
SELECT table, mutation_id, extract(command, '_squash_[0-9a-f]+') AS scratch FROM system.mutations
WHERE database = currentDatabase() AND NOT is_done AND scratch != ''
  AND scratch NOT IN (SELECT name FROM system.tables WHERE database = currentDatabase())
"""


class MutationFailedError(Exception):
    """ClickHouse cannot do it; the mutation was killed."""


async def run(client: AsyncClient, table: str, statement: str, values: dict[str, Any], mark: str) -> None:
    """Ask for a mutation of ``table`` unless it is under way, and wait for it.

    ``mark`` is a text that stands in its command and in no other's. Raises ``MutationFailedError``.
    """
    under_way, _ = await _state(client, table, mark)
    if not under_way:
        await client.command(statement, values, settings={"mutations_sync": "0"})
    pause_s = LOOK_S
    while True:
        under_way, reason = await _state(client, table, mark)
        if not under_way:
            return
        if reason:
            await kill(client, table, mark)
            raise MutationFailedError(f"{table}: {reason[:500]}")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)


async def kill(client: AsyncClient, table: str, mark: str) -> None:
    """Kill a running mutation; the parts that it has rewritten stay rewritten."""
    await client.command(f"KILL MUTATION WHERE {_OF} SYNC", {"table": table, "mark": mark})


async def kill_orphans(client: AsyncClient) -> None:
    """Kills mutations that read a squash's dropped table: they would fail for ever."""
    for table, mutation_id, scratch in (await client.query(_ORPHANS)).result_rows:
        log.warning("ending mutation %s of %s: it reads %s, which is gone", mutation_id, table, scratch)
        await kill(client, table, scratch)


async def _state(client: AsyncClient, table: str, mark: str) -> tuple[int, str]:
    count, reason = (await client.query(_STATE, {"table": table, "mark": mark})).result_rows[0]
    return int(count), str(reason)
