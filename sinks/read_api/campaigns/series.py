"""A campaign, an interval and a span in; how many messages of each kind in each interval out.

A message stands once per kind, where its first event of that kind happened by the client's time, however late it came:
over its whole life the points of a series add up to the campaign's figures. Intervals begin at full UTC minutes,
hours or days and are closed at their start.
"""

import asyncio
from typing import Any

from schemas.control.control_state import Campaign
from schemas.errors import ApiError
from schemas.limits import STEPS
from schemas.times import iso
from sinks.read_api.campaigns.facts import KINDS, CampaignQuery
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import QueryParameters, time_ms
from sinks.read_api.request.tenant import Tenant

MAX_POINTS = 10_000
ALWAYS = (0, 9_000_000_000_000_000)
_NAMES = {bit: kind for kind, bit in KINDS.items()}

_SERIES = """
SELECT intDiv(at, {{step:Int64}}) * {{step:Int64}} AS start, bit, count() AS counted
FROM
(
    SELECT key, bitAnd(f.bit, {machine}) != 0 AS by_machine,
        if(by_machine, bitShiftRight(f.bit, 1), f.bit) AS family,
        min(ms) AS at, f.bit AS bit
    FROM ({messages}) AS f
    GROUP BY key, f.bit
    ORDER BY by_machine LIMIT 1 BY key, family
)
WHERE at >= {{from:Int64}} AND at < {{to:Int64}}
GROUP BY start, bit
"""
_CONVERSIONS = """
SELECT intDiv(at, {{step:Int64}}) * {{step:Int64}} AS start, count() AS counted
FROM (SELECT unit, min(ms) AS at FROM ({converted}) GROUP BY unit)
WHERE at >= {{from:Int64}} AND at < {{to:Int64}}
GROUP BY start
"""


async def series(
    reader: ClickHouseReader, tenant: Tenant, campaign: Campaign, query: QueryParameters
) -> dict[str, Any]:
    """Every interval of the span, empty ones too; without ``from`` and ``to`` from the first fact to the last."""
    interval = query.get("interval", "hour")
    step = STEPS.get(interval)
    if step is None:
        raise ApiError("invalid_field", f"interval must be one of {', '.join(STEPS)}", "interval")
    begin, end = time_ms(query, "from"), time_ms(query, "to")
    if begin is not None and end is not None and begin >= end:
        raise ApiError("invalid_field", "to must be after from", "to")
    if begin is not None and end is not None:
        _check_points(begin, end, step)
    question = CampaignQuery(tenant=tenant, campaigns=[campaign], as_of_ms=time_ms(query, "as_of"))
    span = {"from": ALWAYS[0] if begin is None else begin, "to": ALWAYS[1] if end is None else end}
    machine = KINDS["machine_opened"] | KINDS["machine_clicked"]
    messages, reached = await asyncio.gather(
        reader.rows(
            _SERIES.format(messages=question.messages, machine=machine), **question.parameters, step=step, **span
        ),
        reader.rows(_CONVERSIONS.format(converted=question.converted), **question.parameters, step=step, **span),
    )
    points: dict[int, dict[str, int]] = {}
    for row in messages:
        points.setdefault(row["start"], {})[_NAMES[row["bit"]]] = row["counted"]
    for row in reached:
        points.setdefault(row["start"], {})["conversions"] = row["counted"]
    first = begin if begin is not None else min(points, default=None)
    last = end - 1 if end is not None else max(points, default=None)
    starts: range | list[int] = []
    if first is not None and last is not None and last >= first:
        _check_points(first, last + 1, step)
        starts = range(first // step * step, last + 1, step)
    return {"interval": interval, "data": [_point(start, points.get(start, {})) for start in starts]}


def _check_points(begin: int, end: int, step: int) -> None:
    if (end - begin) // step > MAX_POINTS:
        raise ApiError(
            "invalid_field", f"more than {MAX_POINTS} points: choose a longer interval or a shorter span", "interval"
        )


def _point(start: int, counts: dict[str, int]) -> dict[str, Any]:
    return {"at": iso(start), **{kind: counts.get(kind, 0) for kind in (*KINDS, "conversions")}}
