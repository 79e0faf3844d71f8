"""A tenant in; the types of events that it has sent, with their counts and properties, out, by name.

Counts are exact. Properties are those of some ``SAMPLE`` rows of each type, with the share of these that have it: a
property that nearly none has may be missing.
"""

from typing import Any

from schemas.api.answers.events import EventTypeShape, PropertyShare
from schemas.api.answers.fields import Page
from schemas.records.records import TRACK
from schemas.times import iso
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, listing
from sinks.read_api.request.tenant import Tenant

SAMPLE = 1000
MOST_PROPERTIES = 100
"""Most properties listed of a type, the most frequent ones."""

_TYPES = """
SELECT type, uniqExact(event_id, own_contact_id) AS events, min(toUnixTimestamp64Milli(received_at)) AS first_ms,
       max(toUnixTimestamp64Milli(received_at)) AS last_ms
FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String} AND _kind = {kind:String}
    AND type > {after:String}
GROUP BY type ORDER BY type LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""
_TOTAL = """
SELECT uniqExact(type) AS total FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String} AND _kind = {kind:String}
"""
_PROPERTIES = """
WITH sample AS
(
    SELECT type, JSONExtractKeys(properties) AS names FROM events
    WHERE workspace = {workspace:String} AND environment = {environment:String} AND _kind = {kind:String}
        AND type IN {types:Array(String)}
    LIMIT {sample:UInt32} BY type
)
SELECT type, name, count() AS with_property, any(sampled) AS sampled
FROM (SELECT type, names, count() OVER (PARTITION BY type) AS sampled FROM sample)
ARRAY JOIN arrayDistinct(names) AS name
GROUP BY type, name ORDER BY type, with_property DESC, name LIMIT {most:UInt32} BY type
"""


async def event_types(reader: ClickHouseReader, tenant: Tenant, paging: Paging) -> Page[EventTypeShape]:
    (after,) = paging.cursor_of(str) or ("",)
    home = {**tenant.parameters, "kind": TRACK}
    rows = await reader.rows(_TYPES, **home, after=after, limit=paging.fetch_limit, offset=paging.offset)
    total = (await reader.rows(_TOTAL, **home))[0]["total"] if paging.after is None else 0
    properties = await _properties(reader, home, [row["type"] for row in rows]) if rows else {}
    shown: list[EventTypeShape] = [
        {
            "type": row["type"],
            "events": row["events"],
            "first_seen": iso(row["first_ms"]),
            "last_seen": iso(row["last_ms"]),
            "properties": properties.get(row["type"], []),
        }
        for row in rows
    ]
    return listing(paging, shown, total, [[row["type"]] for row in rows])


async def _properties(
    reader: ClickHouseReader, home: dict[str, Any], types: list[str]
) -> dict[str, list[PropertyShare]]:
    properties: dict[str, list[PropertyShare]] = {}
    for row in await reader.rows(_PROPERTIES, **home, types=types, sample=SAMPLE, most=MOST_PROPERTIES):
        share = round(row["with_property"] / row["sampled"], 4)
        properties.setdefault(row["type"], []).append({"name": row["name"], "share": share})
    return properties
