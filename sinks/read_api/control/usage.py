"""A workspace in; its events by day and environment, and its stored data, out."""

import asyncio

from schemas.api.answers.operations import UsageDay, UsageShape
from schemas.errors import ApiError
from schemas.limits import MOST_USAGE_DAYS, USAGE_DAYS
from schemas.times import DAY_MS, iso
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import QueryParameters

_EVENTS = """
SELECT toString(toDate(received_at)) AS date, environment, uniqExact(event_id, type, own_contact_id) AS events
FROM events
WHERE workspace = {workspace:String} AND received_at >= fromUnixTimestamp64Milli({since:Int64})
GROUP BY date, environment ORDER BY date DESC, environment
"""
_DUPLICATES = """
SELECT toString(toDate(received_at)) AS date, environment, count() AS duplicates FROM duplicates FINAL
WHERE workspace = {workspace:String} AND received_at >= fromUnixTimestamp64Milli({since:Int64})
GROUP BY date, environment
"""
_CONTACTS = """
SELECT environment, count() AS contacts FROM contacts FINAL
WHERE workspace = {workspace:String} AND merged_into = ''
GROUP BY environment ORDER BY environment
"""


async def usage(reader: ClickHouseReader, workspace: str, query: QueryParameters, now_ms: int) -> UsageShape:
    """Raises ``ApiError`` (422) for an invalid number of days."""
    days = query.get("days", str(USAGE_DAYS))
    if not days.isascii() or not days.isdigit() or not 1 <= int(days[:9]) <= MOST_USAGE_DAYS:
        raise ApiError("invalid_field", f"days must be a number from 1 to {MOST_USAGE_DAYS}", "days")
    since = (now_ms // DAY_MS - int(days) + 1) * DAY_MS
    events, duplicates, contacts = await asyncio.gather(
        reader.rows(_EVENTS, workspace=workspace, since=since),
        reader.rows(_DUPLICATES, workspace=workspace, since=since),
        reader.rows(_CONTACTS, workspace=workspace),
    )
    again = {(row["date"], row["environment"]): row["duplicates"] for row in duplicates}
    days_of: list[UsageDay] = [
        {
            "date": row["date"],
            "environment": row["environment"],
            "events": row["events"],
            "duplicates": again.get((row["date"], row["environment"]), 0),
        }
        for row in events
    ]
    return {
        "since": iso(since),
        "data": days_of,
        "contacts": [{"environment": row["environment"], "contacts": row["contacts"]} for row in contacts],
        "totals": {
            "events": sum(day["events"] for day in days_of),
            "duplicates": sum(day["duplicates"] for day in days_of),
            "contacts": sum(row["contacts"] for row in contacts),
        },
    }
