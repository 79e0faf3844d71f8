"""SPINE of the edge. A request in: key -> body -> dialect -> canonical -> collect -> reply out."""

import logging
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect

from ingest.events.batch import Batch
from ingest.events.canonical import Caller
from ingest.events.context import RequestContext
from ingest.events.edge import Edge
from ingest.events.link_waiter import LinkWaiter
from ingest.events.operation import Operation
from ingest.events.raw import Accepted, IntakeResult, Parsed, Reply
from ingest.events.replay_cache import RequestReplayCache
from ingest.http import body, body_key
from ingest.http.cors import WORKSPACE
from ingest.http.idempotency import IDEMPOTENCY_SEED
from ingest.http.json_recovery import NotJson
from ingest.http.read_api import ReadApiClient
from ingest.trial.rejected import RejectedCall, excerpt, item_excerpt
from schemas import ids
from schemas.api import parameters
from schemas.control.access import KEY_HEADERS, Principal, key_of
from schemas.errors import ApiError
from schemas.limits import DEFAULT_TIMEOUT_MS, SYNC_WORDS, TIMEOUT_MS
from schemas.service.memory_budget import UNKNOWN
from schemas.service.web import EXTRA_HEADERS, HEADERS, NO_SNIFFING, REQUEST_ID, Receive, Scope, Send, authorise

log = logging.getLogger(__name__)

BODY = "headwater.body"
"""Under it a request's scope has its body, while there are test environments."""
RETRY_AFTER = (b"retry-after", b"1")


class _ReadRequest(NamedTuple):
    """A request whose body has been read."""

    scope: Scope
    headers: dict[bytes, bytes]
    query: dict[str, str]
    principal: Principal
    caller: Caller
    timeout_ms: int | None
    raw: bytes


