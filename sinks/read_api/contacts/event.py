"""An event's id in; the event as it is stored out, with the contact that it belongs to today and its warnings.

Vendors' answers have no place for warnings, so the edge keeps them in the event's context. Warnings that need the
tables are computed when the event is read.
"""

from typing import Any

import orjson

from schemas.errors import ApiError
from schemas.records.sameness import CONFLICT
from schemas.times import iso
from schemas.warning import STORED_AS, warning
from sinks.read_api.contacts import overruled
from sinks.read_api.request.client import ClickHouseReader
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
_TEXTS = ("campaign_id", "message_id", "variant", "channel", "source")


async def missing(reader: ClickHouseReader, tenant: Tenant) -> ApiError:
    """The refusal for an id that no stored event has."""
    message = "no such event; one that was sent just now may take a moment to be stored"
    rows = await reader.rows(_REMOVED, workspace=tenant.workspace)
    if rows[0]["before_ms"]:
        message += (
            f"; those received before {iso(rows[0]['before_ms'])} were removed, as the workspace keeps them no longer"
        )
    return ApiError("not_found", message)


async def event(reader: ClickHouseReader, tenant: Tenant, event_id: str) -> dict[str, Any]:
    """The newest event with the id; raises ``ApiError`` (404)."""
    rows = await reader.rows(_EVENT, **tenant.parameters, id=event_id)
    if not rows:
        raise await missing(reader, tenant)
    shown = shape(rows[0])
    if len(rows) > 1:
        shown["warnings"].append(warning(CONFLICT, "another event has this event_id; both count"))
    shown["warnings"] += await overruled.warnings_of(reader, tenant, rows[0])
    return shown


def shape(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the API shows it; ``contact_id`` is whose it is today."""
    context = orjson.loads(row["context"]) if row["context"] else {}
    stored = context.pop(STORED_AS, [])
    warnings = [warning for warning in stored if isinstance(warning, str)] if isinstance(stored, list) else []
    return {
        "event_id": row["event_id"],
        "contact_id": row["contact_id"] or None,
        "type": row["type"],
        "timestamp": iso(row["timestamp_ms"]),
        "received_at": iso(row["received_ms"]),
        "properties": orjson.Fragment(row["properties"]),
        "context": context or None,
        **{name: row[name] or None for name in _TEXTS},
        "identifiers": row["identifiers"],
        "warnings": warnings,
    }
