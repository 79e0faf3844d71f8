"""A contact in; everything that is stored of it, as NDJSON, an object a line with its ``kind``, out.

``contact``, ``identity``, ``segment`` (those it is in), ``membership`` (each entry and exit there was), ``consent``
(each change), ``event``, and ``delivery`` (each request to a webhook that was about it), each kind in its own order.
"""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from starlette.responses import Response, StreamingResponse

from schemas.times import iso
from sinks.read_api.contacts import consents, contacts, identities
from sinks.read_api.lists.forms import NdjsonLines
from sinks.read_api.lists.stream import pages
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import listing

_MEMBERSHIPS = """
SELECT segment_id, contact_id, member, toUnixTimestamp64Milli(at) AS at_ms, reason, event_id, version
FROM membership_changes
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
    AND (version, segment_id, contact_id) > ({version:UInt64}, {segment:String}, {contact:String})
ORDER BY version, segment_id, contact_id LIMIT 1 BY version, segment_id, contact_id LIMIT {limit:UInt32}
"""
_DELIVERIES = """
SELECT attempt_id, webhook_id, event_id, type, url, status, response_code, toUnixTimestamp64Milli(at) AS at_ms,
    toValidUTF8(request_body) AS request_body
FROM delivery_attempts
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
    AND (at, attempt_id) > (fromUnixTimestamp64Milli({after_ms:Int64}), {after_id:String})
ORDER BY at, attempt_id LIMIT 1 BY at, attempt_id LIMIT {limit:UInt32}
"""


async def export(reader: ClickHouseReader, asked: ReadRequest, names: Mapping[str, str]) -> Response:
    """``names`` are those of segments, by id. Raises ``ApiError`` (404)."""
    tenant = asked.tenant
    contact = await contacts.get(reader, tenant, asked.part("id"))
    contact_id: str = contact["id"]
    ids = [contact_id, *await contacts.losers_of(reader, tenant, contact_id)]
    identity = await identities.identity(reader, tenant, contact_id)
    segments = await contacts.segments(reader, tenant, contact_id)
    lines = NdjsonLines()

    async def parts() -> AsyncIterator[tuple[str, list[Any]]]:
        yield "contact", [contact]
        yield "identity", [identity]
        yield "segment", [{**segment, "name": names.get(segment["id"], "")} for segment in segments]
        async for rows in pages(partial(_memberships, reader, ids), asked):
            yield "membership", rows
        async for rows in pages(lambda page: consents.consents(reader, tenant, contact_id, page.paging), asked):
            yield "consent", rows
        async for rows in pages(lambda page: contacts.events(reader, tenant, contact_id, page.paging, {}), asked):
            yield "event", rows
        async for rows in pages(partial(_deliveries, reader, ids), asked):
            yield "delivery", rows

    async def body() -> AsyncIterator[bytes]:
        async for kind, rows in parts():
            if part := lines.lines([{"kind": kind, **row} for row in rows]):
                yield part

    headers = {"Content-Disposition": 'attachment; filename="contact.ndjson"'}
    return StreamingResponse(body(), media_type=lines.media_type, headers=headers)


async def _memberships(reader: ClickHouseReader, ids: list[str], asked: ReadRequest) -> dict[str, Any]:
    version, segment, contact = asked.paging.cursor_of(int, str, str) or (0, "", "")
    place = {"version": version, "segment": segment, "contact": contact, "limit": asked.paging.wanted}
    rows = await reader.rows(_MEMBERSHIPS, **asked.tenant.parameters, ids=ids, **place)
    shown = [
        {
            "segment_id": row["segment_id"],
            "contact_id": row["contact_id"],
            "member": bool(row["member"]),
            "at": iso(row["at_ms"]),
            "reason": row["reason"],
            "event_id": row["event_id"] or None,
        }
        for row in rows
    ]
    places = [[row["version"], row["segment_id"], row["contact_id"]] for row in rows]
    return listing(asked.paging, shown, 0, places)


async def _deliveries(reader: ClickHouseReader, ids: list[str], asked: ReadRequest) -> dict[str, Any]:
    after_ms, after_id = asked.paging.cursor_of(int, str) or (0, "")
    place = {"after_ms": after_ms, "after_id": after_id, "limit": asked.paging.wanted}
    rows = await reader.rows(_DELIVERIES, **asked.tenant.parameters, ids=ids, **place)
    names = ("webhook_id", "event_id", "type", "url", "status", "response_code")
    shown = [
        {
            "id": row["attempt_id"],
            **{name: row[name] for name in names},
            "at": iso(row["at_ms"]),
            "request_body": row["request_body"],
        }
        for row in rows
    ]
    return listing(asked.paging, shown, 0, [[row["at_ms"], row["attempt_id"]] for row in rows])
