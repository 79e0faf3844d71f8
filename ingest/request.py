"""SPINE of the edge. A request in: key -> body -> dialect -> canonical -> collect -> reply out."""

import logging
from dataclasses import replace
from urllib.parse import parse_qsl
from uuid import UUID

from starlette.requests import ClientDisconnect

from ingest import body, body_key
from ingest.canonical import Caller, canonical
from ingest.desk import Counter
from ingest.dialects.operation import Operation
from ingest.edge import Edge
from ingest.forward import Forward
from ingest.once import SEED
from ingest.raw import Accepted, Answer, Parsed, RawEvent, Reply
from ingest.repeats import Repeats
from ingest.salvage import NotJson
from schemas import ids
from schemas.access import Principal, key_of
from schemas.api.words import DEFAULT_TIMEOUT_MS, SYNC_WORDS, TIMEOUT_MS
from schemas.errors import Refused
from schemas.records import Event
from schemas.sameness import event_key
from schemas.web import NO_SNIFFING, REQUEST_ID, SAID_WITH, Receive, Scope, Send, authorise

log = logging.getLogger(__name__)

RETRY_AFTER = (b"retry-after", b"1")


class IngestEndpoint:
    """One path of a dialect as an ASGI app: no Request and Response objects on the hot path."""

    def __init__(self, operation: Operation, edge: Edge, forward: Forward) -> None:
        self._operation = operation
        self._edge = edge
        self._forward = forward

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._operation
        headers: dict[bytes, bytes] = dict(scope["headers"])
        query: dict[str, str] = {}
        request_id = ids.request_id(headers.get(b"x-request-id"), self._edge.clock())
        try:
            if scope["query_string"]:
                query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            reply = await self._handle(scope, headers, query, receive)
        except Refused as refused:
            reply = operation.refuse(refused, request_id)
        except ClientDisconnect:
            log.debug("%s %s: the client went away", operation.path, request_id)
            return
        except Exception:
            log.exception("%s %s", operation.path, request_id)
            reply = operation.refuse(Refused("internal", "an error of ours; it has been logged"), request_id)
        if operation.finish is not None:
            reply = operation.finish(reply, headers, query)
        within = REQUEST_ID in scope
        if SAID_WITH in scope and not within:
            reply = replace(reply, headers=(*reply.headers, *scope[SAID_WITH]))
        # within a surface the request id and what else is said are put on by it
        await _respond(send, reply, "" if within else request_id)

    async def _handle(
        self, scope: Scope, headers: dict[bytes, bytes], query: dict[str, str], receive: Receive
    ) -> Reply:
        now_ms = self._edge.clock()
        operation, settings = self._operation, self._edge.settings
        for name in operation.query_keys:
            if name in query:
                query.setdefault("apiKey", query[name])
        late = bool(operation.body_keys) and operation.holder is None and key_of(headers, query) is None
        if operation.holder is not None:
            principal = operation.holder(self._edge.control, scope["path_params"])
        elif not late:
            principal = authorise(self._edge.control, headers, query, operation.scope, now_ms)
        if not late:
            self._edge.gate.admit(scope, headers, principal, now_ms)
        timeout_ms = _sync_timeout(query)
        content_type = headers.get(b"content-type", b"")
        if operation.read is None:
            body.check_content_type(content_type)
        raw = await body.read(receive, settings.max_body_bytes)
        raw = body.decode(raw, headers.get(b"content-encoding", b""), settings.max_body_bytes)
        value = (
            body.parse_batch(raw, operation.batch_label)
            if operation.read is None
            else operation.read(content_type, raw, settings.max_body_bytes)
        )
        if late:
            headers = body_key.with_key(headers, value, operation.body_keys)
            principal = authorise(self._edge.control, headers, query, operation.scope, now_ms)
            self._edge.gate.admit(scope, headers, principal, now_ms)
        if isinstance(value, NotJson):
            value = value.recover()
        caller = self._caller(principal, now_ms, scope.get(SEED, ""), synced=timeout_ms is not None)
        serve = operation.serve
        if serve is None:
            parsed = operation.parse(value, settings.max_batch_events)
            return operation.reply(await self._take(caller, principal, timeout_ms, parsed))

        async def take(parsed: Parsed) -> Answer:
            return await self._take(caller, principal, timeout_ms, parsed)

        repeats, given = self._edge.repeats, headers.get(b"x-request-id")
        keys = Repeats.keys(principal.key_id, scope["path"], given, raw) if operation.once_s else []
        counter = Counter(
            edge=self._edge,
            forward=self._forward,
            principal=principal,
            headers=headers,
            query=query,
            params=scope.get("path_params", {}),
            repeat_id=repeats.name(principal.workspace, keys, operation.once_s, given) if keys else "",
            taker=take,
        )
        if not keys:
            return await serve(value, counter)
        return await repeats.once(principal.workspace, keys, operation.once_s, lambda: serve(value, counter))

    def _caller(self, principal: Principal, now_ms: int, seed: str, *, synced: bool) -> Caller:
        operation, settings = self._operation, self._edge.settings
        return Caller(
            workspace=principal.workspace,
            environment=principal.environment,
            key_id=principal.key_id,
            source=operation.source,
            now_ms=now_ms,
            max_depth=settings.max_depth,
            task_id=ids.task_id(now_ms, 1) if synced or operation.always_task else "",
            reply_to=self._edge.instance if synced else "",
            seed=seed,
        )

    async def _take(self, caller: Caller, principal: Principal, timeout_ms: int | None, parsed: Parsed) -> Answer:
        any_environment = self._operation.any_environment or principal.kind == "secret"
        batch = _Batch(self._edge, caller, any_environment=any_environment)
        if len(parsed.items) == 1 and parsed.atomic and not isinstance(parsed.items[0], Refused):
            items: list[Accepted | Refused] = [await batch.one(parsed.items[0], timeout_ms)]
        else:
            items = await batch.many(parsed.items, parsed.label, timeout_ms, atomic=parsed.atomic)
        return Answer(items=items, task_id=batch.task_id, synced=None if timeout_ms is None else batch.applied)


