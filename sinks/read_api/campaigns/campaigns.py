"""The control state and a query in; campaigns as the API shows them, with their figures, out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas.api import serialize
from schemas.api.answers.campaigns import CampaignShape, VariantShape
from schemas.api.answers.fields import Page
from schemas.control.control_state import Campaign, ControlState
from schemas.errors import ApiError
from schemas.limits import CAMPAIGN_FILTERS
from sinks.read_api.campaigns.facts import CampaignQuery
from sinks.read_api.campaigns.stats import CampaignFigures, details_of, figures, stats_of
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.paging import Paging, QueryParameters, after_cursor, listing, time_ms
from sinks.read_api.request.tenant import Tenant

SORTS: dict[str, Callable[[Campaign], Any]] = {
    "created_at": lambda c: c.created_ms,
    "updated_at": lambda c: c.updated_ms,
    "sent_at": lambda c: c.sent_ms or 0,
    "name": lambda c: c.name.casefold(),
}
DEFAULT_SORT = "-created_at"


_SENT = """
SELECT campaign_id, toUnixTimestamp64Milli(min(timestamp)) AS first_ms FROM events
WHERE workspace = {workspace:String} AND environment = {environment:String}
    AND campaign_id IN {ids:Array(String)} AND type = 'message.sent'
GROUP BY campaign_id
"""


async def campaigns_of(
    reader: ClickHouseReader, control: ControlState, tenant: Tenant, query: QueryParameters
) -> list[Campaign]:
    """Campaigns that meet all filters, in the order of ``sort``, by default newest first; raises ``ApiError`` (422)."""
    matching = list(control.campaigns[tenant.place].values())
    for name in CAMPAIGN_FILTERS:
        if name in query and name != "status":
            matching = [c for c in matching if getattr(c, name) == query[name]]
    if "status" in query:
        matching = await _of_status(reader, tenant, matching, query["status"])
    if "name" in query:
        part = query["name"].casefold()
        matching = [c for c in matching if part in c.name.casefold()]
    sort = query.get("sort", DEFAULT_SORT)
    key = SORTS.get(sort.removeprefix("-"))
    if key is None:
        raise ApiError("invalid_field", f"sort must be one of {', '.join(SORTS)}, with - for the reverse", "sort")
    matching.sort(key=lambda c: c.id)
    return sorted(matching, key=key, reverse=sort.startswith("-"))


async def _of_status(
    reader: ClickHouseReader, tenant: Tenant, campaigns: Sequence[Campaign], status: str
) -> list[Campaign]:
    """Filter by the shown status: messages overrule a definition that has no time of sending."""
    unsent = [c.id for c in campaigns if c.status in serialize.UNSENT]
    rows = await reader.rows(_SENT, **tenant.parameters, ids=unsent) if unsent else []
    first = {row["campaign_id"]: row["first_ms"] for row in rows}
    return [c for c in campaigns if serialize.status_of(c, first.get(c.id)) == status]


async def page(
    reader: ClickHouseReader, tenant: Tenant, matching: Sequence[Campaign], paging: Paging, query: QueryParameters
) -> Page[CampaignShape]:
    """A page of these campaigns with their figures; the cursor is the id of the last one."""
    rest = after_cursor(matching, paging, lambda c: c.id)
    shown = rest[paging.offset : paging.offset + paging.fetch_limit]
    question = CampaignQuery(tenant=tenant, campaigns=shown, as_of_ms=time_ms(query, "as_of"))
    stats = await stats_of(reader, question) if shown else {}
    rows = [_with_figures(c, stats[c.id]) for c in shown]
    return listing(paging, rows, len(matching), [[c.id] for c in shown])


async def details(
    reader: ClickHouseReader, tenant: Tenant, campaign: Campaign, query: QueryParameters
) -> CampaignShape:
    """A campaign with its figures, also by contact and by variant."""
    question = CampaignQuery(tenant=tenant, campaigns=[campaign], as_of_ms=time_ms(query, "as_of"))
    whole, parts = (await details_of(reader, question, contacts=True))[campaign.id]
    return {**_with_figures(campaign, whole), "variants": variants_of(campaign, parts)}


def variants_of(campaign: Campaign, parts: Mapping[str, CampaignFigures]) -> list[VariantShape]:
    """The defined variants, then those that only messages name, each with its figures."""
    names = {variant.id: variant.name for variant in campaign.variants}
    seen = [name for name in parts if name and name not in names]
    return [
        {"id": name, "name": names.get(name), "stats": (parts.get(name) or figures([], [])).stats}
        for name in (*names, *seen)
    ]


def _with_figures(campaign: Campaign, total: CampaignFigures) -> CampaignShape:
    return {**serialize.campaign(campaign, total.first_sent_ms), "stats": total.stats}
