"""Identifiers that an edge was given in; who has them now, or the contact once it shows them all, out.

A write is visible when its contact has every identifier that came with it. One that belongs to another contact, or
is over a limit, never will: then a refusal says so, and it is named in the warnings.
"""

import asyncio
import time
from typing import Any

import orjson

from schemas import identity
from schemas.errors import Refused
from sinks.query.contacts import Home, find_all, shaped
from sinks.query.reader import Reader

_PAUSES_S = (0.01, 0.02, 0.04, 0.08)

_REFUSED = """
SELECT DISTINCT type, value FROM refused_links
WHERE workspace = {workspace:String} AND environment = {environment:String} AND contact_id IN {ids:Array(String)}
"""


async def found(reader: Reader, home: Home, asked: Any) -> dict[str, Any]:
    """For each identifier the contact that has it today, or none."""
    rows = await find_all(reader, home, _ids(home, asked["identifiers"]))
    return {"contacts": [None if row is None else _known(row) for row in rows]}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["contact_id"],
        "identifiers": row["identifiers"],
        "attributes": orjson.loads(row["attributes"]),
    }


async def written(reader: Reader, home: Home, asked: Any) -> dict[str, Any]:
    """The contact's document, or none if it is not complete in time."""
    given = asked["identifiers"]
    ids = _ids(home, given)
    deadline = time.monotonic() + asked["timeout_ms"] / 1000
    turn = 0
    while True:
        row = (await find_all(reader, home, ids[:1]))[0]
        if row is not None:
            has = {(one["type"], one["value"]) for one in row["identifiers"]}
            missing = [one for one in given if identity.links(one["type"]) and not _shown(one, has)]
            refused = await _refused(reader, home, ids) if missing and turn else set()
            if all((one["type"], one["value"]) in refused for one in missing):
                warnings = [
                    f"{one['type']} was not taken over: it belongs to another contact, or is one too many"
                    for one in missing
                ]
                return {"contact": (await shaped(reader, home, [row]))[0], "warnings": warnings}
        if time.monotonic() >= deadline:
            return {"contact": None, "warnings": []}
        await asyncio.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
        turn += 1


def _shown(one: dict[str, str], has: set[tuple[str, str]]) -> bool:
    return one["type"] == identity.CONTACT_ID or (one["type"], one["value"]) in has


async def _refused(reader: Reader, home: Home, ids: list[str]) -> set[tuple[str, str]]:
    rows = await reader.rows(_REFUSED, **home.parameters, ids=ids)
    return {(row["type"], row["value"]) for row in rows}


def _ids(home: Home, identifiers: list[dict[str, str]]) -> list[str]:
    if not identifiers:
        raise Refused("missing_field", "identifiers is needed", "identifiers")
    return [identity.contact_id(home.workspace, home.environment, i["type"], i["value"]) for i in identifiers]
