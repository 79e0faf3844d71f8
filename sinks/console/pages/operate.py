"""A visit in; records that were kept aside, and the health of what runs, out."""

from collections import Counter

from starlette.responses import Response

from schemas.times import parse_iso
from sinks.console.web import api
from sinks.console.web.visit import Visit

QUARANTINE = "/console/quarantine"
PIPELINE = "/console/pipeline"


async def quarantine(visit: Visit) -> Response:
    listed = await visit.api.get(api.path("quarantine"), limit="50", page=visit.query.get("page", "1"))
    reasons = Counter(row["reason"] for row in listed["data"]).most_common()
    return visit.page("quarantine.html", title="Quarantine", rows=listed["data"], meta=listed["meta"], reasons=reasons)


async def pipeline(visit: Visit) -> Response:
    status, report = await visit.api.ask("/health/ready")
    usage = await visit.api.get(api.path("usage"), days="30")
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
    parity = await visit.api.get(api.path("parity"))
    return visit.page(
        "pipeline.html",
        title="Pipeline",
        report=report,
        is_ready=status == 200,
        usage=usage,
        series=series,
        parity=parity,
    )
