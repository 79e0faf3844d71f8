"""The retention of workspaces in; older rows removed, and rows of `removals` that record this, out.

1. A workspace sets days for `events` and for `deliveries`; without them events are kept for ever. Tables have no
   partitions, as a block of the sink must be one part: ClickHouse rewrites the parts that hold such rows, without them.
   So the border moves by a twelfth of the days at a time, and a row goes at most that much late.
2. Events that change their contact are kept: its attributes, consents and identifiers follow from them, also when a
   split rebuilds a contact. Erasing the contact removes these too.
3. The row of `removals` is written before the rows go: a reader of a removed event always finds the reason.
4. The fewest days of events are more than the ledger looks back (``LEDGER_DAYS``), so it stays balanced; those of both
   are more than Kafka keeps, so reading a topic again brings nothing back.
"""

import asyncio
import logging
import re
from collections.abc import Sequence

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.control.control_state import ControlState
from schemas.control.definitions import Workspace
from schemas.limits import DELIVERIES, EVENTS, KEPT_DAYS
from schemas.service import clock
from schemas.settings import Settings
from schemas.times import DAY_MS
from sinks.maintenance import mutations
from sinks.maintenance.cluster import shard_clients
from sinks.maintenance.mutations import MutationFailedError

log = logging.getLogger(__name__)

STEPS = 12
"""The border moves in steps of the kept days divided by this number."""
_SLUG = re.compile(r"[a-z0-9_-]{1,100}")
FIRST_S, ROUND_S = 60.0, 600.0
_BEFORE = "{} < fromUnixTimestamp64Milli({{before:Int64}})"
_RECEIVED = _BEFORE.format("received_at")
CONDITIONS: dict[str, tuple[tuple[str, str], ...]] = {
    EVENTS: (
        ("events", f"_kind = 'track' AND _profile = '' AND {_RECEIVED}"),
        ("duplicates", _RECEIVED),
    ),
    DELIVERIES: (("delivery_attempts", _BEFORE.format("at")),),
}
"""For each kind of row with a retention: the tables, and the condition of the rows to remove."""
_KNOWN = """
SELECT count() FROM removals
WHERE workspace = {workspace:String} AND table = {table:String} AND before = fromUnixTimestamp64Milli({before:Int64})
"""


def border_ms(days: int, now_ms: int) -> int:
    """Rows from before it go: ``days`` ago, or up to a twelfth of them more."""
    step = max(1, days // STEPS)
    return (now_ms // DAY_MS - days) // step * step * DAY_MS


class RetentionKeeper:
    """Removes rows that are older than their workspace's retention; runs in the first sink."""

    def __init__(self, settings: Settings, state: ControlState) -> None:
        self._settings = settings
        self._state = state
        self._done: dict[tuple[str, str], int] = {}

    async def run(self) -> None:
        """Run for ever; logs errors and retries."""
        async with shard_clients(self._settings) as clients:
            await asyncio.sleep(FIRST_S)
            # not `repeated`: an error is one workspace's, and must not put off the others
            while True:
                for workspace in list(self._state.workspaces.values()):
                    await self.keep(clients, workspace)
                await asyncio.sleep(ROUND_S)

    async def keep(self, clients: Sequence[AsyncClient], workspace: Workspace) -> None:
        """Remove the rows that the workspace no longer keeps, unless that was done; logs errors."""
        for what, days in workspace.retention.items():
            if what not in KEPT_DAYS or not _SLUG.fullmatch(workspace.id):
                continue  # a record that no edge has written
            before = border_ms(max(days, KEPT_DAYS[what][0]), clock.now_ms())
            if self._done.get((workspace.id, what)) == before:
                continue
            try:
                await remove(clients, workspace.id, what, before)
            except (ClickHouseError, MutationFailedError) as error:
                log.warning("removing old %s of %s waits: %s", what, workspace.id, str(error)[:300])
            else:
                self._done[workspace.id, what] = before


async def remove(clients: Sequence[AsyncClient], workspace: str, what: str, before_ms: int) -> None:
    """Removes a workspace's rows from before ``before_ms`` on all shards; may be repeated.

    ``clients`` has one client for each shard; ``what`` is a key of ``CONDITIONS``.
    """
    values = {"workspace": workspace, "before": before_ms}
    for table, condition in CONDITIONS.get(what, ()):
        where = f"workspace = {{workspace:String}} AND {condition}"
        count = f"SELECT count() FROM {table} WHERE {where}"  # noqa: S608 - constants
        counts = [int((await client.query(count, values)).result_rows[0][0]) for client in clients]
        rows = sum(counts)
        if not rows:
            continue
        if not (await clients[0].query(_KNOWN, {**values, "table": table})).result_rows[0][0]:
            note = [[workspace, table, before_ms, rows]]
            names = ["workspace", "table", "before", "rows"]
            await clients[0].insert("removals", note, column_names=names, settings={"async_insert": "0"})
        log.info("removing %d rows of %s from before %d: %s keeps no more", rows, table, before_ms, workspace)
        # a slug needs no quoting; the text tells this mutation from every other
        mark = f"retention of {workspace} before {before_ms}"
        for client, there in zip(clients, counts, strict=True):
            if there:
                await mutations.run(
                    client, table, f"ALTER TABLE {table} DELETE WHERE {where} AND '{mark}' != ''", values, mark
                )
