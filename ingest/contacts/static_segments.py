"""`POST` and `DELETE /v1/segments/{id}/contacts` in; a static segment's new list, and unknown contacts, out.

Putting a contact on a list is an event of that contact: stored, replayed, merged and repeated as every other.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ingest.contacts import parse
from ingest.events.canonical import Caller, canonical
from ingest.events.edge import Edge
from ingest.events.raw import RawEvent
from ingest.http.json_body import json_of
from ingest.http.read_api import ReadApiClient
from schemas import ids
from schemas.api import wait_parameters
from schemas.api.requests.body import checked
from schemas.api.requests.contacts import MOST_LISTED, Listing
from schemas.control import static_segments
from schemas.control.control_state import Segment
from schemas.control.lookup import require
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import CONTACT
from schemas.service.web import JsonResponse

FOUND = "/internal/segments/found"
LIST_TYPE = "$list"


class StaticSegmentRoutes:
    def __init__(self, edge: Edge, read_api: ReadApiClient) -> None:
        self._edge = edge
        self._read_api = read_api

    async def add(self, request: Request) -> Response:
        return await self._write(request, listed=True)

    async def remove(self, request: Request) -> Response:
        return await self._write(request, listed=False)

    async def _write(self, request: Request, *, listed: bool) -> Response:
        """Durable when answered; with 200 also applied, with 202 not yet. Unknown contacts are named, not created."""
        principal = self._edge.authorise(request, "segments:write")
        segment = self._segment(principal.workspace, principal.environment, request.path_params["id"])
        body = await json_of(request, self._edge.settings)
        if isinstance(body, dict) and isinstance(body.get("contacts"), list) and len(body["contacts"]) > MOST_LISTED:
            raise ApiError("too_many", f"at most {MOST_LISTED} contacts in one request", "contacts")
        listing = checked(Listing, body)
        within_s = wait_parameters.timeout_ms(request.query_params) / 1000
        home = (principal.workspace, principal.environment)
        named = [_named(text, n, *home) for n, text in enumerate(listing.contacts)]
        question = {"identifiers": [{"type": kind, "value": value} for kind, value in named]}
        owners = (await self._read_api.post(request, FOUND, question, principal.environment))["contacts"]
        contacts = {owner["id"]: owner for owner in owners if owner is not None}
        now_ms = self._edge.clock()
        caller = Caller(
            workspace=principal.workspace,
            environment=principal.environment,
            key_id=principal.key_id,
            source="altacee",
            now_ms=now_ms,
            max_depth=self._edge.settings.max_depth,
            task_id=ids.task_id(now_ms, len(contacts)),
            reply_to=self._edge.instance,
        )
        events = [canonical(_event(segment, owner, listed=listed), caller)[0] for owner in contacts.values()]
        applied = not events or await self._edge.applied(caller.task_id, events, within_s) is not None
        answer = {
            "id": segment.id,
            "contacts": len(contacts),
            "unknown": [text for text, owner in zip(listing.contacts, owners, strict=True) if owner is None],
        }
        return JsonResponse(answer) if applied else JsonResponse({**answer, "task_id": caller.task_id}, 202)

    def _segment(self, workspace: str, environment: str, segment_id: str) -> Segment:
        """Raises ``ApiError``: 404, or 409 for a segment that has a rule."""
        segment = require(self._edge.control.segments[workspace, environment], segment_id, "segment")
        if segment.kind != "static":
            raise ApiError("conflict", "the segment has a rule: its members follow from it")
        return segment


def _named(text: str, index: int, workspace: str, environment: str) -> parse.Pair:
    try:
        return parse.named(text, workspace, environment)
    except ApiError:
        raise ApiError(
            "invalid_field", "neither a contact id of this environment nor type:value", f"contacts[{index}]"
        ) from None


def _event(segment: Segment, owner: dict[str, Any], *, listed: bool) -> RawEvent:
    kind, value = parse.anchor(owner)
    return RawEvent(
        kind=CONTACT,
        type=LIST_TYPE,
        identifiers=[(kind, value, identity.CONTACT_ID)],
        properties={"segment_id": segment.id, "listed": listed},
        profile={"set": {static_segments.attribute_of(segment.id): True if listed else None}},
        lists=True,
    )
