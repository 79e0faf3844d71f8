"""The API's shapes in, GraphQL types out; a field that needs a look-up of its own goes through a loader."""

from dataclasses import dataclass
from typing import Any

import orjson
import strawberry
from strawberry.scalars import JSON
from strawberry.types import Info

from schemas.api.answers.contacts import ContactShape
from schemas.api.answers.events import ContactEventShape
from schemas.api.answers.segments import SegmentShape
from schemas.control.access import Principal
from schemas.control.control_state import ControlState
from schemas.control.launch_jobs import LaunchJobs
from schemas.errors import ApiError
from sinks.read_api.graphql.connection import Connection, connect, paging, place_of
from sinks.read_api.graphql.loaders import Loaders
from sinks.read_api.request import weight
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.edge_client import EdgeWrites
from sinks.read_api.request.paging import Placed
from sinks.read_api.request.tenant import Tenant


@dataclass(slots=True, kw_only=True)
class Context:
    """The context of a request: its principal, its tenant, and the sources of its answers."""

    principal: Principal
    tenant: Tenant
    reader: ClickHouseReader
    control: ControlState
    loaders: Loaders
    launches: LaunchJobs
    writes: EdgeWrites

    def require(self, scope: str) -> None:
        """Raises ``ApiError`` (403)."""
        if scope not in self.principal.scopes:
            raise ApiError("missing_scope", f"the key lacks the scope {scope}")


RequestInfo = Info[Context, None]


@strawberry.type
class Identifier:
    type: str
    value: str


@strawberry.type
class Segment:
    id: strawberry.ID
    name: str
    rule: JSON | None
    version: int
    status: str
    contacts: int = strawberry.field(description="How many are in it now.")
    fresh_as_of: str | None
    created_at: str
    updated_at: str


@strawberry.type
class Event:
    id: strawberry.ID
    contact_id: strawberry.ID | None
    type: str
    timestamp: str
    received_at: str
    properties: JSON
    context: JSON | None
    campaign_id: str | None
    message_id: str | None
    variant: str | None
    channel: str | None
    source: str | None
    identifiers: list[Identifier]

    @strawberry.field
    async def contact(self, info: RequestInfo) -> "Contact | None":
        row = await info.context.loaders.contact.load(str(self.contact_id)) if self.contact_id else None
        return None if row is None else contact_of(row)


@strawberry.type
class Contact:
    id: strawberry.ID
    email: str | None
    phone: str | None
    external_id: str | None
    anonymous_ids: list[str]
    attributes: JSON
    consents: JSON
    devices: JSON
    created_at: str
    updated_at: str
    segment_ids: list[strawberry.ID]

    @strawberry.field(description="The segments that it is in now.")
    async def segments(self, info: RequestInfo) -> list[Segment]:
        info.context.require("segments:read")
        shapes = await info.context.loaders.segment.load_many([str(segment_id) for segment_id in self.segment_ids])
        return [segment_of(row) for row in shapes if row is not None]

    @strawberry.field(description="Newest first.")
    async def events(self, info: RequestInfo, first: int | None = None, after: str | None = None) -> Connection[Event]:
        page = paging(first, after)
        rows = await info.context.loaders.events_of(str(self.id), page)
        connection: Connection[Event] = connect(rows, place_of, page, event_of)
        return connection


def plain(value: Any) -> Any:
    """JSON that was kept as it came, read: once more in memory, each time that a document asks for it."""
    raw, request = orjson.dumps(value), weight.current()
    if request is not None:
        request.again(len(raw))
    return orjson.loads(raw)


def contact_of(shape: ContactShape) -> Contact:
    """A contact as a read or a write answers it: a write may add warnings, which the graph has no field for."""
    fields = plain(shape)
    fields["segment_ids"] = fields.pop("segments")
    names = {field.name for field in Contact.__dataclass_fields__.values()}
    return Contact(**{name: value for name, value in fields.items() if name in names})


def segment_of(shape: SegmentShape) -> Segment:
    """A segment of ``definitions.with_counts``."""
    names = {field.name for field in Segment.__dataclass_fields__.values()}
    fields: dict[str, Any] = {name: value for name, value in shape.items() if name in names}
    return Segment(**fields)


def event_of(row: Placed[ContactEventShape]) -> Event:
    """An event of ``contacts.latest_events``."""
    fields = plain(row.shape)
    fields["id"] = fields.pop("event_id")
    fields["identifiers"] = [Identifier(**identifier) for identifier in fields["identifiers"]]
    return Event(**fields)
