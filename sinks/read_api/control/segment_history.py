"""A segment in; its size over time, and its last entries and exits, out.

Both follow from every change of its memberships that is stored. A change that repeats the state before it counts for
nothing, and what a merge moves from one contact id to another is no entry and no exit. An erased contact is in neither.
"""

from typing import Any

from schemas.api.answers.fields import Page
from schemas.api.answers.segments import SegmentChangeShape, SegmentHistoryShape, SizePoint
from schemas.errors import ApiError
from schemas.limits import SIZE_STEPS
from schemas.records.records import CARRIED
from schemas.times import iso
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, QueryParameters, listing, time_ms
from sinks.read_api.request.tenant import Tenant

USUAL_POINTS, MOST_POINTS = 30, 1000
LATEST = 9_000_000_000_000_000
CHANGES = {"entered": 1, "left": -1}

# the order of the window is the table's own: it reads in order, and keeps one contact at a time in memory
_STEPS = f"""
SELECT
    contact_id, reason, segment_version, event_id, version, toUnixTimestamp64Milli(at) AS at_ms,
    toInt8(member) - toInt8(lagInFrame(member) OVER (PARTITION BY contact_id ORDER BY version)) AS step,
    step != 0 AND reason != '{CARRIED}' AS is_told
FROM membership_changes
WHERE workspace = {{workspace:String}} AND environment = {{environment:String}} AND segment_id = {{segment:String}}
"""  # noqa: S608 - a constant
_SIZES = f"""
SELECT if(at_ms < {{since:Int64}}, -1, intDiv(at_ms, {{unit:Int64}}) * {{unit:Int64}}) AS start,
    sum(step) AS net, countIf(is_told AND step = 1) AS entered, countIf(is_told AND step = -1) AS left
FROM ({_STEPS})
WHERE step != 0 AND at_ms < {{until:Int64}}
GROUP BY start
"""  # noqa: S608 - constants
_CHOSEN = f"""
FROM ({_STEPS})
WHERE is_told AND ({{change:Int8}} = 0 OR step = {{change:Int8}})
    AND at_ms >= {{since:Int64}} AND at_ms < {{until:Int64}}
"""
_PAGE = f"""
SELECT contact_id, reason, segment_version, event_id, version, at_ms, step {_CHOSEN}
    AND (at_ms, contact_id, version) < ({{before_ms:Int64}}, {{before_contact:String}}, {{before_version:UInt64}})
ORDER BY at_ms DESC, contact_id DESC, version DESC
LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}
"""
_COUNT = f"SELECT count() AS total {_CHOSEN}"


async def sizes(
    reader: ClickHouseReader, tenant: Tenant, segment: str, query: QueryParameters, now_ms: int
) -> SegmentHistoryShape:
    """Every interval of the span, empty ones too, with the size at its end; 30 intervals up to now unless said.

    Raises ``ApiError`` (422) for a span of more than ``MOST_POINTS`` intervals.
    """
    interval = query.get("interval", "day")
    unit = SIZE_STEPS.get(interval)
    if unit is None:
        raise ApiError("invalid_field", f"interval must be one of {', '.join(SIZE_STEPS)}", "interval")
    end, begin = time_ms(query, "to"), time_ms(query, "from")
    end = now_ms if end is None else end
    begin = end - 1 - (USUAL_POINTS - 1) * unit if begin is None else begin
    if begin >= end:
        raise ApiError("invalid_field", "to must be after from", "to")
    first = begin // unit * unit
    if (end - first) // unit >= MOST_POINTS:
        message = f"more than {MOST_POINTS} points: choose a longer interval or a shorter span"
        raise ApiError("invalid_field", message, "interval")
    rows = await reader.rows(_SIZES, **tenant.parameters, segment=segment, unit=unit, since=first, until=end)
    rows_by_start = {row["start"]: row for row in rows}
    size = rows_by_start[-1]["net"] if -1 in rows_by_start else 0
    points: list[SizePoint] = []
    for start in range(first, end, unit):
        row = rows_by_start.get(start, {"net": 0, "entered": 0, "left": 0})
        size += row["net"]
        points.append({"at": iso(start), "contacts": max(0, size), "entered": row["entered"], "left": row["left"]})
    return {"interval": interval, "data": points}


async def changes(
    reader: ClickHouseReader, tenant: Tenant, segment: str, query: QueryParameters, paging: Paging
) -> Page[SegmentChangeShape]:
    """A page of the changes, newest first; raises ``ApiError`` (422) for an invalid filter."""
    change = query.get("change", "")
    if change and change not in CHANGES:
        raise ApiError("invalid_field", f"change must be one of {', '.join(CHANGES)}", "change")
    since, until = time_ms(query, "from"), time_ms(query, "to")
    chosen = {
        **tenant.parameters,
        "segment": segment,
        "change": CHANGES.get(change, 0),
        "since": 0 if since is None else since,
        "until": LATEST if until is None else until,
    }
    before = paging.cursor_of(int, str, int) or (LATEST, "", 0)
    place = dict(zip(("before_ms", "before_contact", "before_version"), before, strict=True))
    rows = await reader.rows(_PAGE, **chosen, **place, limit=paging.fetch_limit, offset=paging.offset)
    total = (await reader.rows(_COUNT, **chosen))[0]["total"] if paging.after is None else 0
    return listing(paging, [_shape(row) for row in rows], total, [_place(row) for row in rows])


def _place(row: dict[str, Any]) -> list[Any]:
    return [row["at_ms"], row["contact_id"], row["version"]]


def _shape(row: dict[str, Any]) -> SegmentChangeShape:
    return {
        "contact_id": row["contact_id"],
        "change": "entered" if row["step"] == 1 else "left",
        "at": iso(row["at_ms"]),
        "reason": row["reason"],
        "segment_version": row["segment_version"],
        "event_id": row["event_id"] or None,
    }