class IngestEndpoint:
    """One path of a dialect as an ASGI app: no Request and Response objects on the hot path."""

    def __init__(self, operation: Operation, edge: Edge, read_api: ReadApiClient) -> None:
        self._operation = operation
        self._edge = edge
        self._read_api = read_api
        self._counts = edge.counts[operation.source]
        settings = edge.settings
        # who uses an SDK cannot make its batches smaller, and a provider repeats what is refused: bytes bound those
        self._most = settings.max_batch_events if operation.source == "altacee" else settings.max_vendor_events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._operation
        headers: dict[bytes, bytes] = scope[HEADERS]
        query: dict[str, str] = {}
        request_id = ids.request_id(headers.get(b"x-request-id"), self._edge.clock())
        try:
            if scope["query_string"]:
                query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            reply = await self._handle(scope, headers, query, receive)
            self._counts.accepted += 1
        except ApiError as refused:
            self._counts.refused[refused.code] += 1
            if self._edge.control.test_environments:
                self._note(scope, query, refused)
            reply = operation.refuse(refused, request_id)
            self._edge.refusals.note(scope, operation.source, refused, request_id)
        except ClientDisconnect:
            log.debug("%s %s: the client went away", operation.path, request_id)
            return
        except Exception:
            log.exception("%s %s", operation.path, request_id)
            self._counts.refused["internal"] += 1
            reply = operation.refuse(ApiError("internal", "internal error; it has been logged"), request_id)
        if operation.finish is not None:
            reply = operation.finish(reply, headers, query)
        within = REQUEST_ID in scope
        if EXTRA_HEADERS in scope and not within:
            reply = replace(reply, headers=(*reply.headers, *scope[EXTRA_HEADERS]))
        # within a surface the request id and what else is said are put on by it
        await _respond(send, reply, "" if within else request_id)

    async def _handle(
        self, scope: Scope, headers: dict[bytes, bytes], query: dict[str, str], receive: Receive
    ) -> Reply:
        now_ms = self._edge.clock()
        operation, settings = self._operation, self._edge.settings
        if operation.constant is not None:
            await body.read(receive, settings.max_body_bytes)
            return operation.constant
        for name in operation.query_keys:
            if name in query:
                query.setdefault("apiKey", query[name])
        if operation.key_part:
            headers = {name: value for name, value in headers.items() if name not in KEY_HEADERS}
            query["apiKey"] = scope["path_params"][operation.key_part]
        late = bool(operation.body_keys) and operation.path_authenticator is None and key_of(headers, query) is None
        if operation.path_authenticator is not None:
            principal = operation.path_authenticator(self._edge.control, scope["path_params"])
        elif not late:
            principal = authorise(self._edge.control, headers, query, operation.scope, now_ms)
        if not late:
            self._edge.rate_limiter.admit(scope, headers, principal, now_ms)
        if query and operation.source == "altacee":
            parameters.check(scope["method"], operation.path, scope["query_string"])
        timeout_ms = _sync_timeout(query)
        content_type = headers.get(b"content-type", b"")
        if operation.read is None and not operation.any_type:
            body.check_content_type(content_type)
        raw = await body.read(receive, settings.max_body_bytes, scope.get(WORKSPACE, UNKNOWN))
        encoding = headers.get(b"content-encoding", b"")
        if operation.any_type and not encoding and raw.startswith(body.GZIP):
            encoding = b"gzip"
        raw = body.decode(raw, encoding, settings.max_body_bytes)
        value = (
            body.parse_batch(raw, operation.batch_label)
            if operation.read is None
            else operation.read(content_type, raw, settings.max_body_bytes)
        )
        if self._edge.control.test_environments:
            scope[BODY] = raw
        if late:
            headers = scope[HEADERS] = body_key.with_key(headers, value, operation.body_keys)
            principal = authorise(self._edge.control, headers, query, operation.scope, now_ms)
            self._edge.rate_limiter.admit(scope, headers, principal, now_ms)
        if isinstance(value, NotJson):
            value = value.recover(mend=operation.lenient)
        if operation.with_query is not None and query:
            value = operation.with_query(value, query)
        caller = self._caller(principal, now_ms, scope.get(IDEMPOTENCY_SEED, ""), query, synced=timeout_ms is not None)
        if operation.serve is None and len(raw) <= body.SMALL:
            parsed = operation.parse(value, self._most)
            linked = None if timeout_ms is None else self._linked(headers, query)
            return operation.reply(await self._take(caller, principal, timeout_ms, parsed, linked))
        asked = _ReadRequest(scope, headers, query, principal, caller, timeout_ms, raw)
        with body.SERVED.holding(len(raw), principal.workspace):
            return await self._serve(asked, value)

    async def _serve(self, asked: "_ReadRequest", value: Any) -> Reply:
        """The answer to a body that has been read."""
        operation, principal, timeout_ms = self._operation, asked.principal, asked.timeout_ms
        scope, headers, query, caller = asked.scope, asked.headers, asked.query, asked.caller
        serve, linked = operation.serve, None if timeout_ms is None else self._linked(headers, query)
        if serve is None:
            parsed = operation.parse(value, self._most)
            return operation.reply(await self._take(caller, principal, timeout_ms, parsed, linked))

        async def take(parsed: Parsed) -> IntakeResult:
            return await self._take(caller, principal, timeout_ms, parsed, linked)

        repeats, given = self._edge.replay_cache, headers.get(b"x-request-id")
        keys = (
            RequestReplayCache.keys(principal.key_id, scope["path"], given, asked.raw)
            if operation.dedup_window_s
            else []
        )
        counter = RequestContext(
            edge=self._edge,
            read_api=self._read_api,
            principal=principal,
            headers=headers,
            query=query,
            params=scope.get("path_params", {}),
            scheme=scope["scheme"],
            repeat_id=repeats.name(principal.workspace, keys, operation.dedup_window_s, given) if keys else "",
            taker=take,
        )
        if not keys:
            return await serve(value, counter)
        return await repeats.once(principal.workspace, keys, operation.dedup_window_s, lambda: serve(value, counter))

    def _caller(self, principal: Principal, now_ms: int, seed: str, query: dict[str, str], *, synced: bool) -> Caller:
        operation, settings = self._operation, self._edge.settings
        tracked = operation.always_task or (operation.source == "altacee" and _is_tracked(query))
        return Caller(
            workspace=principal.workspace,
            environment=principal.environment,
            key_id=principal.key_id,
            source=operation.source,
            now_ms=now_ms,
            max_depth=settings.max_depth,
            lenient=operation.lenient,
            task_id=ids.task_id(now_ms, 1) if synced or tracked else "",
            reply_to=self._edge.instance if synced else "",
            seed=seed,
        )

    def _linked(self, headers: dict[bytes, bytes], query: dict[str, str]) -> LinkWaiter:
        return LinkWaiter(self._edge, self._read_api, key_of(headers, query))

    async def _take(
        self, caller: Caller, principal: Principal, timeout_ms: int | None, parsed: Parsed, linked: LinkWaiter | None
    ) -> IntakeResult:
        any_environment = self._operation.any_environment or principal.kind == "secret"
        batch = Batch(self._edge, caller, any_environment=any_environment, linked=linked)
        if len(parsed.items) == 1 and parsed.atomic and not isinstance(parsed.items[0], ApiError):
            items: list[Accepted | ApiError] = [await batch.one(parsed.items[0], parsed.label, timeout_ms)]
            self._counts.events += 1
        else:
            items = await batch.many(parsed.items, parsed.label or "", timeout_ms, atomic=parsed.atomic)
            self._count(items)
        if (caller.workspace, caller.environment) in self._edge.control.test_environments:
            self._note_items(caller, parsed, items)
        return IntakeResult(items=items, task_id=batch.task_id, synced=None if timeout_ms is None else batch.applied)

    def _count(self, items: list[Accepted | ApiError]) -> None:
        refused = [item.code for item in items if isinstance(item, ApiError)]
        self._counts.events += len(items) - len(refused)
        for code in refused:
            self._counts.refused_events[code] += 1

    def _note(self, scope: Scope, query: dict[str, str], refused: ApiError) -> None:
        """Keep a call that was refused as a whole, where its key is one of a test environment."""
        try:
            principal = authorise(self._edge.control, scope[HEADERS], query, None, self._edge.clock())
        except ApiError:
            return
        home = (principal.workspace, principal.environment)
        if home in self._edge.control.test_environments:
            self._keep(home, refused, body=excerpt(scope.get(BODY, b"")))

    def _note_items(self, caller: Caller, parsed: Parsed, items: list[Accepted | ApiError]) -> None:
        for raw, item in zip(parsed.items, items, strict=True):
            if isinstance(item, ApiError):
                said = {} if isinstance(raw, ApiError) else {"type": raw.type, "properties": raw.properties}
                kind = said.get("type", "")
                home = (caller.workspace, caller.environment)
                self._keep(home, item, kind=kind if isinstance(kind, str) else "", body=item_excerpt(said))

    def _keep(self, home: tuple[str, str], refused: ApiError, *, kind: str = "", body: str = "") -> None:
        path, source = self._operation.path, self._operation.source
        call = RejectedCall(at_ms=self._edge.clock(), path=path, source=source, error=refused, type=kind, body=body)
        self._edge.rejected.add(home, call)


def _is_tracked(query: dict[str, str]) -> bool:
    """Whether the answer is to name a task; raises ``ApiError``. Paths without the parameter have refused it."""
    wanted = query.get("task", "false").lower() if query else "false"
    if wanted not in SYNC_WORDS:
        raise ApiError("invalid_field", "task must be true or false", "task")
    return wanted in ("true", "1")


def _sync_timeout(query: dict[str, str]) -> int | None:
    """Milliseconds to wait for ``sync=true``; ``None``: do not wait."""
    if not query:
        return None
    wanted = query.get("sync", "false").lower()
    if wanted not in SYNC_WORDS:
        raise ApiError("invalid_field", "sync must be true or false", "sync")
    if wanted in ("false", "0"):
        return None
    text = query.get("timeout_ms", str(DEFAULT_TIMEOUT_MS))
    low, high = TIMEOUT_MS
    if len(text) > 9 or not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ApiError("invalid_field", f"timeout_ms must be {low} to {high}", "timeout_ms")
    return int(text)


async def _respond(send: Send, reply: Reply, request_id: str) -> None:
    headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
    if request_id:
        headers += ((b"x-request-id", request_id.encode()), NO_SNIFFING)
    if reply.status in (429, 503):
        headers.append(RETRY_AFTER)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
