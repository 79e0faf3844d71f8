"""Authorised requests about campaigns in, the values that the read API answers out: a function for every path."""

from typing import Any

from starlette.requests import Request

from schemas.control.control_state import Campaign
from schemas.control.launch_jobs import shape
from schemas.control.lookup import require_campaign
from schemas.errors import ApiError
from schemas.service.clock import now_ms
from sinks.read_api.campaigns import campaigns, deliveries, launches, series
from sinks.read_api.contacts import audience
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import list_page
from sinks.read_api.request.tenant import Tenant
from sinks.read_api.services import ReadServices


async def list_campaigns(api: ReadServices, asked: ReadRequest) -> Any:
    campaign_list = await campaigns.campaigns_of(api.reader, api.control, asked.tenant, asked.query)
    return await campaigns.page(api.reader, asked.tenant, campaign_list, asked.paging, asked.query)


async def get_campaign(api: ReadServices, asked: ReadRequest) -> Any:
    return await campaigns.one(api.reader, asked.tenant, _campaign(api, asked), asked.query)


async def list_campaign_deliveries(api: ReadServices, asked: ReadRequest) -> Any:
    campaign = _campaign(api, asked)
    return await deliveries.deliveries(api.reader, asked.tenant, campaign, asked.query, asked.paging)


async def get_campaign_series(api: ReadServices, asked: ReadRequest) -> Any:
    return await series.series(api.reader, asked.tenant, _campaign(api, asked), asked.query)


async def list_launches(api: ReadServices, asked: ReadRequest) -> Any:
    jobs = api.launches.of_campaign(*asked.tenant.place, _campaign(api, asked).id)
    return list_page(asked.paging, [shape(job) for job in jobs])


async def get_launch(api: ReadServices, asked: ReadRequest) -> Any:
    campaign = _campaign(api, asked)
    job = api.launches.get(*asked.tenant.place, asked.part("launch_id"))
    if job is None or job.campaign != campaign.id:
        raise ApiError("not_found", "no such launch")
    return shape(job)


async def plan_launch(api: ReadServices, asked: ReadRequest) -> Any:
    body = await asked.request.json()
    campaign = _campaign(api, asked)
    return await launches.plan(api.reader, api.control, asked.tenant, campaign, body=body, now_ms=now_ms())


async def find_triggered(api: ReadServices, request: Request) -> Any:
    """The contacts that a trigger's link names; the link itself is the key."""
    campaign = api.control.triggers.get(request.path_params["trigger"])
    if campaign is None:
        raise ApiError("not_found", "no such trigger")
    tenant = Tenant(campaign.workspace, campaign.environment)
    return await audience.by_hash(api.reader, tenant, request.query_params.get("who", ""))


async def query_audience(api: ReadServices, asked: ReadRequest) -> Any:
    return await audience.audience(api.reader, asked.tenant, await asked.request.json())


def _campaign(api: ReadServices, asked: ReadRequest) -> Campaign:
    return require_campaign(api.control.campaigns[asked.tenant.place], asked.part("id"))
