"""The graph's entry points: an id or filters in, nodes and connections out; each asks for the scope of its endpoint."""

import strawberry

from schemas.control.lookup import require, require_campaign
from schemas.errors import ApiError
from sinks.read_api.campaigns import campaigns
from sinks.read_api.contacts import contact_list, contacts
from sinks.read_api.control import definitions, webhooks
from sinks.read_api.graphql.campaigns import Campaign, campaign_of
from sinks.read_api.graphql.connection import Connection, connect, numbered, paging, place_of
from sinks.read_api.graphql.types import (
    Contact,
    Event,
    RequestInfo,
    Segment,
    contact_of,
    event_of,
    segment_of,
)
from sinks.read_api.graphql.webhooks import Delivery, Webhook, attempts_of, webhook_of
from sinks.read_api.request.paging import after_cursor


@strawberry.type
class Query:
    @strawberry.field(description="By contact id or `type:value`; null if there is none.")
    async def contact(self, info: RequestInfo, id: strawberry.ID) -> Contact | None:  # noqa: A002 - the contract's name
        context = info.context
        context.require("contacts:read")
        try:
            contact_id = context.tenant.contact_id(str(id))
        except ApiError:
            return None
        contact = await context.loaders.contact.load(contact_id)
        return None if contact is None else contact_of(contact)

    @strawberry.field(description="In the order of their ids.")
    async def contacts(
        self,
        info: RequestInfo,
        first: int | None = None,
        after: str | None = None,
        email: str | None = None,
        segment_id: strawberry.ID | None = None,
    ) -> Connection[Contact]:
        context = info.context
        context.require("contacts:read")
        page = paging(first, after)
        query = {} if email is None else {"email": email}
        segment = None if segment_id is None else str(segment_id)
        rows = await contact_list.rows(context.reader, context.tenant, query, page, segment)
        shapes = await contacts.shaped(context.reader, context.tenant, rows)
        connection: Connection[Contact] = connect(shapes, lambda shape: [shape["id"]], page, contact_of)
        return connection

    @strawberry.field(description="Of one contact, newest first.")
    async def events(
        self, info: RequestInfo, contact_id: strawberry.ID, first: int | None = None, after: str | None = None
    ) -> Connection[Event]:
        context = info.context
        context.require("contacts:read")
        page = paging(first, after)
        contact = await context.loaders.contact.load(context.tenant.contact_id(str(contact_id)))
        rows = [] if contact is None else await context.loaders.events_of(contact["id"], page)
        connection: Connection[Event] = connect(rows, place_of, page, event_of)
        return connection

    @strawberry.field
    async def segment(self, info: RequestInfo, id: strawberry.ID) -> Segment | None:  # noqa: A002
        info.context.require("segments:read")
        shape = await info.context.loaders.segment.load(str(id))
        return None if shape is None else segment_of(shape)

    @strawberry.field(description="Oldest first.")
    async def segments(
        self, info: RequestInfo, first: int | None = None, after: str | None = None
    ) -> Connection[Segment]:
        context = info.context
        context.require("segments:read")
        page = paging(first, after)
        segments = definitions.segments_of(context.control, context.tenant)
        place = page.cursor_of(int, str)
        rest = [s for s in segments if place is None or (s.created_ms, s.id) > tuple(place)]
        shown = rest[: page.fetch_limit]
        created = {s.id: s.created_ms for s in shown}
        shapes = await definitions.with_counts(context.reader, context.control, context.tenant, shown)
        connection: Connection[Segment] = connect(shapes, lambda row: [created[row["id"]], row["id"]], page, segment_of)
        return connection

    @strawberry.field(description="By id or number; null if there is none.")
    async def campaign(self, info: RequestInfo, id: strawberry.ID) -> Campaign | None:  # noqa: A002
        context = info.context
        context.require("campaigns:read")
        try:
            return campaign_of(require_campaign(context.control.campaigns[context.tenant.place], str(id)))
        except ApiError:
            return None

    @strawberry.field(description="Newest first; by `page`, or behind a cursor.")
    async def campaigns(
        self,
        info: RequestInfo,
        limit: int | None = None,
        page: int | None = None,
        status: str | None = None,
        after: str | None = None,
    ) -> Connection[Campaign]:
        context = info.context
        context.require("campaigns:read")
        numbers = numbered(limit, page, after)
        query = {} if status is None else {"status": status}
        all_of = await campaigns.campaigns_of(context.reader, context.control, context.tenant, query)
        rest = after_cursor(all_of, numbers, lambda c: c.id)
        # one more than the page says whether there is another
        shown = rest[numbers.offset : numbers.offset + numbers.limit + 1]
        connection: Connection[Campaign] = connect(shown, lambda c: [c.id], numbers, campaign_of)
        return connection

    @strawberry.field(description="Oldest first.")
    async def webhooks(
        self, info: RequestInfo, first: int | None = None, after: str | None = None
    ) -> Connection[Webhook]:
        context = info.context
        context.require("webhooks:read")
        page = paging(first, after)
        rows = after_cursor(webhooks.webhooks_of(context.control, context.tenant), page, lambda row: row["id"])
        connection: Connection[Webhook] = connect(rows[: page.fetch_limit], lambda row: [row["id"]], page, webhook_of)
        return connection

    @strawberry.field(description="The log of a webhook's attempts, newest first.")
    async def deliveries(
        self, info: RequestInfo, webhook_id: strawberry.ID, first: int | None = None, after: str | None = None
    ) -> Connection[Delivery]:
        context = info.context
        context.require("webhooks:read")
        webhook = require(context.control.webhooks[context.tenant.place], str(webhook_id), "webhook")
        return await attempts_of(info, webhook.id, first, after)
