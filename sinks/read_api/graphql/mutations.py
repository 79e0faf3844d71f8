"""Three writes as mutations: each calls the edge's own endpoint with the same key."""

from typing import Any
from urllib.parse import quote

import strawberry
from strawberry.scalars import JSON

from schemas.errors import ApiError
from sinks.read_api.graphql.types import Contact, RequestInfo, Segment, contact_of, segment_of


@strawberry.input
class ContactInput:
    id: strawberry.ID | None = None
    external_id: str | None = None
    email: str | None = None
    phone: str | None = None
    anonymous_id: str | None = None
    attributes: JSON | None = None
    consents: JSON | None = None
    timestamp: str | None = None


@strawberry.type
class EventError:
    code: str
    message: str
    param: str | None


@strawberry.type
class EventResult:
    index: int
    event_id: strawberry.ID | None
    contact_id: strawberry.ID | None
    error: EventError | None


@strawberry.type
class Ingested:
    accepted: int
    rejected: int
    results: list[EventResult]


@strawberry.type
class Mutation:
    @strawberry.mutation(description="POST /v1/contacts")
    async def upsert_contact(self, info: RequestInfo, input: ContactInput) -> Contact:  # noqa: A002 - GraphQL's custom
        info.context.require("contacts:write")
        body = {name: value for name, value in vars(input).items() if value is not None}
        answer = await info.context.writes.send("POST", "/v1/contacts", body)
        if "id" not in answer:
            raise ApiError("unavailable", f"it is accepted, but not readable yet: task {answer.get('task_id')}")
        return contact_of(answer)

    @strawberry.mutation(description="POST /v1/events/batch; each event as it stands there.")
    async def ingest_events(self, info: RequestInfo, events: list[JSON]) -> Ingested:
        info.context.require("events:ingest")
        answer = await info.context.writes.send("POST", "/v1/events/batch", {"events": events})
        return Ingested(
            accepted=answer["accepted"],
            rejected=answer["rejected"],
            results=[_result(result) for result in answer["results"]],
        )

    @strawberry.mutation(description="POST /v1/segments, or with an id PATCH of it.")
    async def upsert_segment(
        self,
        info: RequestInfo,
        id: strawberry.ID | None = None,  # noqa: A002
        name: str | None = None,
        rule: JSON | None = None,
    ) -> Segment:
        info.context.require("segments:write")
        body = {key: value for key, value in (("name", name), ("rule", rule)) if value is not None}
        if id is None:
            answer = await info.context.writes.send("POST", "/v1/segments", body)
        else:
            answer = await info.context.writes.send("PATCH", f"/v1/segments/{quote(str(id), safe='')}", body)
        return segment_of(answer)


def _result(entry: dict[str, Any]) -> EventResult:
    error = entry.get("error")
    return EventResult(
        index=entry["index"],
        event_id=entry.get("event_id"),
        contact_id=entry.get("contact_id"),
        error=None if error is None else EventError(**{name: error.get(name) for name in ("code", "message", "param")}),
    )
