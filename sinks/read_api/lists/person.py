"""A contact in; everything that is stored of it, as NDJSON, an object a line with its ``kind``, out.

``contact``, ``identity``, ``segment`` (those it is in), ``membership`` (each entry and exit there was), ``consent``
(each change), ``event``, and ``delivery`` (each request to a webhook that was about it), each kind in its own order.
"""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, TypedDict

from starlette.responses import Response, StreamingResponse

from schemas.api.answers.fields import Page
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


class ExportedMembership(TypedDict):
    segment_id: str
    contact_id: str
    member: bool
    at: str
    reason: str
    event_id: str | None


class ExportedDelivery(TypedDict):
    id: str
    webhook_id: str
    event_id: str
    type: str
    url: str
    status: str
    response_code: int
    at: str
    request_body: str


async def export(reader: ClickHouseReader, request: ReadRequest, names: Mapping[str, str]) -> Response:
    """``names`` are those of segments, by id. Raises ``ApiError`` (404)."""
    tenant = request.tenant
    contact = await contacts.get(reader, tenant, request.part("id"))
    contact_id = contact["id"]
    ids = [contact_id, *await contacts.losers_of(reader, tenant, contact_id)]
    identity = await identities.identity(reader, tenant, contact_id)
    segments = await contacts.segments(reader, tenant, contact_id, names)
    lines = NdjsonLines()

    async def parts() -> AsyncIterator[tuple[str, list[Any]]]:
        yield "contact", [contact]
        yield "identity", [identity]
        yield "segment", segments
        async for rows in pages(partial(_memberships, reader, ids), request):
            yield "membership", rows
        async for rows in pages(lambda page: consents.consents(reader, tenant, contact_id, page.paging), request):
            yield "consent", rows
        async for rows in pages(lambda page: contacts.events(reader, tenant, contact_id, page.paging, {}), request):
            yield "event", rows
        async for rows in pages(partial(_deliveries, reader, ids), request):
            yield "delivery", rows

    async def body() -> AsyncIterator[bytes]:
        async for kind, rows in parts():
            if part := lines.lines([{"kind": kind, **row} for row in rows]):
                yield part

    headers = {"Content-Disposition": 'attachment; filename="contact.ndjson"'}
    return StreamingResponse(body(), media_type=lines.media_type, headers=headers)


async def _memberships(reader: ClickHouseReader, ids: list[str], request: ReadRequest) -> Page[ExportedMembership]:
    version, segment, contact = request.paging.cursor_of(int, str, str) or (0, "", "")
    place = {"version": version, "segment": segment, "contact": contact, "limit": request.paging.fetch_limit}
    rows = await reader.rows(_MEMBERSHIPS, **request.tenant.parameters, ids=ids, **place)
    shown: list[ExportedMembership] = [
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
    return listing(request.paging, shown, 0, places)


async def _deliveries(reader: ClickHouseReader, ids: list[str], request: ReadRequest) -> Page[ExportedDelivery]:
    after_ms, after_id = request.paging.cursor_of(int, str) or (0, "")
    place = {"after_ms": after_ms, "after_id": after_id, "limit": request.paging.fetch_limit}
    rows = await reader.rows(_DELIVERIES, **request.tenant.parameters, ids=ids, **place)
    shown: list[ExportedDelivery] = [
        {
            "id": row["attempt_id"],
            "webhook_id": row["webhook_id"],
            "event_id": row["event_id"],
            "type": row["type"],
            "url": row["url"],
            "status": row["status"],
            "response_code": row["response_code"],
            "at": iso(row["at_ms"]),
            "request_body": row["request_body"],
        }
        for row in rows
    ]
    return listing(request.paging, shown, 0, [[row["at_ms"], row["attempt_id"]] for row in rows])
