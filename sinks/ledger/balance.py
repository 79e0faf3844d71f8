"""Rows of ClickHouse in; for each minute of receipt the accepted events, their outcomes and the residual out.

``accepted = stored + duplicate + quarantined + suppressed``; the difference is the residual. Both sides are
counted by places on `events`, each once however often its row was written: so repeats, retries and merges of parts
change nothing.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

SETTLED_MS = 120_000
"""A minute that ended so long ago has to be balanced."""
COUNTS = ("accepted", "stored", "duplicate", "quarantined", "suppressed")
PRECEDENCE = ("duplicate", "suppressed", "stored", "quarantined")
"""A place with rows of several of these counts as the first of them."""

# offsets stand close together, which a bitmap of them makes use of: some bytes for each event
_PLACE = "bitShiftLeft(toUInt64(_origin_partition), 52) + toUInt64(_origin_offset) * 1024 + toUInt64(_origin_index)"
_MINUTE = "intDiv(toUnixTimestamp64Milli(received_at), 60000)"
_FROM, _UNTIL = "fromUnixTimestamp64Milli({from:Int64})", "fromUnixTimestamp64Milli({until:Int64})"
_WHEN = f"received_at >= {_FROM} AND received_at < {_UNTIL}"
_GROUP = "workspace, environment, source, minute"
_ANY = "({source:String} = '' OR source = {source:String})"


def _places(table: str, outcome: str, where: str) -> str:
    return (
        f"SELECT workspace, environment, source, {_MINUTE} AS minute, {outcome} AS outcome, {_PLACE} AS place"  # noqa: S608 - names of ours
        f" FROM {table} WHERE {where} AND {_WHEN} AND {_ANY}"
    )


def outcomes_sql(where: str) -> str:
    """The outcomes of each minute's events; ``where`` is a condition on workspace and environment."""
    places = " UNION ALL ".join(
        (
            _places("events", "'stored'", where),
            _places("duplicates", "'duplicate'", where),
            _places("event_outcomes", "outcome", where),
        )
    )
    sets = ", ".join(
        f"groupBitmapIf(place, outcome IN {PRECEDENCE[: n + 1]}) AS upto{n}" for n in range(len(PRECEDENCE))
    ).replace(",)", ")")
    return (
        f"SELECT {_GROUP}, {sets}, upto0 AS duplicate, upto1 - upto0 AS suppressed, upto2 - upto1 AS stored,"  # noqa: S608 - names of ours
        f" upto3 - upto2 AS quarantined FROM ({places}) GROUP BY {_GROUP}"
    )


def accepted_sql(where: str) -> str:
    """The accepted events of each minute, since the ledger's beginning."""
    return (
        "SELECT workspace, environment, source, intDiv(toUnixTimestamp(minute), 60) AS minute_,"  # noqa: S608 - names of ours
        f" sum(events) AS accepted FROM accepted FINAL WHERE {where} AND {_ANY} AND workspace != ''"
        f" AND minute >= {_FROM} AND minute < {_UNTIL}"
        " GROUP BY workspace, environment, source, minute_"
    )


BEGIN_SQL = "SELECT toUnixTimestamp(max(minute)) AS begin FROM accepted WHERE workspace = ''"
"""The first second of which the ledger knows everything; 0: it knows all."""


class Key(NamedTuple):
    """``minute`` of receipt, since 1970."""

    minute: int
    workspace: str
    environment: str
    source: str


@dataclass(slots=True)
class Balance:
    """The counts of one key."""

    accepted: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    suppressed: int = 0

    @property
    def residual(self) -> int:
        """Accepted and nowhere, or (below 0) somewhere and never accepted."""
        return self.accepted - self.stored - self.duplicate - self.quarantined - self.suppressed


Rows = Callable[[str, dict[str, Any]], Awaitable[Iterable[dict[str, Any]]]]
"""SQL and its parameters in, rows out."""


class TooManyError(ValueError):
    """So many events were accepted in the range that they are not counted at once."""


async def balances(rows: Rows, where: str, parameters: dict[str, Any], most: int | None = None) -> dict[Key, Balance]:
    """``parameters`` of ``where``, and ``from``, ``until`` (ms, whole minutes) and ``source`` (empty: all).

    Raises ``TooManyError`` where more than ``most`` events were accepted.
    """
    begin_ms = next(iter(await rows(BEGIN_SQL, {})))["begin"] * 1000
    values = {**parameters, "from": max(parameters["from"], begin_ms)}
    by_key: dict[Key, Balance] = {}
    # accepted first: events stored meanwhile are then no loss, and the newest minutes are open anyway
    for row in await rows(accepted_sql(where), values):
        _of(by_key, row, row["minute_"]).accepted = row["accepted"]
    if most is not None and (total := sum(balance.accepted for balance in by_key.values())) > most:
        raise TooManyError(total)
    for row in await rows(outcomes_sql(where), values):
        balance = _of(by_key, row, row["minute"])
        for name in COUNTS[1:]:
            setattr(balance, name, row[name])
    return by_key


def _of(by_key: dict[Key, Balance], row: dict[str, Any], minute: int) -> Balance:
    return by_key.setdefault(Key(minute, row["workspace"], row["environment"], row["source"]), Balance())