class _Batch:
    """The events of one request."""

    def __init__(self, edge: Edge, caller: Caller, *, any_environment: bool) -> None:
        self._edge = edge
        self._caller = caller
        self._any_environment = any_environment
        self.task_id = caller.task_id
        self.applied = False
        self._entered: dict[str, list[str]] = {}
        self._left: dict[str, list[str]] = {}

    async def one(self, raw: RawEvent, timeout_ms: int | None) -> Accepted:
        """The common case: one event, taken or refused as a whole."""
        event, warnings = self._canonical(raw, 0)
        repeated = self._repeated(raw, event, warnings)
        if repeated is not None:
            return repeated
        if timeout_ms is None:
            await self._edge.submit(event)
        else:
            await self._and_wait([event], timeout_ms)
        return self._accepted(raw, event, warnings)

    async def many(
        self, raws: list[RawEvent | Refused], label: str, timeout_ms: int | None, *, atomic: bool
    ) -> list[Accepted | Refused]:
        """Each item by itself; where the request is atomic the first refusal refuses it before anything is sent."""
        checked: list[tuple[RawEvent, Event, list[str]] | Refused] = []
        for index, raw in enumerate(raws):
            try:
                checked.append((raw, *self._canonical(raw, index)))  # type: ignore[arg-type]  # a Refused raises itself
            except Refused as refused:
                at = refused.at(f"{label}[{index}]")
                if atomic:
                    raise at from None
                checked.append(at)
        items: list[Accepted | Refused | None] = [
            c if isinstance(c, Refused) else self._repeated(c[0], c[1], c[2]) for c in checked
        ]
        todo = [(i, *c) for i, c in enumerate(checked) if items[i] is None and not isinstance(c, Refused)]
        if atomic or timeout_ms is not None:
            # the exact size is known when an event is encoded, and then its neighbours may be on their way
            for index, _, event, _ in todo:
                self._edge.check_size(event, f"{label}[{index}]")
        if self.task_id:
            self._count([event for _, _, event, _ in todo])
        if timeout_ms is not None:
            await self._and_wait([event for _, _, event, _ in todo], timeout_ms)
        futures = set()
        for index, _, event, _ in todo:
            if timeout_ms is None:
                try:
                    futures.add(self._edge.submit(event))
                except Refused as refused:
                    if refused.code == "unavailable":
                        raise
                    items[index] = refused.at(f"{label}[{index}]")
        for future in futures:
            await future
        for index, raw, event, warnings in todo:
            if items[index] is None:
                items[index] = self._accepted(raw, event, warnings)
        return [item for item in items if item is not None]

    def _count(self, events: list[Event]) -> None:
        """The task is done when each of them is stored."""
        self.task_id = ids.counted(UUID(self.task_id), len({event_key(event) for event in events}))
        for event in events:
            event["task_id"] = self.task_id

    def _canonical(self, raw: RawEvent | Refused, index: int) -> tuple[Event, list[str]]:
        if isinstance(raw, Refused):
            raise raw
        if self._caller.seed and raw.event_id is None:
            raw.event_id = f"evt_{self._caller.seed[:32]}" if not index else f"evt_{self._caller.seed[:32]}_{index}"
        wanted = raw.environment
        if wanted is not None and wanted != self._caller.environment:
            if not self._any_environment:
                raise Refused("missing_scope", "a public key writes to its own environment only", "environment")
            if wanted not in self._edge.control.environments[self._caller.workspace]:
                raise Refused("unknown_environment", f"no environment {wanted[:80]!r} here", "environment")
        return canonical(raw, self._caller)

    def _repeated(self, raw: RawEvent, event: Event, warnings: list[str]) -> Accepted | None:
        """The first answer, where this edge gave one; who waits for receipts needs the event to pass again."""
        if raw.event_id is None or self._caller.reply_to:
            return None
        first = self._edge.recent.get(event)
        if first is None:
            return None
        if first.conflict:
            warnings.append(first.conflict)
        return Accepted(
            event_id=event["event_id"], contact_id=first.contact_id, received_ms=first.received_ms, warnings=warnings
        )

    def _accepted(self, raw: RawEvent, event: Event, warnings: list[str]) -> Accepted:
        contact_id = self._edge.view.winner(event["contact_id"])
        if raw.event_id is not None:
            conflict = self._edge.recent.put(event, contact_id)
            if conflict:
                warnings.append(conflict)
        # of copies in one request the first changed what there was to change
        key = event_key(event) if self._entered else ""
        return Accepted(
            event_id=event["event_id"],
            contact_id=contact_id,
            received_ms=event["received_ms"],
            warnings=warnings,
            entered=self._entered.pop(key, None) if key else None,
            left=self._left.pop(key, None) if key else None,
        )

    async def _and_wait(self, events: list[Event], timeout_ms: int) -> None:
        """Publish, then wait until each is stored and applied, or until the deadline."""
        task_id, receipts = self.task_id, self._edge.receipts
        waiter = receipts.expect(task_id, [event_key(event) for event in events])
        try:
            for future in {self._edge.submit(event) for event in events}:
                await future
        except BaseException:
            receipts.forget(task_id)
            raise
        self.applied = await receipts.wait(task_id, timeout_ms / 1000) if events else True
        self._entered, self._left = waiter.entered, waiter.left


def _sync_timeout(query: dict[str, str]) -> int | None:
    """Milliseconds to wait for ``sync=true``; ``None``: do not wait."""
    if not query:
        return None
    wanted = query.get("sync", "false").lower()
    if wanted not in SYNC_WORDS:
        raise Refused("invalid_field", "sync must be true or false", "sync")
    if wanted in ("false", "0"):
        return None
    text = query.get("timeout_ms", str(DEFAULT_TIMEOUT_MS))
    low, high = TIMEOUT_MS
    if len(text) > 9 or not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise Refused("invalid_field", f"timeout_ms must be {low} to {high}", "timeout_ms")
    return int(text)


async def _respond(send: Send, reply: Reply, request_id: str) -> None:
    headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
    if request_id:
        headers += ((b"x-request-id", request_id.encode()), NO_SNIFFING)
    if reply.status in (429, 503):
        headers.append(RETRY_AFTER)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
