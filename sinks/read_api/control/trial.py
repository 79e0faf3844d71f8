"""A type and conditions in; the events that a test environment accepted since its last reset, newest first, out.

Conditions are those of a rule's ``where``, so a test asks as a segment does. They are looked for in the newest
``LOOKED_AT`` events.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from schemas.api.answers.access import TestGoodShape
from schemas.control.control_state import ControlState
from schemas.control.lookup import require_test_environment
from schemas.errors import ApiError
from schemas.rules.compare import Predicate, dig, predicate
from schemas.rules.nodes import Happened
from schemas.rules.parse import parse
from schemas.times import iso
from sinks.read_api.contacts.contacts import winners_of
from sinks.read_api.contacts.event import shape
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import QueryParameters, paging_of
from sinks.read_api.request.tenant import Tenant

LOOKED_AT = 1000
_FROM = """
FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String}
    AND toUnixTimestamp64Milli(received_at) >= {since:Int64} AND ({only:String} = '' OR type = {only:String})
"""
_NEWEST = (
    """
SELECT
    event_id, own_contact_id, type, toUnixTimestamp64Milli(timestamp) AS timestamp_ms,
    toUnixTimestamp64Milli(received_at) AS received_ms,
    properties, context, campaign_id, message_id, variant, channel, source, identifiers
"""
    + _FROM
    + """
ORDER BY received_at DESC, event_id DESC LIMIT 1 BY event_id, type, own_contact_id LIMIT {most:UInt32}
"""
)
_COUNT = "SELECT uniqExact(event_id, type, own_contact_id) AS total" + _FROM


async def good(
    reader: ClickHouseReader, control: ControlState, tenant: Tenant, query: QueryParameters
) -> TestGoodShape:
    """Raises ``ApiError``: 409 in an environment of another kind, 422 for malformed conditions."""
    here = require_test_environment(control, tenant.workspace, tenant.environment)
    limit, where = paging_of({k: v for k, v in query.items() if k == "limit"}).limit, query.get("where")
    tests = () if where is None else _tests(where)
    parameters = {**tenant.parameters, "since": here.reset_ms, "only": query.get("type", "")}
    most = limit if where is None else LOOKED_AT
    rows = await reader.rows(_NEWEST, **parameters, most=most)
    if where is None:
        total = (await reader.rows(_COUNT, **parameters))[0]["total"]
    else:
        rows = [row for row in rows if _meets(orjson.loads(row["properties"]), tests)]
        total = len(rows)
    rows = rows[:limit]
    owners = sorted({row["own_contact_id"] for row in rows if row["own_contact_id"]})
    winners = await winners_of(reader, tenant, owners) if owners else {}
    shown = [shape({**row, "contact_id": winners.get(row["own_contact_id"], row["own_contact_id"])}) for row in rows]
    return {"data": shown, "total": total, "since": iso(here.reset_ms)}


def _meets(properties: Any, tests: Sequence[tuple[tuple[str, ...], Predicate]]) -> bool:
    return all(test(dig(properties, path)) for path, test in tests)


def _tests(text: str) -> list[tuple[tuple[str, ...], Predicate]]:
    """Of each condition; raises ``ApiError`` (422)."""
    try:
        where = orjson.loads(text)
    except orjson.JSONDecodeError:
        message = 'where must be JSON such as [{"property": "total", "op": "gte", "value": 100}]'
        raise ApiError("invalid_field", message, "where") from None
    try:
        parsed = parse({"event": "any", "where": where}, "query")
    except ApiError as refused:
        raise ApiError(refused.code, refused.message, (refused.param or "").removeprefix("query.") or "where") from None
    assert isinstance(parsed, Happened)  # noqa: S101 - a rule that names an event is no other
    return [(condition.path, predicate(condition.test)) for condition in parsed.where]
