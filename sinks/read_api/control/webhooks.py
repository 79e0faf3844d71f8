"""A tenant in; its webhooks without secrets, and the log of their attempts, newest first, out."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import orjson

from schemas.api import serialize
from schemas.api.answers.fields import Page
from schemas.api.answers.webhooks import DeliveryAttemptShape, DeliveryDetailShape, SentRequest, WebhookShape
from schemas.control.control_state import ControlState, Webhook
from schemas.errors import ApiError
from schemas.limits import MAX_TYPE
from schemas.records import deliveries
from schemas.times import iso
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, Placed, QueryParameters, listing, time_ms
from sinks.read_api.request.tenant import Tenant

LATEST = 9_000_000_000_000_000
STATES = (deliveries.SUCCEEDED, deliveries.PENDING, deliveries.FAILED)

_ATTEMPTS = """
SELECT webhook_id, attempt_id, delivery_id, contact_id, event_id, type, attempt, status, response_code, error,
    duration_ms, toUnixTimestamp64Milli(at) AS at_ms, toUnixTimestamp64Milli(next_attempt_at) AS next_ms
FROM delivery_attempts
WHERE workspace = {workspace:String} AND environment = {environment:String} AND webhook_id IN {webhooks:Array(String)}
    AND (toUnixTimestamp64Milli(at), attempt_id) < ({before_ms:Int64}, {before_id:String})
    AND ({status:String} = '' OR status = {status:String}) AND ({type:String} = '' OR type = {type:String})
    AND toUnixTimestamp64Milli(at) >= {since:Int64} AND toUnixTimestamp64Milli(at) < {until:Int64}
ORDER BY at DESC, attempt_id DESC
LIMIT 1 BY attempt_id
"""
_PAGE = f"{_ATTEMPTS} LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}"
_PAGES = f"""
SELECT * FROM ({_ATTEMPTS})
ORDER BY at_ms DESC, attempt_id DESC
LIMIT {{limit:UInt32}} BY webhook_id
"""  # noqa: S608 - constants
_COUNT = """
SELECT uniqExact(attempt_id) AS total FROM delivery_attempts
WHERE workspace = {workspace:String} AND environment = {environment:String} AND webhook_id = {webhook:String}
    AND ({status:String} = '' OR status = {status:String}) AND ({type:String} = '' OR type = {type:String})
    AND toUnixTimestamp64Milli(at) >= {since:Int64} AND toUnixTimestamp64Milli(at) < {until:Int64}
"""
_ONE = """
SELECT attempt_id, delivery_id, contact_id, event_id, type, attempt, status, response_code, error, duration_ms,
    toUnixTimestamp64Milli(at) AS at_ms, toUnixTimestamp64Milli(next_attempt_at) AS next_ms,
    url, request_headers, toValidUTF8(request_body) AS request_body, toValidUTF8(response_body) AS response_body
FROM delivery_attempts
WHERE workspace = {workspace:String} AND environment = {environment:String} AND webhook_id = {webhook:String}
    AND delivery_id = {delivery:String} AND (attempt_id = {attempt:String} OR {delivery:String} = {attempt:String})
ORDER BY at DESC, attempt_id DESC
LIMIT 1
"""

_UNSENT = """
SELECT delivery_id, argMax(contact_id, (at, attempt)) AS of, argMax(status, (at, attempt)) AS last,
    toUnixTimestamp64Milli(max(at)) AS at_ms
FROM delivery_attempts
WHERE workspace = {workspace:String} AND environment = {environment:String} AND webhook_id = {webhook:String}
    AND ({type:String} = '' OR type = {type:String})
