"""A visit in; the health of all processes out."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from schemas.errors import ApiError
from schemas.times import iso, parse_iso
from sinks.console.pages.processes import ProcessRow, rows_of
from sinks.console.web import api
from sinks.console.web.visit import Visit

PIPELINE = "/console/pipeline"
MOST_MINUTES = 15
"""The minutes of the ledger that the page shows."""


async def pipeline(visit: Visit) -> Response:
    (status, report), usage, parity, ledger, processes = await asyncio.gather(
        visit.api.ask("/health/ready"),
        visit.api.get(api.path("usage"), days="30"),
        visit.api.get(api.path("parity")),
        _ledger(visit),
        _processes(visit),
    )
    here = [row for row in usage["data"] if row["environment"] == visit.environment]
    days = sorted(here, key=lambda row: str(row["date"]))
    series = {
        "names": ["events", "duplicates"],
        "data": [
            [(parse_iso(f"{row['date']}T00:00:00Z") or 0) // 1000 for row in days],
            [row["events"] for row in days],
            [row["duplicates"] for row in days],
        ],
    }
    return visit.page(
        "pipeline.html",
        title="Pipeline",
        report=report,
        is_ready=status == 200,
        usage=usage,
        series=series,
        parity=parity,
        **ledger,
        processes=processes,
        now_s=time.time(),
    )


async def _processes(visit: Visit) -> list[ProcessRow]:
    return rows_of(await visit.api.text("/metrics")) if visit.may("instance") else []


async def _ledger(visit: Visit) -> dict[str, Any]:
    """Returns the last hour by minute over all sources, newest first, or the reason of a failure."""
    try:
        ledger = await visit.api.get(api.path("ledger"))
    except ApiError as refused:
        return {"ledger": None, "minutes": [], "unbalanced": 0, "rate": None, "refused": refused}
    minutes: dict[str, Counter[str]] = {}
    for row in ledger["data"]:
        minutes.setdefault(row["minute"], Counter()).update({name: row[name] for name in ledger["totals"]})
    newest = sorted(minutes.items(), reverse=True)
    open_ones = [counts for minute, counts in newest if counts["residual"] and minute < ledger["settled_before"]]
    return {
        "ledger": ledger,
        "minutes": newest[:MOST_MINUTES],
        "unbalanced": len(open_ones),
        "refused": None,
        "rate": _rate(minutes, time.time()),
    }


def _rate(minutes: Mapping[str, Counter[str]], now_s: float) -> float:
    """Accepted events per second, in the last complete minute."""
    last = iso(int(now_s // 60 - 1) * 60_000)
    return minutes.get(last, Counter())["accepted"] / 60
