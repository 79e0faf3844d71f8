"""A MongoDB query over contacts in; the matching contacts, or their number, out."""

import re
from typing import Any, TypedDict

import orjson
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.control import static_segments
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import Identifier
from sinks.clickhouse.connect import code_of
from sinks.read_api.contacts.audience_query import AudienceQuery
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

MAX_PAGE = 10_000
BAD_REGEX = 427
_PAGE = """
SELECT contact_id AS id, email, phone, identifiers, devices, consents, {attributes} AS shown
FROM contacts FINAL
WHERE workspace = {{workspace:String}} AND environment = {{environment:String}} AND merged_into = ''
    AND contact_id > {{after:String}} AND ({where})
ORDER BY contact_id LIMIT {{limit:UInt32}}
"""
_COUNT = """
SELECT count() AS total FROM contacts FINAL
WHERE workspace = {{workspace:String}} AND environment = {{environment:String}} AND merged_into = '' AND ({where})
"""
_HASHES = {32: "lower(hex(MD5(i.2)))", 16: "lower(hex(xxHash64(i.2)))"}
_HEX = re.compile(r"^[0-9a-f]{16}(?:[0-9a-f]{16})?$")


class AudienceContact(TypedDict):
    id: str
    email: str
    phone: str
    identifiers: list[Identifier]
    devices: list[Any]
    consents: dict[str, Any]
    attributes: dict[str, Any]


class AudienceContacts(TypedDict):
    contacts: list[AudienceContact]


class AudienceSize(TypedDict):
    total: int


async def audience(reader: ClickHouseReader, tenant: Tenant, body: Any) -> AudienceSize | AudienceContacts:
    """Returns a page of contacts in the order of their ids, from behind ``after``. Raises ``ApiError`` (422).

    With ``count`` it returns their number; with ``attributes`` each contact has its attributes.
    """
    if not isinstance(body, dict):
        raise ApiError("invalid_type", "the body must be an object")
    limit, after = body.get("limit", MAX_PAGE), body.get("after", "")
    if not isinstance(limit, int) or not 1 <= limit <= MAX_PAGE or not isinstance(after, str):
        raise ApiError("invalid_field", f"limit must be 1 to {MAX_PAGE}", "limit")
    query = AudienceQuery()
    where = query.group(body.get("query"), "custom_request")
    bound = {**tenant.parameters, **query.parameters}
    try:
        if query.regexes:
            # an invalid expression must fail even if ClickHouse would match no contact against it
            await reader.rows(f"SELECT {', '.join(query.regexes)}", **query.parameters)
        if body.get("count") is True:
            return {"total": (await reader.rows(_COUNT.format(where=where), **bound))[0]["total"]}
        attributes = "attributes" if body.get("attributes") is True else "'{}'"
        sql = _PAGE.format(where=where, attributes=attributes)
        return _shaped(await reader.rows(sql, **bound, after=after, limit=limit))
    except ClickHouseError as error:
        if code_of(error) == BAD_REGEX:
            raise ApiError("invalid_field", "not a valid RE2 regular expression", "custom_request") from error
        raise


async def by_hash(reader: ClickHouseReader, tenant: Tenant, address_hash: str) -> AudienceContacts:
    """Returns at most two contacts whose e-mail address, or its MD5 or XXH64 in hex, is the argument.

    A hash is compared with every contact: milliseconds for each 10,000 contacts.
    """
    if "@" in address_hash:
        query = AudienceQuery()
        where = query.group({identity.EMAIL: address_hash}, "who")
    elif _HEX.match(address_hash.lower()):
        query = AudienceQuery(parameters={"q0": address_hash.lower()})
        where = f"arrayExists(i -> i.1 = 'email' AND {_HASHES[len(address_hash)]} = {{q0:String}}, identifiers)"
    else:
        return {"contacts": []}
    sql = _PAGE.format(where=where, attributes="attributes")
    return _shaped(await reader.rows(sql, **tenant.parameters, **query.parameters, after="", limit=2))


def _shaped(rows: list[dict[str, Any]]) -> AudienceContacts:
    return {
        "contacts": [
            {
                "id": row["id"],
                "email": row["email"],
                "phone": row["phone"],
                "identifiers": row["identifiers"],
                "devices": orjson.loads(row["devices"] or b"[]"),
                "consents": orjson.loads(row["consents"] or b"{}"),
                "attributes": static_segments.without(orjson.loads(row["shown"])),
            }
            for row in rows
        ]
    }