GROUP BY delivery_id
HAVING last = {status:String} AND at_ms BETWEEN {since_ms:Int64} AND {until_ms:Int64}
ORDER BY at_ms, delivery_id
LIMIT {limit:UInt32}
"""


class UnsentDelivery(TypedDict):
    delivery_id: str
    contact_id: str


class UnsentDeliveries(TypedDict):
    data: list[UnsentDelivery]


def webhooks_of(control: ControlState, tenant: Tenant) -> list[WebhookShape]:
    """Oldest first."""
    definitions = control.webhooks[tenant.place].values()
    return [serialize.webhook(webhook) for webhook in sorted(definitions, key=lambda w: (w.created_ms, w.id))]


async def attempts(
    reader: ClickHouseReader, tenant: Tenant, webhook: Webhook, query: QueryParameters, paging: Paging
) -> Page[DeliveryAttemptShape]:
    """A page of the log; raises ``ApiError`` (422) for an invalid filter."""
    chosen = _chosen(query)
    before_ms, before_id = paging.cursor_of(int, str) or (LATEST, "")
    place = {"before_ms": before_ms, "before_id": before_id, "limit": paging.fetch_limit, "offset": paging.offset}
    rows = await reader.rows(_PAGE, **tenant.parameters, webhooks=[webhook.id], **chosen, **place)
    total = 0
    if paging.after is None:
        total = (await reader.rows(_COUNT, **tenant.parameters, webhook=webhook.id, **chosen))[0]["total"]
    return listing(paging, [_attempt(row) for row in rows], total, [(row["at_ms"], row["attempt_id"]) for row in rows])


def _chosen(query: QueryParameters) -> dict[str, Any]:
    """``from`` and ``to`` are about the time of the attempt, closed and open."""
    status, kind = query.get("status", ""), query.get("type", "")
    if status and status not in STATES:
        raise ApiError("invalid_field", f"status must be one of {', '.join(STATES)}", "status")
    if len(kind) > MAX_TYPE:
        raise ApiError("invalid_field", f"a type is 1 to {MAX_TYPE} characters", "type")
    since, until = time_ms(query, "from"), time_ms(query, "to")
    return {
        "status": status,
        "type": kind,
        "since": 0 if since is None else since,
        "until": LATEST if until is None else until,
    }


async def latest_attempts(
    reader: ClickHouseReader,
    tenant: Tenant,
    webhook_ids: Sequence[str],
    *,
    limit: int,
    before: tuple[Any, ...] | None,
    since_ms: int = 0,
) -> dict[str, list[Placed[DeliveryAttemptShape]]]:
    """Of each of these webhooks the newest attempts behind a place: one query for all of them."""
    before_ms, before_id = before or (LATEST, "")
    chosen = {**_chosen({}), "since": since_ms}
    parameters = {**tenant.parameters, **chosen, "webhooks": list(webhook_ids), "limit": limit}
    attempts: dict[str, list[Placed[DeliveryAttemptShape]]] = {webhook_id: [] for webhook_id in webhook_ids}
    for row in await reader.rows(_PAGES, **parameters, before_ms=before_ms, before_id=before_id):
        attempts[row["webhook_id"]].append(Placed(row["at_ms"], row["attempt_id"], _attempt(row)))
    return attempts


async def unsent(
    reader: ClickHouseReader, tenant: Tenant, webhook: Webhook, chosen: Mapping[str, Any]
) -> UnsentDeliveries:
    """Deliveries whose last attempt ended so, the oldest first, each with its contact."""
    rows = await reader.rows(_UNSENT, **tenant.parameters, webhook=webhook.id, **chosen)
    return {"data": [{"delivery_id": row["delivery_id"], "contact_id": row["of"]} for row in rows]}


async def attempt(reader: ClickHouseReader, tenant: Tenant, webhook: Webhook, some_id: str) -> DeliveryDetailShape:
    """An attempt, or the last attempt of a delivery, with request and answer; raises ``ApiError`` (404)."""
    delivery = deliveries.delivery_of(some_id)
    rows = []
    if delivery is not None:
        parameters = {**tenant.parameters, "webhook": webhook.id, "delivery": delivery, "attempt": some_id}
        rows = await reader.rows(_ONE, **parameters)
    if not rows:
        raise ApiError("not_found", "no such delivery")
    row = rows[0]
    request: SentRequest = {
        "url": row["url"],
        "headers": orjson.loads(row["request_headers"]),
        "body": row["request_body"],
    }
    return {**_attempt(row), "request": request, "response": {"body": row["response_body"]}}


def _attempt(row: dict[str, Any]) -> DeliveryAttemptShape:
    return {
        "id": row["attempt_id"],
        "delivery_id": row["delivery_id"],
        "event_id": row["event_id"],
        "contact_id": row["contact_id"] or None,
        "type": row["type"],
        "attempt": row["attempt"],
        "status": row["status"],
        "response_code": row["response_code"] or None,
        "error": row["error"] or None,
        "duration_ms": row["duration_ms"],
        "at": iso(row["at_ms"]),
        "next_attempt_at": iso(row["next_ms"]) if row["next_ms"] else None,
    }
