"""`POST /v1/contacts` and `PATCH /v1/contacts/{id}` in; the contact as every following read shows it out.

A write is an event, answered when it is stored and applied; at the deadline with 202 and a task id.

1. The receipt of the stages carries the contact, so most writes need no query.
2. A write that ties contacts together queries the database until the contact has all its identifiers, or until a
   guard has refused. This edge follows the merges itself, and queries when the expected merge has come.
3. A write that names a contact by id, or may exceed the contact's size, queries the database first: 404, 409 and 422.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from cachetools import FIFOCache
from starlette.requests import Request
from starlette.responses import Response

from ingest.contacts import parse
from ingest.events.canonical import Caller, canonical
from ingest.events.edge import Edge
from ingest.events.receipts import Waiter
from ingest.http.idempotency import IDEMPOTENCY_SEED
from ingest.http.json_body import json_of
from ingest.http.read_api import ReadApiClient
from schemas import ids
from schemas.api import serialize, wait_parameters
from schemas.api.answers.contacts import ContactShape
from schemas.api.requests.body import checked
from schemas.api.requests.contacts import ContactEdit, ContactUpsert
from schemas.control import static_segments
from schemas.control.access import Principal
from schemas.control.lookup import require_environment
from schemas.errors import ApiError
from schemas.records import identity
from schemas.records.records import Event, Identifier
from schemas.records.sameness import event_key
from schemas.service.web import JsonResponse
from schemas.times import iso
from schemas.tracing.context import TRACE

LEAST_S = 1.0
"""The least time for a query that the write depends on, even if ``timeout_ms`` is shorter."""
JOINED_S = 0.25
"""A merge is seen this soon, or it may have been refused."""
MOST_FULL = 10_000


class ContactRoutes:
    def __init__(self, edge: Edge, read_api: ReadApiClient) -> None:
        self._edge = edge
        self._read_api = read_api
        self._full: FIFOCache[str, None] = FIFOCache(MOST_FULL)
        """Contacts that have little room left, the last that were seen."""

    async def upsert(self, request: Request) -> Response:
        principal = self._edge.authorise(request, "contacts:write")
        edit = checked(ContactUpsert, await json_of(request, self._edge.settings))
        environment = self._environment(principal, edit.environment)
        return await self._write(request, principal, environment, edit, parse.identifiers_of(edit))

    async def edit(self, request: Request) -> Response:
        """Raises ``ApiError`` (404) for an unknown contact."""
        principal = self._edge.authorise(request, "contacts:write")
        changes = checked(ContactEdit, await json_of(request, self._edge.settings))
        kind, value = parse.named(request.path_params["id"], principal.workspace, principal.environment)
        identifiers = [(kind, value, "id"), *parse.identifiers_of(changes)]
        return await self._write(request, principal, principal.environment, changes, identifiers, path=(kind, value))

    def _environment(self, principal: Principal, name: str | None) -> str:
        if name is None or name == principal.environment:
            return principal.environment
        return require_environment(self._edge.control.environments[principal.workspace], name)

    async def _write(
        self,
        request: Request,
        principal: Principal,
        environment: str,
        edit: ContactEdit,
        identifiers: list[tuple[str, Any, str]],
        *,
        path: parse.Pair | None = None,
    ) -> Response:
        edge, began = self._edge, time.monotonic()
        within_s = wait_parameters.timeout_ms(request.query_params) / 1000
        caller = self._caller(principal, environment)
        seed = request.scope.get(IDEMPOTENCY_SEED)
        own_id = edit.event_id if isinstance(edit, ContactUpsert) else None
        raw = parse.event_of(edit, identifiers, own_id or (None if seed is None else f"evt_{seed[:32]}"))
        event, warnings = canonical(raw, caller)  # raises for a wrong body before any request to the read API
        if (
            path is not None
            or (isinstance(edit, ContactUpsert) and edit.id is not None)
            or self._may_be_full(edit, event)
        ):
            question = {"identifiers": event["identifiers"]}
            answer = await self._read_api.post(request, parse.FOUND, question, environment, max(within_s, LEAST_S))
            contact = parse.meant(event["identifiers"], answer["contacts"], path)
            parse.check_room(edit, contact)
            event, more = canonical(parse.about(raw, contact), caller)
            warnings = list(dict.fromkeys(warnings + more))
        else:
            parse.check_room(edit, None)
        _check_size(edge, event)
        tied = self._tied(event)
        warnings += parse.apart_of(event["identifiers"], tied)
        receipts = await edge.applied(event["task_id"], [event], within_s, trace=request.scope.get(TRACE, ""))
        if receipts is None:
            return self._later(event)
        changes: dict[str, Any] = changes_of(receipts, event_key(event)) if asks_sync(request) else {}
        document = await self._receipted(receipts, event, tied)
        if document is None:
            after = await self._read(request, tied, environment, within_s - (time.monotonic() - began))
            if after is None or after["contact"] is None:
                return self._later(event)
            document, warnings = after["contact"], warnings + after["warnings"]
        self._remember(document)
        warnings = warnings + parse.outdated(edit, event, document)
        is_new = document["created_at"] == iso(event["received_ms"])
        extra: dict[str, Any] = {"warnings": warnings} if warnings else {}
        return JsonResponse({**document, **extra, **changes}, 201 if is_new else 200)

    def _caller(self, principal: Principal, environment: str) -> Caller:
        now_ms = self._edge.clock()
        return Caller(
            workspace=principal.workspace,
            environment=environment,
            key_id=principal.key_id,
            source="altacee",
            now_ms=now_ms,
            max_depth=self._edge.settings.max_depth,
            task_id=ids.task_id(now_ms, 1),
            reply_to=self._edge.instance,
        )

    def _may_be_full(self, edit: ContactEdit, event: Event) -> bool:
        """Whether the write may exceed the contact's size."""
        return parse.is_large(edit) or any(
            self._edge.merge_map.winner(own) in self._full for own in _own_ids(event, self._tied(event))
        )

    def _tied(self, event: Event) -> list[Identifier]:
        return identity.tied(event["identifiers"], self._edge.control.apart(event["workspace"]))

    def _remember(self, document: Mapping[str, Any]) -> None:
        self._full.pop(document["id"], None)
        if parse.nearly_full(document["attributes"]):
            self._full[document["id"]] = None

    async def _receipted(self, receipts: Waiter, event: Event, tied: list[Identifier]) -> ContactShape | None:
        """The contact as the stages' receipt has it, if every read shows it so by now."""
        profile = receipts.contacts.get(event_key(event))
        if profile is None:
            return None
        fields = orjson.loads(profile)
        own = _own_ids(event, tied)
        if parse.missing(tied, fields["identifiers"]):
            await self._edge.merge_map.joined(own, JOINED_S)
            return None
        if self._edge.merge_map.joined_lately(own):
            return None
        existing = self._edge.control.segments[event["workspace"], event["environment"]]
        segments = [segment for segment in fields["segments"] if segment in existing]
        return serialize.contact(fields, static_segments.without(fields["attributes"]), segments)

    async def _read(self, request: Request, tied: list[Identifier], environment: str, left_s: float) -> Any:
        """Returns the contact once the read API shows all its identifiers.

        ``None`` if the read API is unavailable: the write is durable all the same.
        """
        left_ms = int(max(0.0, left_s) * 1000)
        shown_by = {"identifiers": tied, "timeout_ms": left_ms}
        try:
            return await self._read_api.post(request, parse.WRITTEN, shown_by, environment, left_ms / 1000 + LEAST_S)
        except ApiError as refused:
            if refused.code != "unavailable":
                raise
            return None

    def _later(self, event: Event) -> Response:
        """The write is durable and will be applied; its task shows when."""
        return JsonResponse({"task_id": event["task_id"], "id": self._edge.merge_map.winner(event["contact_id"])}, 202)


def asks_sync(request: Request) -> bool:
    """The query has been checked."""
    return request.query_params.get("sync", "false").lower() in ("true", "1")


def changes_of(receipts: Waiter, key: str) -> dict[str, Any]:
    """The segments that a write of a contact has changed."""
    return {"segment_changes": {"entered": receipts.entered.get(key, []), "left": receipts.left.get(key, [])}}


def _own_ids(event: Event, tied: Sequence[Identifier]) -> list[str]:
    home = (event["workspace"], event["environment"])
    return [identity.contact_id(*home, identifier["type"], identifier["value"]) for identifier in tied]


def _check_size(edge: Edge, event: Event) -> None:
    try:
        edge.check_size(event, "")
    except ApiError as refused:
        raise ApiError(refused.code, refused.message, "attributes") from None
