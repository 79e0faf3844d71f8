"""An event's id in; the stored event with its present contact and its warnings out.

Vendors' responses have no field for warnings, so the edge keeps them in the event's context. The read API computes
warnings that need the tables.
"""

from typing import Any

import orjson

from schemas.api.answers.events import StoredEventShape
from schemas.errors import ApiError
from schemas.records.sameness import CONFLICT
from schemas.times import iso
from schemas.warning import STORED_AS, warning
from sinks.read_api.contacts import overruled
from sinks.read_api.request.client import ClickHouseReader, stored_json
from sinks.read_api.request.tenant import Tenant

_REMOVED = """
SELECT toUnixTimestamp64Milli(max(before)) AS before_ms FROM removals
WHERE workspace = {workspace:String} AND table = 'events'
"""
_EVENT = """
SELECT
    event_id, contact_id, type, toUnixTimestamp64Milli(timestamp) AS timestamp_ms,
    toUnixTimestamp64Milli(received_at) AS received_ms,
    properties, context, campaign_id, message_id, variant, channel, source, identifiers
FROM events_resolved
WHERE workspace = {workspace:String} AND environment = {environment:String} AND event_id = {id:String}
ORDER BY received_at DESC LIMIT 2
"""


async def missing(reader: ClickHouseReader, tenant: Tenant) -> ApiError:
    """The error for an id without a stored event."""
    message = "no such event; one that was sent just now may take a moment to be stored"
    rows = await reader.rows(_REMOVED, workspace=tenant.workspace)
    if rows[0]["before_ms"]:
        message += (
            f"; those received before {iso(rows[0]['before_ms'])} were removed, as the workspace keeps them no longer"
        )
    return ApiError("not_found", message)


async def event(reader: ClickHouseReader, tenant: Tenant, event_id: str) -> StoredEventShape:
    """Returns the newest event with the id; raises ``ApiError`` (404)."""
    rows = await reader.rows(_EVENT, **tenant.parameters, id=event_id)
    if not rows:
        raise await missing(reader, tenant)
    shown = shape(rows[0])
    if len(rows) > 1:
        shown["warnings"].append(warning(CONFLICT, "another event has this event_id; both count"))
    shown["warnings"] += await overruled.warnings_of(reader, tenant, rows[0])
    return shown


def shape(row: dict[str, Any]) -> StoredEventShape:
    """Returns a row in the API's shape; ``contact_id`` is the present contact."""
    context = orjson.loads(row["context"]) if row["context"] else {}
    stored = context.pop(STORED_AS, [])
    warnings = [warning for warning in stored if isinstance(warning, str)] if isinstance(stored, list) else []
    return {
        "event_id": row["event_id"],
        "contact_id": row["contact_id"] or None,
        "type": row["type"],
        "timestamp": iso(row["timestamp_ms"]),
        "received_at": iso(row["received_ms"]),
        "properties": stored_json(row["properties"]),
        "context": context or None,
        "campaign_id": row["campaign_id"] or None,
        "message_id": row["message_id"] or None,
        "variant": row["variant"] or None,
        "channel": row["channel"] or None,
        "source": row["source"] or None,
        "identifiers": row["identifiers"],
        "warnings": warnings,
    }
