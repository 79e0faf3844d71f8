"""`POST /v1/contacts` and `PATCH /v1/contacts/{id}` in; the contact as every following read shows it out.

A write is an event. It is answered when the stages have applied it and the read API shows the contact with every
identifier that was given, or that a guard has refused; at the deadline with 202 and a task id.
"""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ingest import contacts
from ingest.canonical import Caller, canonical
from ingest.edge import Edge
from ingest.forward import Forward
from ingest.once import SEED
from ingest.pages import json_of
from schemas import bodies, identity, ids
from schemas.access import Principal
from schemas.bodies import ContactEdit, ContactUpsert
from schemas.errors import Refused
from schemas.records import Event
from schemas.times import iso
from schemas.web import Json

LEAST_S = 1.0
"""For a question that the write cannot do without, however short ``timeout_ms`` is."""


class ContactPages:
    def __init__(self, edge: Edge, forward: Forward) -> None:
        self._edge = edge
        self._forward = forward

    async def upsert(self, request: Request) -> Response:
        principal = self._edge.asks(request, "contacts:write")
        said = bodies.checked(ContactUpsert, await json_of(request, self._edge.settings))
        environment = self._environment(principal, said.environment)
        return await self._write(request, principal, environment, said, contacts.identifiers_of(said))

    async def edit(self, request: Request) -> Response:
        """Raises ``Refused`` (404) for nobody."""
        principal = self._edge.asks(request, "contacts:write")
        said = bodies.checked(ContactEdit, await json_of(request, self._edge.settings))
        kind, value = contacts.named(request.path_params["id"], principal.workspace, principal.environment)
        identifiers = [(kind, value, "id"), *contacts.identifiers_of(said)]
        return await self._write(request, principal, principal.environment, said, identifiers, path=(kind, value))

    def _environment(self, principal: Principal, wanted: str | None) -> str:
        if wanted is None or wanted == principal.environment:
            return principal.environment
        if wanted not in self._edge.control.environments[principal.workspace]:
            raise Refused("unknown_environment", f"no environment {wanted[:80]!r} here", "environment")
        return wanted

    async def _write(
        self,
        request: Request,
        principal: Principal,
        environment: str,
        said: ContactEdit,
        identifiers: list[tuple[str, Any, str]],
        *,
        path: contacts.Pair | None = None,
    ) -> Response:
        edge, began = self._edge, time.monotonic()
        within_s = contacts.timeout_ms(request.query_params) / 1000
        now_ms = edge.clock()
        caller = Caller(
            workspace=principal.workspace,
            environment=environment,
            key_id=principal.key_id,
            source="altacee",
            now_ms=now_ms,
            max_depth=edge.settings.max_depth,
            task_id=ids.task_id(now_ms, 1),
            reply_to=edge.instance,
        )
        seed = request.scope.get(SEED)
        raw = contacts.event_of(said, identifiers, None if seed is None else f"evt_{seed[:32]}")
        probe, warned = canonical(raw, caller)  # says what is wrong before anybody is asked
        asked = {"identifiers": probe["identifiers"]}
        before = (await self._forward.tell(request, contacts.FOUND, asked, environment, max(within_s, LEAST_S)))[
            "contacts"
        ]
        known = contacts.meant(probe["identifiers"], before, path)
        contacts.check_room(said, known)
        raw.identifiers = [
            (*contacts.anchor(known), "id")
            if known is not None and kind == identity.CONTACT_ID
            else (kind, value, field)
            for kind, value, field in raw.identifiers
        ]
        event, warnings = canonical(raw, caller)
        warnings = list(dict.fromkeys(warned + warnings))
        _check_size(edge, event)
        if not await edge.applied(event["task_id"], [event], within_s):
            return self._later(event)
        left_ms = int(max(0.0, within_s - (time.monotonic() - began)) * 1000)
        shown_by = {"identifiers": event["identifiers"], "timeout_ms": left_ms}
        try:
            after = await self._forward.tell(request, contacts.WRITTEN, shown_by, environment, left_ms / 1000 + LEAST_S)
        except Refused as refused:
            if refused.code != "unavailable":
                raise
            return self._later(event)  # it is durable, whether it can be read now or not
        if after["contact"] is None:
            return self._later(event)
        document, warnings = after["contact"], warnings + after["warnings"]
        was_there = any(one is not None and one["id"] == document["id"] for one in before)
        is_new = not was_there and document["created_at"] == iso(event["received_ms"])
        return Json(document | ({"warnings": warnings} if warnings else {}), 201 if is_new else 200)

    def _later(self, event: Event) -> Response:
        """It is durable and will be applied; who asks for the task learns when."""
        return Json({"task_id": event["task_id"], "id": self._edge.view.winner(event["contact_id"])}, 202)


def _check_size(edge: Edge, event: Event) -> None:
    try:
        edge.check_size(event, "")
    except Refused as refused:
        raise Refused(refused.code, refused.message, "attributes") from None
