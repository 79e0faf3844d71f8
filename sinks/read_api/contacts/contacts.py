"""A tenant and a contact's id in; its record, events and segments, in the API's shape, out.

1. An identifier's own contact id is its hash, and `contact_overrides` maps it to today's contact: no search.
2. A contact's events carry an own contact id that is its id, or that lost to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.api import serialize
from schemas.api.answers.contacts import ContactSegmentShape, ContactShape
from schemas.api.answers.events import ContactEventShape
from schemas.api.answers.fields import Page
from schemas.control import static_segments
from schemas.errors import ApiError
from schemas.times import iso
from sinks.read_api.request.client import ClickHouseReader, stored_json
from sinks.read_api.request.paging import Paging, Placed, QueryParameters, listing, time_ms
from sinks.read_api.request.tenant import Tenant

MAX_HOPS = 8
"""The map is flat; more than one hop is seen only while a merge is on its way."""

_CONTACT = """
WITH
    (
        SELECT argMax(winner, version) FROM contact_overrides
        WHERE workspace = {workspace:String} AND environment = {environment:String} AND loser = {id:String}
    ) AS merged_id,
    if(merged_id = '', {id:String}, merged_id) AS present_id
SELECT
    contact_id, email, phone, external_id, anonymous_ids, identifiers, attributes, consents, devices, merged_into,
    (merged_id = contact_id) AS is_split_off,
    toUnixTimestamp64Milli(created_at) AS created_ms, toUnixTimestamp64Milli(updated_at) AS updated_ms
FROM contacts
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id = present_id
ORDER BY version DESC
LIMIT 1
"""
_LOSERS = """
SELECT loser FROM contact_overrides
WHERE workspace = {workspace:String} AND environment = {environment:String} AND loser IN
(
    SELECT loser FROM contact_overrides
    WHERE workspace = {workspace:String} AND environment = {environment:String} AND winner = {id:String}
)
GROUP BY loser
HAVING argMax(winner, version) = {id:String} AND loser != {id:String}
"""
_EVENTS = """
SELECT
    event_id, concat(event_id, char(127), type, char(127), own_contact_id) AS key, type,
    toUnixTimestamp64Milli(timestamp) AS timestamp_ms,
    toUnixTimestamp64Milli(received_at) AS received_ms,
    properties, context, campaign_id, message_id, variant, channel, source, identifiers,
    count() OVER () AS total
FROM
(
    SELECT * FROM events
    WHERE workspace = {workspace:String} AND environment = {environment:String}
      AND own_contact_id IN {ids:Array(String)} AND ({only:String} = '' OR type = {only:String})
    ORDER BY received_at LIMIT 1 BY event_id, type, own_contact_id
)
WHERE (toUnixTimestamp64Milli(timestamp), key) < ({before_ms:Int64}, {before_id:String})
  AND toUnixTimestamp64Milli(timestamp) >= {since:Int64} AND toUnixTimestamp64Milli(timestamp) < {until:Int64}
ORDER BY timestamp DESC, key DESC
LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""
_EVENT_COUNT = """
SELECT uniqExact(event_id, type, own_contact_id) AS total FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String}
  AND own_contact_id IN {ids:Array(String)} AND ({only:String} = '' OR type = {only:String})
  AND toUnixTimestamp64Milli(timestamp) >= {since:Int64} AND toUnixTimestamp64Milli(timestamp) < {until:Int64}
"""
_SEGMENTS = """
SELECT contact_id, segment_id, argMax(toUnixTimestamp64Milli(at), version) AS since_ms,
       argMax(segment_version, version) AS segment_version
FROM contact_memberships
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
GROUP BY contact_id, segment_id
HAVING argMax(member, version) = 1
ORDER BY contact_id, segment_id
"""
_EVENTS_OF_MANY = """
SELECT
    event_id, concat(event_id, char(127), type, char(127), own_contact_id) AS key, type,
    toUnixTimestamp64Milli(timestamp) AS timestamp_ms,
    toUnixTimestamp64Milli(received_at) AS received_ms,
    properties, context, campaign_id, message_id, variant, channel, source, identifiers,
    transform(own_contact_id, {ids:Array(String)}, {owners:Array(String)}, '') AS owner
FROM
(
    SELECT * FROM events
    WHERE workspace = {workspace:String} AND environment = {environment:String}
        AND own_contact_id IN {ids:Array(String)}
    ORDER BY received_at LIMIT 1 BY event_id, type, own_contact_id
)
WHERE (toUnixTimestamp64Milli(timestamp), key) < ({before_ms:Int64}, {before_id:String})
ORDER BY timestamp DESC, key DESC
LIMIT {limit:UInt32} BY owner
"""
_WINNERS = """
SELECT loser, argMax(winner, version) AS winner FROM contact_overrides
WHERE workspace = {workspace:String} AND environment = {environment:String} AND loser IN {ids:Array(String)}
GROUP BY loser
"""
_OWNED = """
SELECT loser, argMax(winner, version) AS owner FROM contact_overrides
WHERE workspace = {workspace:String} AND environment = {environment:String} AND loser IN
(
    SELECT loser FROM contact_overrides
    WHERE workspace = {workspace:String} AND environment = {environment:String} AND winner IN {ids:Array(String)}
)
GROUP BY loser
HAVING owner IN {ids:Array(String)}
"""
_CONTACTS = """
SELECT
    contact_id, email, phone, external_id, anonymous_ids, identifiers, attributes, consents, devices, merged_into,
    toUnixTimestamp64Milli(created_at) AS created_ms, toUnixTimestamp64Milli(updated_at) AS updated_ms
FROM contacts
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
ORDER BY version DESC
LIMIT 1 BY contact_id
"""

