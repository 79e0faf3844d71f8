"""Definitions of typed columns in; stored events with these columns, and rows of `typed_columns` that say so, out.

1. The sink writes the values of new events. This keeper rewrites earlier events, by a mutation of rows whose maps
   differ from the definitions. So it may repeat, and the same mutation covers a removed property and a changed type.
   Until then the rows keep their earlier values.
2. A sink may learn a definition after this process, or have filled a block before. So a change waits ``GRACE_S`` before
   the mutation, and every round checks rows of the last ``AGAIN_MS`` again.
3. On a cluster each shard has a mutation; Keeper distributes it to each replica.
"""

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.control.control_state import ControlState
from schemas.control.definitions import TypedColumn
from schemas.retry import repeated
from schemas.rules.sql_values import Parameters
from schemas.service import clock
from schemas.settings import Settings
from schemas.typed.sql import columns_of
from sinks.maintenance import mutations
from sinks.maintenance.cluster import shard_clients
from sinks.maintenance.mutations import MutationFailedError

log = logging.getLogger(__name__)

LOOK_S, GRACE_S, ROUND_S = 1.0, 5.0, 600.0
AGAIN_MS = 1_800_000
LONGEST_RETRY_S = 60.0
FAILURES = (ClickHouseError, MutationFailedError)
Home = tuple[str, str]
Defined = dict[str, tuple[str, int]]
"""property -> its type, and the time of its definition."""
_STORED = """
SELECT toString(workspace), toString(environment), property, toString(type), toUnixTimestamp64Milli(created_at)
FROM typed_columns FINAL WHERE NOT deleted
"""
_ROW = ("workspace", "environment", "property", "type", "created_at", "filled_at", "deleted", "_version")


class TypedColumnKeeper:
    """Runs beside the lanes of one of the sinks."""

    def __init__(self, settings: Settings, state: ControlState) -> None:
        self._settings = settings
        self._state = state
        self._revision = -1
        """The revision of the definitions at the last check."""
        self._round_at = time.monotonic() + ROUND_S
        self._noticed: dict[Home, tuple[object, float]] = {}
        """For environments to fill: their definitions, and since when they have been unchanged."""

    async def run(self) -> None:
        """Runs for ever; logs an error and tries again."""
        async with shard_clients(self._settings) as clients:
            # each try reads all events of an environment
            retry_s = (GRACE_S, LONGEST_RETRY_S)
            await repeated(partial(self._look, clients), LOOK_S, FAILURES, _report, retry_s=retry_s)

    async def _look(self, clients: Sequence[AsyncClient]) -> None:
        """Fills for changed definitions, and each round the events of a moment ago again."""
        if self._revision != self._state.revision or self._noticed:
            seen = self._state.revision
            await self.keep(*clients)
            self._revision = seen
        if time.monotonic() >= self._round_at:
            for home, here in list(self._state.typed_columns.items()):
                for client in clients:
                    await fill(client, home, here, since_ms=clock.now_ms() - AGAIN_MS)
            self._round_at = time.monotonic() + ROUND_S

    async def keep(self, client: AsyncClient, *others: AsyncClient, grace_s: float = GRACE_S) -> None:
        """Fills the environments whose definitions have differed from the table `typed_columns` for long enough.

        Covers each shard: ``others`` are all shards but the first. Raises the error of an environment after the others.
        """
        failed: Exception | None = None
        stored: dict[Home, Defined] = {}
        for workspace, environment, name, kind, created_ms in (await client.query(_STORED)).result_rows:
            stored.setdefault((workspace, environment), {})[name] = (kind, created_ms)
        for home in {*stored, *self._state.typed_columns}:
            here = dict(self._state.typed_columns.get(home, {}))
            defined: Defined = {name: (column.type, max(column.created_ms, 0)) for name, column in here.items()}
            noted = stored.get(home, {})
            if defined == noted:
                self._noticed.pop(home, None)
                continue
            before, since = self._noticed.get(home, (None, 0.0))
            if before != defined:
                self._noticed[home] = (defined, since := time.monotonic())
            if time.monotonic() - since < grace_s:
                continue
            try:
                for shard in (client, *others):
                    await fill(shard, home, here)
                await _note(client, home, defined, noted)
            except FAILURES as error:
                failed = error
            else:
                self._noticed.pop(home, None)
        if failed is not None:
            raise failed


def _report(error: Exception, pause_s: float) -> None:
    log.warning("filling typed columns waits %.0f s: %s", pause_s, str(error)[:300])


async def fill(client: AsyncClient, home: Home, here: Mapping[str, TypedColumn], since_ms: int = 0) -> None:
    """Returns after all events stored since then have exactly these typed columns."""
    typed = [(name, here[name].type) for name in sorted(here)]
    parameters = Parameters()
    values = columns_of(typed, parameters)
    differs = " OR ".join(f"{column} != {sql}" for column, sql in values.items())
    where = "workspace = {workspace:String} AND environment = {environment:String}"
    if since_ms:
        where += " AND _stored_at >= fromUnixTimestamp64Milli({since:Int64})"
    where += f" AND ({differs})"
    given: dict[str, Any] = {**parameters.values, "workspace": home[0], "environment": home[1], "since": since_ms}
    rows = (await client.query(f"SELECT count() FROM events WHERE {where}", given)).result_rows[0][0]  # noqa: S608 - values are parameters
    if not rows:
        return
    log.info("writing typed columns into %d events of %s/%s", rows, *home)
    mark = mark_of(home, typed, whole=not since_ms)
    update = ", ".join(f"{column} = {sql}" for column, sql in values.items())
    statement = f"ALTER TABLE events UPDATE {update} WHERE {where} AND '{mark}' != ''"
    await mutations.run(client, "events", statement, given, mark)


def mark_of(home: Home, typed: Sequence[tuple[str, str]], *, whole: bool) -> str:
    """Returns a text that identifies a mutation; it differs for a mutation of recent rows and of ``whole`` history."""
    meaning = repr((home, typed, whole)).encode()
    return f"typed columns {hashlib.blake2b(meaning, digest_size=16).hexdigest()}"


async def _note(client: AsyncClient, home: Home, defined: Defined, noted: Defined) -> None:
    now_ms = clock.now_ms()
    rows = [[*home, name, *defined[name], now_ms, 0, now_ms] for name in defined if noted.get(name) != defined[name]]
    rows += [[*home, name, *noted[name], now_ms, 1, now_ms] for name in noted if name not in defined]
    await client.insert("typed_columns", rows, column_names=list(_ROW), settings={"async_insert": "0"})
