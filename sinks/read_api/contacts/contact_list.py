"""Filters in; the contacts that meet all of them, in the order of their ids, out.

The table's own order is by id, so every page costs the same, and no update moves a contact to another page. The list
omits contacts that merged into another.
"""

import asyncio
from typing import Any

from schemas.api.answers.contacts import ContactShape
from schemas.api.answers.fields import Page
from schemas.records import identity
from sinks.read_api.contacts.contacts import find, shaped
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, QueryParameters, identifier, listing, time_ms
from sinks.read_api.request.tenant import Tenant

_FROM = """
FROM contacts FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND merged_into = ''
"""
_ONE = " AND contact_id = {only:String}"
_SINCE = " AND updated_at >= fromUnixTimestamp64Milli({since:Int64})"
_IN_SEGMENT = """ AND contact_id IN
(
    SELECT contact_id FROM memberships FINAL
    WHERE workspace = {workspace:String} AND environment = {environment:String}
        AND segment_id = {segment:String} AND member
)"""
_PAGE = """
SELECT
    contact_id, email, phone, external_id, anonymous_ids, attributes, consents, devices,
    toUnixTimestamp64Milli(created_at) AS created_ms, toUnixTimestamp64Milli(updated_at) AS updated_ms
"""
_ORDER = """
AND contact_id > {after:String}
ORDER BY contact_id
LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""
_COUNT = "SELECT count() AS total"
_OF_SEGMENT = """
FROM memberships FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND segment_id = {segment:String} AND member
"""
_SOME = " AND contact_id IN {ids:Array(String)} ORDER BY contact_id"


async def contacts(
    reader: ClickHouseReader, tenant: Tenant, query: QueryParameters, paging: Paging, segment: str | None
) -> Page[ContactShape]:
    """Returns a page with its total; raises ``ApiError`` (422) for a filter without a meaning."""
    where, parameters = await _filtered(reader, tenant, query, segment)
    page = _page(reader, where, parameters, paging)
    if paging.after is not None:
        listed, total = await page, 0
    else:
        counts = _COUNT + (_OF_SEGMENT if _is_segment(where) else where)
        listed, counted = await asyncio.gather(page, reader.rows(counts, **parameters))
        total = counted[0]["total"]
    return listing(paging, await shaped(reader, tenant, listed), total, [[row["contact_id"]] for row in listed])


async def rows(
    reader: ClickHouseReader, tenant: Tenant, query: QueryParameters, paging: Paging, segment: str | None
) -> list[dict[str, Any]]:
    """Returns the rows without a total and unshaped, at most ``paging.fetch_limit``."""
    where, parameters = await _filtered(reader, tenant, query, segment)
    return await _page(reader, where, parameters, paging)


async def _filtered(
    reader: ClickHouseReader, tenant: Tenant, query: QueryParameters, segment: str | None
) -> tuple[str, dict[str, Any]]:
    since = time_ms(query, "updated_since")
    identifiers = {kind: identifier(query, kind) for kind in (identity.EXTERNAL_ID, identity.EMAIL, identity.PHONE)}
    where, parameters = _FROM, {**tenant.parameters, "since": since or 0}
    named = [(kind, value) for kind, value in identifiers.items() if value is not None]
    if named:
        owners = {await _owner(reader, tenant, kind, value) for kind, value in named}
        parameters["only"] = owners.pop() if len(owners) == 1 else ""
        where += _ONE
    if since is not None:
        where += _SINCE
    if segment is not None:
        where += _IN_SEGMENT
        parameters["segment"] = segment
    return where, parameters


async def _page(
    reader: ClickHouseReader, where: str, parameters: dict[str, Any], paging: Paging
) -> list[dict[str, Any]]:
    (after,) = paging.cursor_of(str) or [""]
    if _is_segment(where):
        return await _members(reader, parameters, after, paging)
    sql = _PAGE + where + _ORDER
    return await reader.rows(sql, **parameters, after=after, limit=paging.fetch_limit, offset=paging.offset)


def _is_segment(where: str) -> bool:
    """Whether the segment is the only filter: its members are already in order."""
    return where == _FROM + _IN_SEGMENT


async def _members(
    reader: ClickHouseReader, parameters: dict[str, Any], after: str, paging: Paging
) -> list[dict[str, Any]]:
    """Returns a page of a segment; its cost does not depend on the number of other contacts.

    The page skips members whose own row has not arrived yet, or was deleted.
    """
    members: list[dict[str, Any]] = []
    offset = paging.offset
    while True:
        limit = paging.fetch_limit - len(members)
        sql = "SELECT contact_id" + _OF_SEGMENT + _ORDER
        ids = [
            row["contact_id"] for row in await reader.rows(sql, **parameters, after=after, limit=limit, offset=offset)
        ]
        if ids:
            members += await reader.rows(_PAGE + _FROM + _SOME, **parameters, ids=ids)
        if len(ids) < limit or len(members) >= paging.fetch_limit:
            return members
        after, offset = ids[-1], 0


async def _owner(reader: ClickHouseReader, tenant: Tenant, kind: str, value: str) -> str:
    row = await find(reader, tenant, identity.contact_id(tenant.workspace, tenant.environment, kind, value))
    return "" if row is None else str(row["contact_id"])
