"""Authorised requests in, what the read API answers to them out: a method for every path, and no more than a call."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request

from schemas.control import serialize
from schemas.control.control_state import Campaign, ControlState, Segment, Webhook
from schemas.control.lookup import require, require_campaign
from schemas.errors import ApiError
from schemas.service.kafka import Tail
from sinks.read_api.campaigns import campaigns, deliveries, series
from sinks.read_api.contacts import (
    audience,
    consents,
    contact_list,
    contacts,
    erasures,
    event,
    explain,
    identities,
    link_refusal,
)
from sinks.read_api.contacts.read_your_writes import WrittenContacts
from sinks.read_api.control import definitions, preview, quarantine, tasks, usage, webhooks
from sinks.read_api.control.consistency import ConsistencyCheck
from sinks.read_api.graphql import execution
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.context import ReadRequest, now_ms
from sinks.read_api.request.paging import list_page
from sinks.read_api.request.tenant import Tenant

Answer = Callable[[ReadRequest], Awaitable[Any]]


class Reads:
    """Each method answers one path."""

    def __init__(self, control: ControlState, tail: Tail, reader: ClickHouseReader, parity: ConsistencyCheck) -> None:
        self._control = control
        self._tail = tail
        self._reader = reader
        self._parity = parity
        self._written = WrittenContacts(reader)

    async def contact(self, asked: ReadRequest) -> Any:
        return await contacts.get(self._reader, asked.tenant, asked.part("id"))

    async def contact_events(self, asked: ReadRequest) -> Any:
        return await contacts.events(self._reader, asked.tenant, asked.part("id"), asked.paging)

    async def event(self, asked: ReadRequest) -> Any:
        return await event.event(self._reader, asked.tenant, asked.part("id"))

    async def contact_known(self, asked: ReadRequest) -> Any:
        return await erasures.known(self._reader, asked.tenant, asked.part("id"))

    async def erasure(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return erasures.shown(self._control, asked.tenant, asked.part("id"), self._reader.partitions, now_ms())

    async def contact_identity(self, asked: ReadRequest) -> Any:
        return await identities.identity(self._reader, asked.tenant, asked.part("id"))

    async def contact_ties(self, asked: ReadRequest) -> Any:
        return await identities.ties(self._reader, asked.tenant, asked.part("id"))

    async def contact_consents(self, asked: ReadRequest) -> Any:
        return await consents.consents(self._reader, asked.tenant, asked.part("id"), asked.paging)

    async def contacts_found(self, asked: ReadRequest) -> Any:
        return await self._written.found(asked.tenant, await asked.request.json())

    async def contact_written(self, asked: ReadRequest) -> Any:
        return await self._written.written(asked.tenant, await asked.request.json())

    async def event_linked(self, asked: ReadRequest) -> Any:
        """Whether an event's identifiers show as one contact, or why not: nothing else, as a public key may ask."""
        said = await self._written.written(asked.tenant, await asked.request.json())
        return {"linked": said["contact"] is not None, "warnings": said["warnings"]}

    async def contact_segments(self, asked: ReadRequest) -> Any:
        rows = await contacts.segments(self._reader, asked.tenant, asked.part("id"))
        known = self._control.segments[asked.tenant.place]
        named = [{**row, "name": known[row["id"]].name} for row in rows]
        return list_page(asked.paging, named)

    async def contacts(self, asked: ReadRequest) -> Any:
        segment = asked.query.get("segment_id")
        return await contact_list.contacts(self._reader, asked.tenant, asked.query, asked.paging, segment)

    async def segments(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        paging = asked.paging
        found = definitions.segments_of(self._control, asked.tenant)
        shapes = await definitions.with_counts(self._reader, self._control, asked.tenant, found)
        return list_page(paging, shapes)

    async def segment(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        found = require(self._segments(asked), asked.part("id"), "segment")
        return (await definitions.with_counts(self._reader, self._control, asked.tenant, [found]))[0]

    async def segment_contacts(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        segment = require(self._segments(asked), asked.part("id"), "segment")
        return await contact_list.contacts(self._reader, asked.tenant, {}, asked.paging, segment.id)

    async def campaigns(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        found = campaigns.campaigns_of(self._control, asked.tenant, asked.query)
        return await campaigns.page(self._reader, asked.tenant, found, asked.paging, asked.query)

    async def campaign(self, asked: ReadRequest) -> Any:
        return await campaigns.one(self._reader, asked.tenant, await self._campaign(asked), asked.query)

    async def campaign_deliveries(self, asked: ReadRequest) -> Any:
        campaign = await self._campaign(asked)
        return await deliveries.deliveries(self._reader, asked.tenant, campaign, asked.query, asked.paging)

    async def campaign_series(self, asked: ReadRequest) -> Any:
        return await series.series(self._reader, asked.tenant, await self._campaign(asked), asked.query)

    async def triggered(self, request: Request) -> Any:
        """The contacts that a trigger's link names; the link itself is the key."""
        await self._tail.catch_up()
        campaign = self._control.triggers.get(request.path_params["trigger"])
        if campaign is None:
            raise ApiError("not_found", "no such trigger")
        tenant = Tenant(campaign.workspace, campaign.environment)
        return await audience.by_hash(self._reader, tenant, request.query_params.get("who", ""))

    async def refused(self, asked: ReadRequest) -> Any:
        a, b = asked.query.get("a", ""), asked.query.get("b", "")
        return {"refused": await link_refusal.is_refused(self._reader, asked.tenant, a, b)}

    async def audience(self, asked: ReadRequest) -> Any:
        return await audience.audience(self._reader, asked.tenant, await asked.request.json())

    async def _campaign(self, asked: ReadRequest) -> Campaign:
        await self._tail.catch_up()
        return require_campaign(self._control.campaigns[asked.tenant.place], asked.part("id"))

    async def segment_explained(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        segment = require(self._segments(asked), asked.part("id"), "segment")
        tree = preview.tree_of(self._segments(asked), segment.id, segment.rule)
        who = asked.query.get("contact", "")
        return await explain.explain(self._reader, asked.tenant, (segment, tree), who, now_ms())

    async def segment_preview(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        body = await execution.json_body(asked.request)
        return await preview.preview(self._reader, asked.tenant, self._segments(asked), body, now_ms())

    async def segment_warnings(self, asked: ReadRequest) -> Any:
        return await preview.warnings_of(self._reader, asked.tenant, await asked.request.json())

    async def parity(self, asked: ReadRequest) -> Any:
        return self._parity.of(asked.tenant.workspace, asked.tenant.environment).shape()

    def _segments(self, asked: ReadRequest) -> dict[str, Segment]:
        return self._control.segments[asked.tenant.place]

    async def keys(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return list_page(asked.paging, definitions.keys_of(self._control, asked.principal.workspace))

    async def receivers(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return list_page(asked.paging, definitions.receivers_of(self._control, asked.tenant))

    async def key(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return definitions.key_named(self._control, asked.principal.workspace, asked.part("id"))

    async def workspaces(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return list_page(asked.paging, definitions.workspaces_of(self._control))

    async def workspace(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return definitions.workspace_named(self._control, asked.principal.workspace, asked.part("id"))

    async def usage(self, asked: ReadRequest) -> Any:
        return await usage.usage(self._reader, asked.principal.workspace, asked.query, now_ms())

    async def environments(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return list_page(asked.paging, definitions.environments_of(self._control, asked.principal.workspace))

    async def webhooks(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return list_page(asked.paging, webhooks.webhooks_of(self._control, asked.tenant))

    async def webhook(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        return serialize.webhook(self._webhook(asked))

    def _webhook(self, asked: ReadRequest) -> Webhook:
        return require(self._control.webhooks[asked.tenant.place], asked.part("id"), "webhook")

    async def deliveries(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        webhook = self._webhook(asked)
        return await webhooks.attempts(self._reader, asked.tenant, webhook, asked.paging)

    async def delivery(self, asked: ReadRequest) -> Any:
        await self._tail.catch_up()
        webhook = self._webhook(asked)
        return await webhooks.attempt(self._reader, asked.tenant, webhook, asked.part("delivery_id"))

    async def task(self, asked: ReadRequest) -> Any:
        is_secret = asked.principal.kind == "secret"
        return await tasks.task(self._reader, asked.tenant, asked.part("id"), now_ms(), any_environment=is_secret)

    async def quarantine(self, asked: ReadRequest) -> Any:
        unowned = "instance" in asked.principal.scopes
        return await quarantine.quarantined(self._reader, asked.principal.workspace, asked.paging, unowned=unowned)
