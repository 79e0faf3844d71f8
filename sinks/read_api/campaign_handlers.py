"""Authorised requests about campaigns in, the values that the read API answers out: a function for every path."""

from starlette.requests import Request

from schemas.api import serialize
from schemas.api.answers.campaigns import CampaignDeliveryShape, CampaignSeriesShape, CampaignShape, LaunchShape
from schemas.api.answers.fields import Page
from schemas.control.control_state import Campaign
from schemas.control.lookup import require_campaign
from schemas.errors import ApiError
from schemas.service.clock import now_ms
from sinks.read_api.campaigns import campaigns, deliveries, launches, series
from sinks.read_api.campaigns.launches import LaunchReach
from sinks.read_api.contacts import audience
from sinks.read_api.contacts.audience import AudienceContacts, AudienceSize
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import list_page
from sinks.read_api.request.tenant import Tenant
from sinks.read_api.services import ReadServices


async def list_campaigns(api: ReadServices, request: ReadRequest) -> Page[CampaignShape]:
    campaign_list = await campaigns.campaigns_of(api.reader, api.control, request.tenant, request.query)
    return await campaigns.page(api.reader, request.tenant, campaign_list, request.paging, request.query)


async def get_campaign(api: ReadServices, request: ReadRequest) -> CampaignShape:
    return await campaigns.details(api.reader, request.tenant, _campaign(api, request), request.query)


async def list_campaign_deliveries(api: ReadServices, request: ReadRequest) -> Page[CampaignDeliveryShape]:
    campaign = _campaign(api, request)
    return await deliveries.deliveries(api.reader, request.tenant, campaign, request.query, request.paging)


async def get_campaign_series(api: ReadServices, request: ReadRequest) -> CampaignSeriesShape:
    return await series.series(api.reader, request.tenant, _campaign(api, request), request.query)


async def list_launches(api: ReadServices, request: ReadRequest) -> Page[LaunchShape]:
    jobs = api.launches.of_campaign(*request.tenant.place, _campaign(api, request).id)
    return list_page(request.paging, [serialize.launch(job) for job in jobs])


async def get_launch(api: ReadServices, request: ReadRequest) -> LaunchShape:
    campaign = _campaign(api, request)
    job = api.launches.get(*request.tenant.place, request.part("launch_id"))
    if job is None or job.campaign != campaign.id:
        raise ApiError("not_found", "no such launch")
    return serialize.launch(job)


async def plan_launch(api: ReadServices, request: ReadRequest) -> LaunchReach:
    body = await request.json()
    campaign = _campaign(api, request)
    return await launches.plan(api.reader, api.control, request.tenant, campaign, body=body, now_ms=now_ms())


async def find_triggered(api: ReadServices, http: Request) -> AudienceContacts:
    """The contacts that a trigger's link names; the link itself is the key."""
    campaign = api.control.triggers.get(http.path_params["trigger"])
    if campaign is None:
        raise ApiError("not_found", "no such trigger")
    tenant = Tenant(campaign.workspace, campaign.environment)
    return await audience.by_hash(api.reader, tenant, http.query_params.get("who", ""))


async def query_audience(api: ReadServices, request: ReadRequest) -> AudienceContacts | AudienceSize:
    return await audience.audience(api.reader, request.tenant, await request.json())


def _campaign(api: ReadServices, request: ReadRequest) -> Campaign:
    return require_campaign(api.control.campaigns[request.tenant.place], request.part("id"))
