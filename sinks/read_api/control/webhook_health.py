"""A webhook's last attempts in; its health, and the state of its circuit breaker, out.

The sender's breaker is in memory, and follows from outcomes alone. So the same rules over the log give its state. A
restarted sender forgets failures, until it has seen as many again.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.records.deliveries import EXPIRED, SUCCEEDED
from schemas.times import DAY_MS, iso, parse_iso
from sinks.delivery.breaker import Breaker
from sinks.read_api.control import webhooks
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

CLOSED, LIMITED, OPEN = "closed", "limited", "open"
LOOKED_AT = 100
"""Attempts of each webhook, of the last day."""


async def health(
    reader: ClickHouseReader, tenant: Tenant, webhook_ids: Sequence[str], now_ms: int
) -> list[dict[str, Any]]:
    """Returns health in the order of the ids."""
    found = await webhooks.latest_attempts(
        reader, tenant, webhook_ids, wanted=LOOKED_AT, before=None, since_ms=now_ms - DAY_MS
    )
    return [{"webhook_id": one, **state((row["shape"] for row in found[one]), now_ms)} for one in webhook_ids]


def state(attempts: Iterable[Mapping[str, Any]], now_ms: int) -> dict[str, Any]:
    """Returns the state from attempts in the API's shape, in any order."""
    done = [one for one in attempts if one["error"] != EXPIRED]
    done.sort(key=_ended_ms)
    breaker = Breaker()
    for one in done:
        if one["status"] == SUCCEEDED:
            breaker.succeeded()
        else:
            breaker.failed(_ended_ms(one))
    good = [one for one in done if one["status"] == SUCCEEDED]
    times = [one["duration_ms"] for one in done if one["duration_ms"] is not None]
    circuit = OPEN if breaker.is_open else LIMITED if breaker.failures else CLOSED
    return {
        "circuit": circuit,
        "failures_in_a_row": breaker.failures,
        "probe_at": iso(max(breaker.opens_ms, now_ms)) if breaker.is_open else None,
        "attempts": len(done),
        "succeeded": len(good),
        "median_ms": round(statistics.median(times)) if times else None,
        "last_success_at": good[-1]["at"] if good else None,
    }


def _ended_ms(attempt: Mapping[str, Any]) -> int:
    return (parse_iso(attempt["at"]) or 0) + (attempt["duration_ms"] or 0)