LATEST = 9_000_000_000_000_000
"""A time after every event, and with it an id after every id."""


async def find(reader: ClickHouseReader, tenant: Tenant, contact_id: str) -> dict[str, Any] | None:
    """Returns the row of the contact to which this id belongs today."""
    own_id = contact_id
    for _ in range(MAX_HOPS):
        rows = await reader.rows(_CONTACT, **tenant.parameters, id=own_id)
        # a split takes effect at once; the row of `contacts` follows after the rebuild
        if not rows or not rows[0]["merged_into"] or rows[0]["is_split_off"]:
            return rows[0] if rows else None
        own_id = rows[0]["merged_into"]
    return None


async def winners_of(reader: ClickHouseReader, tenant: Tenant, ids: Sequence[str]) -> dict[str, str]:
    """Returns the present contacts of the ids that were merged into another."""
    rows = await reader.rows(_WINNERS, **tenant.parameters, ids=list(ids))
    return {row["loser"]: row["winner"] for row in rows}


async def find_all(reader: ClickHouseReader, tenant: Tenant, ids: Sequence[str]) -> list[dict[str, Any] | None]:
    """Returns the rows of the contacts to which these ids belong today, in the order of the ids."""
    target = {contact_id: contact_id for contact_id in ids} | await winners_of(reader, tenant, ids)
    rows: dict[str, dict[str, Any]] = {}
    for _ in range(MAX_HOPS):
        missing = {winner for winner in target.values() if winner not in rows}
        if not missing:
            break
        rows_by_id = {
            row["contact_id"]: row for row in await reader.rows(_CONTACTS, **tenant.parameters, ids=list(missing))
        }
        if not rows_by_id:
            break
        rows |= rows_by_id
        target = {loser: rows[to]["merged_into"] or to if to in rows else to for loser, to in target.items()}
    present = (rows.get(target[contact_id]) for contact_id in ids)
    return [None if row is None or row["merged_into"] else row for row in present]


async def required(reader: ClickHouseReader, tenant: Tenant, text: str) -> dict[str, Any]:
    """Returns the contact's row; raises ``ApiError`` (404)."""
    row = await find(reader, tenant, tenant.contact_id(text))
    if row is None:
        raise ApiError("not_found", "no such contact")
    return row


async def get(reader: ClickHouseReader, tenant: Tenant, text: str) -> ContactShape:
    return (await shaped(reader, tenant, [await required(reader, tenant, text)]))[0]


async def shaped(reader: ClickHouseReader, tenant: Tenant, rows: Sequence[dict[str, Any]]) -> list[ContactShape]:
    """Returns contacts in the API's shape; one query reads all their segments."""
    if not rows:
        return []
    segment_rows = await reader.rows(_SEGMENTS, **tenant.parameters, ids=[row["contact_id"] for row in rows])
    segments: dict[str, list[str]] = {}
    for segment_row in segment_rows:
        if segment_row["segment_id"] in tenant.segments:
            segments.setdefault(segment_row["contact_id"], []).append(segment_row["segment_id"])
    return [_shape(row, segments.get(row["contact_id"], [])) for row in rows]


