"""A webhook's last attempts in; its health, and the state of its circuit breaker, out.

The sender's breaker is in memory, and follows from outcomes alone. So the same rules over the log give its state. A
restarted sender forgets failures, until it has seen as many again.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import Final

from schemas.api.answers.webhooks import DeliveryAttemptShape, EndpointState, WebhookConditionShape
from schemas.records.deliveries import EXPIRED, SUCCEEDED
from schemas.times import DAY_MS, iso, parse_iso
from sinks.delivery.breaker import Breaker
from sinks.read_api.control import webhooks
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

CLOSED: Final = "closed"
LIMITED: Final = "limited"
OPEN: Final = "open"
LOOKED_AT = 100
"""Attempts of each webhook, of the last day."""


async def health(
    reader: ClickHouseReader, tenant: Tenant, webhook_ids: Sequence[str], now_ms: int
) -> list[WebhookConditionShape]:
    """Returns health in the order of the ids."""
    attempts = await webhooks.latest_attempts(
        reader, tenant, webhook_ids, limit=LOOKED_AT, before=None, since_ms=now_ms - DAY_MS
    )
    return [
        {"webhook_id": webhook_id, **state((attempt.shape for attempt in attempts[webhook_id]), now_ms)}
        for webhook_id in webhook_ids
    ]


def state(attempts: Iterable[DeliveryAttemptShape], now_ms: int) -> EndpointState:
    """Returns the state from attempts in the API's shape, in any order."""
    done = [attempt for attempt in attempts if attempt["error"] != EXPIRED]
    done.sort(key=_ended_ms)
    breaker = Breaker()
    for attempt in done:
        if attempt["status"] == SUCCEEDED:
            breaker.succeeded()
        else:
            breaker.failed(_ended_ms(attempt))
    good = [attempt for attempt in done if attempt["status"] == SUCCEEDED]
    times = [attempt["duration_ms"] for attempt in done if attempt["duration_ms"] is not None]
    return {
        "circuit": OPEN if breaker.is_open else LIMITED if breaker.failures else CLOSED,
        "failures_in_a_row": breaker.failures,
        "probe_at": iso(max(breaker.opens_ms, now_ms)) if breaker.is_open else None,
        "attempts": len(done),
        "succeeded": len(good),
        "median_ms": round(statistics.median(times)) if times else None,
        "last_success_at": good[-1]["at"] if good else None,
    }


def _ended_ms(attempt: DeliveryAttemptShape) -> int:
    return (parse_iso(attempt["at"]) or 0) + (attempt["duration_ms"] or 0)
