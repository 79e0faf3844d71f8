"""Campaigns of the control state in, GraphQL types out; figures are computed only if they are selected."""

from typing import Any

import strawberry
from strawberry.scalars import JSON

from schemas.api import serialize
from schemas.api.answers.campaigns import CampaignStatsShape
from schemas.control import control_state
from schemas.control.launch_jobs import LaunchJob
from schemas.times import iso
from sinks.read_api.campaigns.campaigns import variants_of
from sinks.read_api.graphql.connection import Connection, connect, paging
from sinks.read_api.graphql.types import RequestInfo
from sinks.read_api.request.paging import after_cursor


@strawberry.type
class CampaignStats:
    """Messages, each counted once per kind; as in `GET /v1/campaigns`."""

    requested: int
    sent: int
    delivered: int
    opened: int
    machine_opened: int
    clicked: int
    machine_clicked: int
    bounced: int
    complained: int
    unsubscribed: int
    failed: int
    conversions: int
    conversion_events: int
    conversion_value: float
    bounces: JSON = strawberry.field(description="By class.")
    rates: JSON


@strawberry.type
class Variant:
    id: strawberry.ID
    name: str | None
    stats: CampaignStats


@strawberry.type
class LaunchSkips:
    """Contacts of a launch that are sent no message, by the first reason that holds."""

    no_address: int
    no_consent: int
    capped: int
    gone: int


@strawberry.type
class Launch:
    """As in `GET /v1/campaigns/{id}/launches`."""

    id: strawberry.ID
    status: str
    audience: JSON
    override_consent: bool
    on_entry: bool
    total: int
    launched: int
    skipped: LaunchSkips
    created_at: str
    done_at: str | None
    reason: str | None


@strawberry.type
class Campaign:
    id: strawberry.ID
    number: int
    name: str
    kind: str
    channel: str
    defined_status: strawberry.Private[str]
    conversion: JSON | None
    delivery: JSON | None
    trigger_url: str | None
    created_at: str
    updated_at: str
    defined_sent_at: strawberry.Private[str | None]

    @strawberry.field(description="As it was said, unless its messages tell otherwise.")
    async def status(self, info: RequestInfo) -> str:
        if self.defined_status not in serialize.UNSENT:
            return self.defined_status
        first_ms = (await info.context.loaders.stats.load(str(self.id))).first_sent_ms
        return self.defined_status if first_ms is None else "sent"

    @strawberry.field(description="The definition's time of sending, else that of its first message.")
    async def sent_at(self, info: RequestInfo) -> str | None:
        if self.defined_sent_at is not None:
            return self.defined_sent_at
        first_ms = (await info.context.loaders.stats.load(str(self.id))).first_sent_ms
        return None if first_ms is None else iso(first_ms)

    @strawberry.field
    async def stats(self, info: RequestInfo) -> CampaignStats:
        return _stats_of((await info.context.loaders.stats.load(str(self.id))).stats)

    @strawberry.field(description="Different contacts per kind, merged ones being one.")
    async def contacts_reached(self, info: RequestInfo) -> JSON:
        return JSON(await info.context.loaders.reached.load(str(self.id)))

    @strawberry.field(description="Its launches, newest first.")
    async def launches(
        self, info: RequestInfo, first: int | None = None, after: str | None = None
    ) -> Connection[Launch]:
        page = paging(first, after)
        jobs = info.context.launches.of_campaign(*info.context.tenant.place, str(self.id))
        rows = after_cursor(jobs, page, lambda job: job.id)[: page.fetch_limit]
        connection: Connection[Launch] = connect(rows, lambda job: [job.id], page, _launch_of)
        return connection

    @strawberry.field(description="Those of the definition, and others named by messages.")
    async def variants(self, info: RequestInfo) -> list[Variant]:
        context = info.context
        campaign = context.control.campaigns[context.tenant.place][str(self.id)]
        parts = await context.loaders.variants.load(str(self.id))
        return [
            Variant(id=strawberry.ID(variant["id"]), name=variant["name"], stats=_stats_of(variant["stats"]))
            for variant in variants_of(campaign, parts)
        ]


def campaign_of(campaign: control_state.Campaign) -> Campaign:
    defined: dict[str, Any] = {**serialize.campaign(campaign)}
    names = ("number", "name", "kind", "channel", "conversion", "delivery", "trigger_url")
    fields: dict[str, Any] = {name: defined[name] for name in (*names, "created_at", "updated_at")}
    return Campaign(
        id=strawberry.ID(campaign.id), defined_sent_at=defined["sent_at"], defined_status=defined["status"], **fields
    )


def _launch_of(job: LaunchJob) -> Launch:
    fields: dict[str, Any] = {**serialize.launch(job)}
    skipped = LaunchSkips(**fields.pop("skipped"))
    return Launch(skipped=skipped, **{name: fields[name] for name in fields if name not in ("task_id", "campaign_id")})


def _stats_of(stats: CampaignStatsShape) -> CampaignStats:
    fields: dict[str, Any] = {name: value for name, value in stats.items() if name != "contacts"}
    return CampaignStats(**fields)
