"""Identifiers of a write in; their contacts now, or the contact once it has all of them, out.

Of a write those alone that its workspace lets tie contacts together: the others are never shown.

A write is visible when its contact has every identifier that came with it. One that belongs to another contact, or
is over a limit, never will: then a refusal says so, and it is named in the warnings. All requests that wait are
answered by common queries (``QueryBatcher``).
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson

from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import Identifier
from schemas.warning import warning
from sinks.read_api.contacts.contacts import find_all, shaped
from sinks.read_api.contacts.query_batcher import QueryBatcher
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

_PAUSES_S = (0.02, 0.04, 0.08)

_REFUSED = """
SELECT DISTINCT contact_id, type, value FROM refused_links
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
"""
Row = dict[str, Any]
Identifiers = list[Identifier]


class WrittenContacts:
    """The contacts of writes; one of it for all requests."""

    def __init__(self, reader: ClickHouseReader) -> None:
        self._reader = reader
        self._owners = QueryBatcher(self._all_owners)
        self._shown = QueryBatcher(self._all_shown)

    async def found(self, tenant: Tenant, asked: Any) -> dict[str, Any]:
        """For each identifier the contact that has it today, or none."""
        return {"contacts": await self._owners.ask(tenant, _given(asked))}

    async def written(self, tenant: Tenant, asked: Any) -> dict[str, Any]:
        """The contact's document, or none if it is not complete in time."""
        given = _given(asked)
        deadline = time.monotonic() + asked["timeout_ms"] / 1000
        turn = 0
        while True:
            found = await self._shown.ask(tenant, given)
            if found is not None:
                document, warnings = found
                return {"contact": document, "warnings": warnings}
            if time.monotonic() >= deadline:
                return {"contact": None, "warnings": []}
            await asyncio.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
            turn += 1

    async def _all_owners(self, tenant: Tenant, asked: Sequence[Identifiers]) -> list[list[Row | None]]:
        rows = iter(await find_all(self._reader, tenant, [one for given in asked for one in _ids(tenant, given)]))
        return [[None if (row := next(rows)) is None else _known(row) for _ in given] for given in asked]

    async def _all_shown(self, tenant: Tenant, asked: Sequence[Identifiers]) -> list[tuple[Row, list[str]] | None]:
        """For each write its contact's document and the warnings, none where identifiers are missing yet."""
        first = [_ids(tenant, given)[0] for given in asked]
        rows = await find_all(self._reader, tenant, first)
        missing = [None if row is None else _missing(row, given) for row, given in zip(rows, asked, strict=True)]
        doubtful = sorted(
            {own for given, some in zip(asked, missing, strict=True) if some for own in _ids(tenant, given)}
        )
        refused: set[tuple[str, str, str]] = set()
        if doubtful:
            found = await self._reader.rows(_REFUSED, **tenant.parameters, ids=doubtful)
            refused = {(row["contact_id"], row["type"], row["value"]) for row in found}
        complete: dict[int, tuple[Row, list[str]]] = {}
        for place, (row, given, some) in enumerate(zip(rows, asked, missing, strict=True)):
            own = _ids(tenant, given) if some else []
            if row is not None and some is not None and all(_is_refused(one, own, refused) for one in some):
                complete[place] = (row, _warnings(some))
        documents = iter(await shaped(self._reader, tenant, [row for row, _ in complete.values()]))
        return [(next(documents), complete[place][1]) if place in complete else None for place in range(len(asked))]


def _given(asked: Any) -> Identifiers:
    if not asked["identifiers"]:
        raise ApiError("missing_field", "identifiers is needed", "identifiers")
    given: Identifiers = asked["identifiers"]
    return given


def _known(row: Row) -> Row:
    return {
        "id": row["contact_id"],
        "identifiers": row["identifiers"],
        "attributes": orjson.loads(row["attributes"]),
    }


def _missing(row: Row, given: Identifiers) -> Identifiers:
    has = {(one["type"], one["value"]) for one in row["identifiers"]}
    return [one for one in given if one["type"] != identity.CONTACT_ID and (one["type"], one["value"]) not in has]


def _is_refused(one: Identifier, own: Sequence[str], refused: set[tuple[str, str, str]]) -> bool:
    return any((contact_id, one["type"], one["value"]) in refused for contact_id in own)


def _warnings(missing: Identifiers) -> list[str]:
    return [
        warning(
            "link_refused", f"{one['type']} was not added: it belongs to another contact, or the contact has too many"
        )
        for one in missing
    ]


def _ids(tenant: Tenant, identifiers: Identifiers) -> list[str]:
    return [identity.contact_id(tenant.workspace, tenant.environment, one["type"], one["value"]) for one in identifiers]
