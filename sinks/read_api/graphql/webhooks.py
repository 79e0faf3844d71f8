"""Webhooks of the control state and their log in, GraphQL types out; no secret is among them."""

from typing import Any

import strawberry

from schemas.api.answers.webhooks import DeliveryAttemptShape, WebhookShape
from sinks.read_api.graphql.connection import Connection, connect, paging, place_of
from sinks.read_api.graphql.types import Contact, RequestInfo, contact_of
from sinks.read_api.request.paging import Placed


@strawberry.type
class Delivery:
    """One attempt, as in `GET /v1/webhooks/{id}/deliveries`."""

    id: strawberry.ID
    delivery_id: strawberry.ID
    event_id: strawberry.ID
    contact_id: strawberry.ID | None
    type: str
    attempt: int
    status: str
    response_code: int | None
    error: str | None
    duration_ms: int
    at: str
    next_attempt_at: str | None

    @strawberry.field
    async def contact(self, info: RequestInfo) -> Contact | None:
        info.context.require("contacts:read")
        row = await info.context.loaders.contact.load(str(self.contact_id)) if self.contact_id else None
        return None if row is None else contact_of(row)


@strawberry.type
class Webhook:
    id: strawberry.ID
    url: str
    types: list[str]
    status: str
    reason: str | None
    created_at: str
    updated_at: str

    @strawberry.field(description="The log of its attempts, newest first.")
    async def deliveries(
        self, info: RequestInfo, first: int | None = None, after: str | None = None
    ) -> Connection[Delivery]:
        return await attempts_of(info, str(self.id), first, after)


async def attempts_of(info: RequestInfo, webhook_id: str, first: int | None, after: str | None) -> Connection[Delivery]:
    """A page of a webhook's log; one query reads the pages of several webhooks."""
    page = paging(first, after)
    rows = await info.context.loaders.attempts_of(webhook_id, page)
    connection: Connection[Delivery] = connect(rows, place_of, page, _delivery_of)
    return connection


def _delivery_of(row: Placed[DeliveryAttemptShape]) -> Delivery:
    fields: dict[str, Any] = {**row.shape}
    return Delivery(**fields)


def webhook_of(shape: WebhookShape) -> Webhook:
    """A webhook of ``webhooks.shape``."""
    names = {field.name for field in Webhook.__dataclass_fields__.values()}
    fields: dict[str, Any] = {name: value for name, value in shape.items() if name in names}
    return Webhook(**fields)
