"""Filters in; the matching events of an environment, each once, in the order of the table's key, out.

The key is campaign, type and id: every page by cursor costs the same, and a new event moves no other event to another
page. ``from`` and ``to`` bound the client's time; ``from`` is inclusive, ``to`` is exclusive.
"""

from typing import Any

from schemas.api.answers.events import StoredEventShape
from schemas.api.answers.fields import Page
from sinks.read_api.contacts.contacts import event_filters, winners_of
from sinks.read_api.contacts.event import shape
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, QueryParameters, cursor_at, listing
from sinks.read_api.request.tenant import Tenant

MOST_GROUPS = 20
"""Of one campaign and type each, that one request looks through; a page may be short, and its cursor goes on."""

_COLUMNS = """
SELECT
    event_id, _sender, own_contact_id, type, toUnixTimestamp64Milli(timestamp) AS timestamp_ms,
    toUnixTimestamp64Milli(received_at) AS received_ms,
    properties, context, campaign_id, message_id, variant, channel, source, identifiers
"""
_FROM = """
FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String}
    AND ({only:String} = '' OR type = {only:String})
    AND toUnixTimestamp64Milli(timestamp) >= {since:Int64} AND toUnixTimestamp64Milli(timestamp) < {until:Int64}
"""
_OF_GROUP = """
    AND campaign_id = {campaign:String} AND type = {type:String}
    AND event_id >= {event:String} AND (event_id, _sender) > ({event:String}, {sender:String})
ORDER BY event_id, _sender, received_at LIMIT 1 BY event_id, _sender LIMIT {limit:UInt32}
"""
_NEXT_GROUP = """
SELECT campaign_id, type FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String}
    AND ({only:String} = '' OR type = {only:String})
    AND campaign_id >= {campaign:String} AND (campaign_id, type) > ({campaign:String}, {type:String})
ORDER BY campaign_id, type LIMIT 1
"""
_BY_PAGE = """
ORDER BY campaign_id, type, event_id, _sender, received_at LIMIT 1 BY campaign_id, type, event_id, _sender
LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""
_COUNT = "SELECT uniqExact(campaign_id, type, event_id, _sender) AS total"


async def events(
    reader: ClickHouseReader, tenant: Tenant, query: QueryParameters, paging: Paging
) -> Page[StoredEventShape]:
    """Returns a page of events; raises ``ApiError`` (422) for an invalid time or a cursor of another list."""
    parameters = {**tenant.parameters, **event_filters(query)}
    if paging.after is not None:
        return await _by_cursor(reader, tenant, parameters, paging)
    sql = _COLUMNS + _FROM + _BY_PAGE
    rows = await reader.rows(sql, **parameters, limit=paging.limit, offset=paging.offset)
    total = (await reader.rows(_COUNT + _FROM, **parameters))[0]["total"]
    places = [[row["campaign_id"], row["type"], row["event_id"], row["_sender"]] for row in rows]
    return listing(paging, await _shaped(reader, tenant, rows), total, places)


async def _by_cursor(
    reader: ClickHouseReader, tenant: Tenant, parameters: dict[str, Any], paging: Paging
) -> Page[StoredEventShape]:
    campaign, kind, event, sender = paging.cursor_of(str, str, str, str) or ("", "", "", "")
    rows: list[dict[str, Any]] = []
    following: str | None = None
    for left in reversed(range(MOST_GROUPS)):
        place = {"campaign": campaign, "type": kind, "event": event, "sender": sender}
        limit = paging.limit - len(rows)
        group = await reader.rows(_COLUMNS + _FROM + _OF_GROUP, **parameters, **place, limit=limit)
        rows += group
        if len(group) == limit:
            following = cursor_at([campaign, kind, group[-1]["event_id"], group[-1]["_sender"]])
            break
        groups = await reader.rows(_NEXT_GROUP, **parameters, campaign=campaign, type=kind)
        if not groups:
            break
        campaign, kind, event, sender = groups[0]["campaign_id"], groups[0]["type"], "", ""
        if not left:
            following = cursor_at([campaign, kind, event, sender])
    return {"data": await _shaped(reader, tenant, rows), "next_cursor": following}


async def _shaped(reader: ClickHouseReader, tenant: Tenant, rows: list[dict[str, Any]]) -> list[StoredEventShape]:
    owners = sorted({row["own_contact_id"] for row in rows if row["own_contact_id"]})
    winners = await winners_of(reader, tenant, owners) if owners else {}
    return [shape({**row, "contact_id": winners.get(row["own_contact_id"], row["own_contact_id"])}) for row in rows]
