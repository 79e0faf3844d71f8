"""A range of time in; the accepted events of each minute, their outcomes and the residual out."""

from typing import Any

from schemas.api.answers.operations import LedgerMinute, LedgerShape, LedgerTotals
from schemas.errors import ApiError
from schemas.limits import LEDGER_DAYS, LEDGER_MS, MOST_LEDGER_EVENTS, MOST_LEDGER_MS, SOURCES
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, iso
from sinks.ledger.balance import COUNTS, SETTLED_MS, Balance, TooManyError, balances
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import QueryParameters, time_ms
from sinks.read_api.request.tenant import Tenant

_HERE = "workspace = {workspace:String} AND environment = {environment:String}"


async def ledger(reader: ClickHouseReader, tenant: Tenant, query: QueryParameters, now_ms: int) -> LedgerShape:
    """Raises ``ApiError`` (422) for a wrong range or source, and for too many events at once."""
    source = query.get("source", "")
    if "source" in query and source not in SOURCES:
        raise ApiError("invalid_field", f"source must be one of {', '.join(SOURCES)}", "source")
    first, end = _range(query, now_ms)
    parameters = {**tenant.parameters, "from": first, "until": end, "source": source}

    async def rows(sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        return await reader.rows(sql, **values)

    try:
        by_key = await balances(rows, _HERE, parameters, MOST_LEDGER_EVENTS)
    except TooManyError as error:
        message = f"{error} events were accepted between from and to; ask for at most {MOST_LEDGER_EVENTS} at once"
        raise ApiError("invalid_field", message, "from") from None
    minutes: list[LedgerMinute] = [
        {"minute": iso(key.minute * MINUTE_MS), "source": key.source, **_shape(balance)}
        for key, balance in sorted(by_key.items())
    ]
    totals = Balance(**{name: sum(getattr(balance, name) for balance in by_key.values()) for name in COUNTS})
    settled_ms = (now_ms - SETTLED_MS) // MINUTE_MS * MINUTE_MS
    return {"data": minutes, "totals": _shape(totals), "settled_before": iso(settled_ms)}


def _shape(balance: Balance) -> LedgerTotals:
    return {
        "accepted": balance.accepted,
        "stored": balance.stored,
        "duplicate": balance.duplicate,
        "quarantined": balance.quarantined,
        "suppressed": balance.suppressed,
        "residual": balance.residual,
    }


def _range(query: QueryParameters, now_ms: int) -> tuple[int, int]:
    """Whole minutes, as epoch ms: the first one, and the one behind the last."""
    until_ms = time_ms(query, "to")
    to = now_ms if until_ms is None else until_ms
    first = time_ms(query, "from")
    if first is None:
        first = to - LEDGER_MS
    if first < now_ms - LEDGER_DAYS * DAY_MS:
        raise ApiError("invalid_field", f"from must be within the last {LEDGER_DAYS} days", "from")
    if to <= first:
        raise ApiError("invalid_field", "to must be later than from", "to")
    if to - first > MOST_LEDGER_MS:
        raise ApiError("invalid_field", f"from and to may be {MOST_LEDGER_MS // HOUR_MS} hours apart at most", "from")
    return first // MINUTE_MS * MINUTE_MS, -(-to // MINUTE_MS) * MINUTE_MS
