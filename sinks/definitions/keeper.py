"""The control state and stored events in; the tables `segments`, `campaigns`, `webhooks` and `event_types` out.

1. The keeper compares a table with the definitions whenever these change, and every 30 s in any case. So it fills a
   table that was emptied, recreated or left behind by a crash. It does not write unchanged rows again.
2. A deleted definition keeps its row with `deleted` = 1: old rows of other tables still name it.
3. The keeper reads the types of the events that were stored since its last round, and a little before it. First and
   last times are minima and maxima, so a repeated round changes nothing, and inserts of events do no extra work.
"""

import logging
import time

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.control.control_state import ControlState
from schemas.retry import repeated
from schemas.service import clock
from schemas.service.clickhouse_auth import read_database
from schemas.settings import Settings
from sinks.clickhouse.connect import FOREVER_S, writing
from sinks.definitions.rows import NAME_TABLES, NameTable, RowKey, digest

log = logging.getLogger(__name__)

EVENT_TYPES = "event_types"
LOOK_S = 0.5
ROUND_S = 30.0
RETRY_S = 5.5
OVERLAP_S = 120
"""More than a row needs from its time of storing until it can be read."""
SETTINGS = {"async_insert": "0", "max_threads": "1"}

_SEEN = """
INSERT INTO event_types (workspace, environment, type, kind, first_seen, last_seen, _looked_at)
SELECT workspace, environment, type, _kind, min(received_at), max(received_at), now64(3)
FROM {database:Identifier}.events
WHERE _stored_at >= fromUnixTimestamp64Milli({since:Int64})
GROUP BY workspace, environment, type, _kind
"""
_SINCE = "SELECT toUnixTimestamp64Milli(max(_looked_at)) FROM event_types"


class NameKeeper:
    """Beside the lanes of one of the sinks."""

    def __init__(self, settings: Settings, state: ControlState) -> None:
        self._settings = settings
        self._state = state
        self._revision = -1
        """Of the control state, as the tables have it."""
        self._round_at = 0.0
        """When the next round is due, by ``time.monotonic``."""

    async def run(self) -> None:
        """Run for ever; logs errors and retries."""

        def report(error: Exception, _pause_s: float) -> None:
            log.warning("keeping names waits: %s", str(error)[:300])

        client = await writing(self._settings, FOREVER_S)
        # a run may follow one that ended: it compares all again
        self._revision, self._round_at = -1, 0.0
        try:
            await repeated(
                lambda: self._keep_changed(client), LOOK_S, ClickHouseError, report, retry_s=(RETRY_S, RETRY_S)
            )
        finally:
            await client.close()

    async def _keep_changed(self, client: AsyncClient) -> None:
        """Write the names if a definition has changed or a round is due, and the types of events in each round."""
        if self._revision != self._state.revision or time.monotonic() >= self._round_at:
            revision = self._state.revision
            await keep_names(client, self._state)
            self._revision = revision
        if time.monotonic() >= self._round_at:
            await keep_event_types(client, read_database(self._settings))
            self._round_at = time.monotonic() + ROUND_S


async def keep_names(client: AsyncClient, state: ControlState) -> None:
    """Writes the rows of all three tables that differ from the definitions."""
    for table in NAME_TABLES:
        await _keep(client, table, table.rows(state))


async def _keep(client: AsyncClient, table: NameTable, defined: dict[RowKey, tuple[object, ...]]) -> None:
    sql = f"SELECT {', '.join(table.key)}, _digest, deleted, _version FROM {table.name} FINAL"  # noqa: S608 - names of ours
    stored = (await client.query(sql)).result_rows
    current = {RowKey(*row[:3]): (row[3], row[4]) for row in stored}
    digests = {key: digest(row) for key, row in defined.items()}
    version = max(clock.now_ms(), *(row[5] + 1 for row in stored), 0)
    fresh = [(*row, 0, digests[key], version) for key, row in defined.items() if current.get(key) != (digests[key], 0)]
    if fresh:
        names = (*table.content, "deleted", "_digest", "_version")
        await client.insert(table.name, fresh, column_names=names, settings=SETTINGS)
    gone = [list(key) for key, (_, deleted) in current.items() if key not in defined and not deleted]
    if gone:
        key = f"[toString(workspace), toString(environment), {table.id_column}]"
        columns = ", ".join(table.content)
        await client.command(
            f"INSERT INTO {table.name} ({columns}, deleted, _digest, _version)"  # noqa: S608 - names of ours
            f" SELECT {columns}, 1, _digest, {{version:UInt64}} FROM {table.name} FINAL"
            f" WHERE has({{gone:Array(Array(String))}}, {key})",
            {"version": version, "gone": gone},
            settings=SETTINGS,
        )


async def keep_event_types(client: AsyncClient, database: str) -> None:
    """Adds the types of events stored since the last round; in the first round, of all stored events.

    ``database`` has the events of all shards.
    """
    looked_ms = int((await client.query(_SINCE)).result_rows[0][0])
    since = max(0, looked_ms - OVERLAP_S * 1000)
    await client.command(_SEEN, {"since": since, "database": database}, settings=SETTINGS)
