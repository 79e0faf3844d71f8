"""The ledger of the whole instance in; the residual of all settled minutes, as a number, out.

A balanced minute stays balanced, under later merges, erasures and replays: only the others are queried again, so a
look costs as much as one minute.
"""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.retry import repeated
from schemas.service import clock
from schemas.times import HOUR_MS, MINUTE_MS, iso
from sinks.ledger.balance import SETTLED_MS, Balance, Key, balances

log = logging.getLogger(__name__)

LOOK_S = 20.0
KEPT_MS = 24 * HOUR_MS
"""For how long an unbalanced minute is reported."""
FIRST_MS = HOUR_MS
"""How far back a process looks that has just started."""
MOST_TOLD = 5


class Residual:
    """``events``: the number of events that settled minutes lack or have too many; ``None``: unknown yet."""

    def __init__(self) -> None:
        self.events: int | None = None
        self._until = (clock.now_ms() - FIRST_MS) // MINUTE_MS
        """Minutes before this one have been queried."""
        self._open: set[int] = set()
        self._told: set[Key] = set()

    async def run(self, client: AsyncClient) -> None:
        """Runs for ever."""

        def report(error: Exception, pause_s: float) -> None:
            log.warning("reading the ledger failed, retrying in %g s: %s", pause_s, str(error)[:300])

        await repeated(partial(self.look, client), LOOK_S, ClickHouseError, report)

    async def look(self, client: AsyncClient) -> None:
        """Ask once; raises ``ClickHouseError``."""

        async def rows(sql: str, parameters: dict[str, Any]) -> Iterable[dict[str, Any]]:
            return list((await client.query(sql, parameters)).named_results())

        now_ms = clock.now_ms()
        settled = (now_ms - SETTLED_MS) // MINUTE_MS
        minutes = sorted({*self._open, *range(self._until, settled)})
        unbalanced: dict[Key, Balance] = {}
        for first, end in _spans(minutes):
            span = {"from": first * MINUTE_MS, "until": end * MINUTE_MS, "source": ""}
            unbalanced |= await balances(rows, "1", span)
        owed = {key: balance for key, balance in unbalanced.items() if balance.residual}
        self._tell(owed)
        self._until = max(self._until, settled)
        self._open = {key.minute for key in owed if key.minute >= (now_ms - KEPT_MS) // MINUTE_MS}
        self.events = sum(abs(balance.residual) for balance in owed.values())

    def _tell(self, owed: dict[Key, Balance]) -> None:
        for key in [key for key in owed if key not in self._told][:MOST_TOLD]:
            log.warning(
                "the ledger of %s/%s has a residual of %d at %s for %s",
                key.workspace,
                key.environment,
                owed[key].residual,
                iso(key.minute * MINUTE_MS),
                key.source,
            )
        self._told = set(owed)


def _spans(minutes: list[int]) -> list[tuple[int, int]]:
    """Runs of minutes that follow each other: the first, and the one behind the last."""
    spans: list[tuple[int, int]] = []
    for minute in minutes:
        if spans and spans[-1][1] == minute:
            spans[-1] = (spans[-1][0], minute + 1)
        else:
            spans.append((minute, minute + 1))
    return spans