def _shape(row: dict[str, Any], segments: list[str]) -> ContactShape:
    parts = {name: stored_json(row[name]) for name in ("consents", "devices")}
    return serialize.contact(
        {**row, **parts, "id": row["contact_id"]}, static_segments.shown(row["attributes"]), segments
    )


async def losers_of(reader: ClickHouseReader, tenant: Tenant, contact_id: str) -> list[str]:
    """Returns all other ids that belong to this contact today."""
    return [row["loser"] for row in await reader.rows(_LOSERS, **tenant.parameters, id=contact_id)]


def event_filters(query: QueryParameters) -> dict[str, Any]:
    """Returns ``type``, ``from`` and ``to`` as query parameters; raises ``ApiError`` (422) for an invalid time."""
    since, until = time_ms(query, "from"), time_ms(query, "to")
    if since is not None and until is not None and since > until:
        raise ApiError("invalid_field", "to is before from", "to")
    return {
        "only": query.get("type", ""),
        "since": -LATEST if since is None else since,
        "until": LATEST if until is None else until,
    }


async def events(
    reader: ClickHouseReader, tenant: Tenant, text: str, paging: Paging, query: QueryParameters
) -> Page[ContactEventShape]:
    """Returns the events that meet the filters, each once, newest first by the client's time."""
    filters = event_filters(query)
    contact_id = (await required(reader, tenant, text))["contact_id"]
    ids = [contact_id, *await losers_of(reader, tenant, contact_id)]
    before_ms, before_id = paging.cursor_of(int, str) or (LATEST, "")
    rows = await reader.rows(
        _EVENTS,
        **tenant.parameters,
        **filters,
        ids=ids,
        before_ms=before_ms,
        before_id=before_id,
        limit=paging.fetch_limit,
        offset=paging.offset,
    )
    total = rows[0]["total"] if rows else 0
    if not rows and paging.offset:
        total = (await reader.rows(_EVENT_COUNT, **tenant.parameters, **filters, ids=ids))[0]["total"]
    places = [(row["timestamp_ms"], row["key"]) for row in rows]
    return listing(paging, [_event(row, contact_id) for row in rows], total, places)


async def latest_events(
    reader: ClickHouseReader, tenant: Tenant, ids: Sequence[str], *, limit: int, before: Sequence[Any] | None
) -> dict[str, list[Placed[ContactEventShape]]]:
    """Returns at most ``limit`` events of each contact, newest first."""
    owners = {contact_id: contact_id for contact_id in ids}
    owners |= {row["loser"]: row["owner"] for row in await reader.rows(_OWNED, **tenant.parameters, ids=list(ids))}
    before_ms, before_id = before or (LATEST, "")
    rows = await reader.rows(
        _EVENTS_OF_MANY,
        **tenant.parameters,
        ids=list(owners),
        owners=list(owners.values()),
        before_ms=before_ms,
        before_id=before_id,
        limit=limit,
    )
    events: dict[str, list[Placed[ContactEventShape]]] = {contact_id: [] for contact_id in ids}
    for row in rows:
        events[row["owner"]].append(Placed(row["timestamp_ms"], row["event_id"], _event(row, row["owner"])))
    return events


def _event(row: dict[str, Any], contact_id: str) -> ContactEventShape:
    return {
        "event_id": row["event_id"],
        "contact_id": contact_id,
        "type": row["type"],
        "timestamp": iso(row["timestamp_ms"]),
        "received_at": iso(row["received_ms"]),
        "properties": stored_json(row["properties"]),
        "context": stored_json(row["context"]) if row["context"] else None,
        "campaign_id": row["campaign_id"] or None,
        "message_id": row["message_id"] or None,
        "variant": row["variant"] or None,
        "channel": row["channel"] or None,
        "source": row["source"] or None,
        "identifiers": row["identifiers"],
    }


async def segments(
    reader: ClickHouseReader, tenant: Tenant, text: str, names: Mapping[str, str]
) -> list[ContactSegmentShape]:
    """Returns the segments of a contact; ``names`` are those of all segments, by id."""
    contact_id = (await required(reader, tenant, text))["contact_id"]
    rows = await reader.rows(_SEGMENTS, **tenant.parameters, ids=[contact_id])
    return [
        {
            "id": row["segment_id"],
            "since": iso(row["since_ms"]),
            "version": row["segment_version"],
            "name": names[row["segment_id"]],
        }
        for row in rows
        if row["segment_id"] in names
    ]
