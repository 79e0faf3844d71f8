"""Identifiers of a write in; their present contacts, or the contact once it has all of them, out.

A write's identifiers are only those that its workspace lets link contacts: others never become visible.

A write is visible when its contact has all of its identifiers. An identifier of another contact, or one beyond a limit,
never arrives: then a refusal explains it, and a warning names it. Common queries answer all waiting requests
(``QueryBatcher``).
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, TypedDict

import orjson

from schemas.api.answers.contacts import ContactShape
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


class KnownContact(TypedDict):
    id: str
    identifiers: list[Identifier]
    attributes: dict[str, Any]


class FoundContacts(TypedDict):
    contacts: list[KnownContact | None]


class WrittenContact(TypedDict):
    contact: ContactShape | None
    warnings: list[str]


class WrittenContacts:
    """Reads the contacts of writes; all requests share one instance."""

    def __init__(self, reader: ClickHouseReader) -> None:
        self._reader = reader
        self._owners = QueryBatcher(self._all_owners)
        self._shown = QueryBatcher(self._all_shown)

    async def find(self, tenant: Tenant, body: Any) -> FoundContacts:
        """Returns the present contact of each identifier, or ``None``."""
        return {"contacts": await self._owners.ask(tenant, _given(body))}

    async def written(self, tenant: Tenant, body: Any) -> WrittenContact:
        """Returns the contact's document, or ``None`` if it is not complete in time."""
        given = _given(body)
        deadline = time.monotonic() + body["timeout_ms"] / 1000
        turn = 0
        while True:
            contact = await self._shown.ask(tenant, given)
            if contact is not None:
                document, warnings = contact
                return {"contact": document, "warnings": warnings}
            if time.monotonic() >= deadline:
                return {"contact": None, "warnings": []}
            await asyncio.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
            turn += 1

    async def _all_owners(self, tenant: Tenant, questions: Sequence[Identifiers]) -> list[list[KnownContact | None]]:
        ids = [contact_id for given in questions for contact_id in _ids(tenant, given)]
        rows = iter(await find_all(self._reader, tenant, ids))
        return [[None if (row := next(rows)) is None else _known(row) for _ in given] for given in questions]

    async def _all_shown(
        self, tenant: Tenant, questions: Sequence[Identifiers]
    ) -> list[tuple[ContactShape, list[str]] | None]:
        """Returns each write's document and warnings, or ``None`` if identifiers are still missing."""
        first = [_ids(tenant, given)[0] for given in questions]
        rows = await find_all(self._reader, tenant, first)
        missing = [None if row is None else _missing(row, given) for row, given in zip(rows, questions, strict=True)]
        doubtful = sorted(
            {own for given, some in zip(questions, missing, strict=True) if some for own in _ids(tenant, given)}
        )
        refused: set[tuple[str, str, str]] = set()
        if doubtful:
            refusals = await self._reader.rows(_REFUSED, **tenant.parameters, ids=doubtful)
            refused = {(row["contact_id"], row["type"], row["value"]) for row in refusals}
        complete: dict[int, tuple[Row, list[str]]] = {}
        for place, (row, given, some) in enumerate(zip(rows, questions, missing, strict=True)):
            own = _ids(tenant, given) if some else []
            if (
                row is not None
                and some is not None
                and all(_is_refused(identifier, own, refused) for identifier in some)
            ):
                complete[place] = (row, _warnings(some))
        documents = iter(await shaped(self._reader, tenant, [row for row, _ in complete.values()]))
        return [(next(documents), complete[place][1]) if place in complete else None for place in range(len(questions))]


def _given(body: Any) -> Identifiers:
    if not body["identifiers"]:
        raise ApiError("missing_field", "identifiers is needed", "identifiers")
    given: Identifiers = body["identifiers"]
    return given


def _known(row: Row) -> KnownContact:
    return {
        "id": row["contact_id"],
        "identifiers": row["identifiers"],
        "attributes": orjson.loads(row["attributes"]),
    }


def _missing(row: Row, given: Identifiers) -> Identifiers:
    has = {(identifier["type"], identifier["value"]) for identifier in row["identifiers"]}
    return [
        identifier
        for identifier in given
        if identifier["type"] != identity.CONTACT_ID and (identifier["type"], identifier["value"]) not in has
    ]


def _is_refused(identifier: Identifier, own: Sequence[str], refused: set[tuple[str, str, str]]) -> bool:
    return any((contact_id, identifier["type"], identifier["value"]) in refused for contact_id in own)


def _warnings(missing: Identifiers) -> list[str]:
    return [
        warning(
            "link_refused",
            f"{identifier['type']} was not added: it belongs to another contact, or the contact has too many",
        )
        for identifier in missing
    ]


def _ids(tenant: Tenant, identifiers: Identifiers) -> list[str]:
    return [
        identity.contact_id(tenant.workspace, tenant.environment, identifier["type"], identifier["value"])
        for identifier in identifiers
    ]
