"""A campaign, an interval and a span in; how many messages of each kind in each interval out.

A message stands once per kind, where its first event of that kind happened by the client's time, however late it came:
over its whole life the points of a series add up to the campaign's figures. Intervals begin where ``periods`` says, in
UTC or in the zone that ``tz`` names, and are closed at their start.
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from typing import cast

from schemas.api.answers.campaigns import CampaignSeriesShape, SeriesPoint
from schemas.control.control_state import Campaign
from schemas.errors import ApiError
from schemas.limits import STEPS
from schemas.times import iso
from sinks.read_api.campaigns.facts import KINDS, CampaignQuery
from sinks.read_api.campaigns.periods import check_points, grain, starts, zone_of
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import QueryParameters, time_ms
from sinks.read_api.request.tenant import Tenant

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
) -> CampaignSeriesShape:
    """Every interval of the span, empty ones too; without ``from`` and ``to`` from the first fact to the last."""
    interval = query.get("interval", "hour")
    if interval not in STEPS:
        raise ApiError("invalid_field", f"interval must be one of {', '.join(STEPS)}", "interval")
    zone = zone_of(query.get("tz", "UTC"))
    begin, end = time_ms(query, "from"), time_ms(query, "to")
    if begin is not None and end is not None and begin >= end:
        raise ApiError("invalid_field", "to must be after from", "to")
    if begin is not None and end is not None:
        check_points(begin, end, interval)
    question = CampaignQuery(tenant=tenant, campaigns=[campaign], as_of_ms=time_ms(query, "as_of"))
    span = {"from": ALWAYS[0] if begin is None else begin, "to": ALWAYS[1] if end is None else end}
    parts = await _parts(reader, question, {**span, "step": grain(interval, zone)})
    first = begin if begin is not None else min(parts, default=None)
    last = end - 1 if end is not None else max(parts, default=None)
    begins: list[int] = []
    if first is not None and last is not None and last >= first:
        check_points(first, last + 1, interval)
        begins = starts(interval, zone, first, last)
    points: dict[int, Counter[str]] = {at: Counter() for at in begins}
    for at, counts in parts.items():
        points[begins[max(0, bisect_right(begins, at) - 1)]].update(counts)
    return {"interval": interval, "tz": zone, "data": [_point(at, points[at]) for at in begins]}


def _point(at_ms: int, counts: Counter[str]) -> SeriesPoint:
    # the kinds of messages are the fields of the answer, which a type cannot tell from a loop
    return cast("SeriesPoint", {"at": iso(at_ms), **{kind: counts[kind] for kind in (*KINDS, "conversions")}})


async def _parts(reader: ClickHouseReader, question: CampaignQuery, span: dict[str, int]) -> dict[int, Counter[str]]:
    """Counts by kind of each part of the span, as long as its ``step``, that has any."""
    machine = KINDS["machine_opened"] | KINDS["machine_clicked"]
    messages, reached = await asyncio.gather(
        reader.rows(_SERIES.format(messages=question.messages, machine=machine), **question.parameters, **span),
        reader.rows(_CONVERSIONS.format(converted=question.converted), **question.parameters, **span),
    )
    parts: dict[int, Counter[str]] = {}
    for row in messages:
        parts.setdefault(row["start"], Counter())[_NAMES[row["bit"]]] = row["counted"]
    for row in reached:
        parts.setdefault(row["start"], Counter())["conversions"] = row["counted"]
    return parts
