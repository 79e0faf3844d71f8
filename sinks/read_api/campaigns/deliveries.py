"""A campaign and a query in; its messages with their contacts, states and times out.

Events without a `message_id` are grouped by contact, and `message_id` is null. Newest first, by the first event of
each message.
"""

from typing import Any, cast

from schemas.api.answers.campaigns import CampaignDeliveryShape
from schemas.api.answers.fields import Page
from schemas.control.control_state import Campaign
from schemas.errors import ApiError
from schemas.limits import MESSAGE_STATES
from schemas.times import iso
from sinks.read_api.campaigns.facts import KINDS, CampaignQuery
from sinks.read_api.contacts.contacts import LATEST
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, QueryParameters, listing, time_ms
from sinks.read_api.request.tenant import Tenant

_TIMES = ", ".join(f"minOrNullIf(ms, bit = {bit}) AS {kind}_ms" for kind, bit in KINDS.items())
# The last word of the recipient, else of the receiving server, else of the sender.
_STATE = """multiIf(
    complained_ms IS NOT NULL, 'complained', unsubscribed_ms IS NOT NULL, 'unsubscribed',
    clicked_ms IS NOT NULL, 'clicked', opened_ms IS NOT NULL, 'opened',
    ended_ms IS NOT NULL AND ended_ms >= ifNull(delivered_ms, 0),
        if(ifNull(bounced_ms, 0) > ifNull(failed_ms, 0) OR failed_ms IS NULL, 'bounced', 'failed'),
    delivered_ms IS NOT NULL, 'delivered', sent_ms IS NOT NULL, 'sent', 'requested')"""
_MESSAGES = """
SELECT toString(key) AS place, began_ms, id, owner, part, medium, {kinds}, class, {state} AS state,
    multiIf(bounced_ms IS NULL, failed_ms, failed_ms IS NULL, bounced_ms, greatest(bounced_ms, failed_ms)) AS ended_ms
FROM
(
    SELECT key, min(ms) AS began_ms, any(f.message_id) AS id,
        argMax(f.contact, (f.contact != '', ms, event_id)) AS owner, max(f.variant) AS part,
        max(f.channel) AS medium, {times},
        argMaxIf(if(bounce = '', 'unknown', bounce), (ms, bounce), bit = {bounced}) AS class
    FROM ({facts}) AS f
    GROUP BY key
)
WHERE ({{state:String}} = '' OR state = {{state:String}}) AND ({{variant:String}} = '' OR part = {{variant:String}})
    AND ({{contact:String}} = '' OR owner = {{contact:String}})
"""
_PAGE = """
SELECT *, count() OVER () AS total FROM ({messages})
WHERE (began_ms, place) < ({{before_ms:Int64}}, {{before:String}})
ORDER BY began_ms DESC, place DESC LIMIT {{limit:UInt32}} OFFSET {{offset:UInt64}}
"""
_COUNT = "SELECT count() AS total FROM ({messages})"


async def deliveries(
    reader: ClickHouseReader, tenant: Tenant, campaign: Campaign, query: QueryParameters, paging: Paging
) -> Page[CampaignDeliveryShape]:
    """Filters: ``state``, ``variant``, ``contact``; raises ``ApiError`` (422) for an unknown state."""
    state = query.get("state", "")
    if state and state not in MESSAGE_STATES:
        raise ApiError("invalid_field", f"state must be one of {', '.join(MESSAGE_STATES)}", "state")
    contact = tenant.contact_id(query["contact"]) if query.get("contact") else ""
    question = CampaignQuery(tenant=tenant, campaigns=[campaign], as_of_ms=time_ms(query, "as_of"))
    kinds = ", ".join(f"{kind}_ms" for kind in KINDS)
    messages = _MESSAGES.format(facts=question.facts, kinds=kinds, times=_TIMES, state=_STATE, bounced=KINDS["bounced"])
    parameters = {**question.parameters, "state": state, "variant": query.get("variant", ""), "contact": contact}
    before_ms, before = paging.cursor_of(int, str) or (LATEST, "")
    rows = await reader.rows(
        _PAGE.format(messages=messages),
        **parameters,
        before_ms=before_ms,
        before=before,
        limit=paging.fetch_limit,
        offset=paging.offset,
    )
    total = rows[0]["total"] if rows else 0
    if not rows and paging.offset:
        total = (await reader.rows(_COUNT.format(messages=messages), **parameters))[0]["total"]
    return listing(paging, [_shape(row) for row in rows], total, [(row["began_ms"], row["place"]) for row in rows])


def _shape(row: dict[str, Any]) -> CampaignDeliveryShape:
    times = {f"{kind}_at": None if row[f"{kind}_ms"] is None else iso(row[f"{kind}_ms"]) for kind in KINDS}
    shown = {
        "message_id": row["id"] or None,
        "contact_id": row["owner"] or None,
        "state": row["state"],
        "variant": row["part"] or None,
        "channel": row["medium"] or None,
        **times,
        "bounce_class": row["class"] if row["bounced_ms"] is not None else None,
    }
    # the kinds of messages name the fields of times, which a type cannot tell from a loop
    return cast("CampaignDeliveryShape", shown)
