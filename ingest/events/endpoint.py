"""The edge's steps for one request: key -> body -> dialect -> canonical -> collect -> reply."""

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect

from ingest.events.batch import Batch
from ingest.events.canonical import Caller
from ingest.events.context import RequestContext
from ingest.events.edge import Edge
from ingest.events.link_waiter import LinkWaiter
from ingest.events.operation import CallOperation, ConstantOperation, IngestOperation, Operation
from ingest.events.raw import Accepted, IntakeResult, Parsed, Reply
from ingest.events.replay_cache import RequestReplayCache
from ingest.http import body
from ingest.http.cors import WORKSPACE
from ingest.http.credentials import IN_HEADERS
from ingest.http.idempotency import IDEMPOTENCY_SEED
from ingest.http.json_recovery import NotJson
from ingest.http.read_api import ReadApiClient
from ingest.http.refusals import RefusedItem
from ingest.trial.rejected import RejectedCall, excerpt, item_excerpt
from schemas import ids
from schemas.api import parameters
from schemas.api.wait_parameters import is_true, sync_timeout_ms
from schemas.control.access import Principal, key_of
from schemas.errors import ApiError
from schemas.service.memory_budget import UNKNOWN
from schemas.service.web import EXTRA_HEADERS, HEADERS, NO_SNIFFING, REQUEST_ID, Receive, Scope, Send, authorise
from schemas.tracing.context import TRACE

log = logging.getLogger(__name__)

BODY = "headwater.body"
"""Name in a request's scope: its body, kept while test environments exist."""
RETRY_AFTER = (b"retry-after", b"1")


@dataclass(slots=True, kw_only=True)
class _Call:
    """The state of one request. Not frozen: each step adds its result."""

    scope: Scope
    headers: dict[bytes, bytes]
    query: dict[str, str]
    now_ms: int
    principal: Principal = field(init=False)
    timeout_ms: int | None = None
    """How long to wait for ``sync=true``; ``None``: do not wait."""
    refused: list[tuple[ApiError, RefusedItem]] | tuple[()] = ()
    """Items that were refused by themselves."""


class IngestEndpoint:
    """An ASGI app that serves one path of a dialect: no Request and Response objects on the hot path."""

    def __init__(self, operation: Operation, edge: Edge, read_api: ReadApiClient) -> None:
        self._operation = operation
        self._edge = edge
        self._read_api = read_api
        self._counts = edge.counts[operation.source]
        settings = edge.settings
        self._is_native = operation.source == "altacee"
        # SDKs do not let their users make batches smaller, and providers repeat refused ones: bytes bound those
        self._most = settings.max_batch_events if self._is_native else settings.max_vendor_events
        self._limit = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        operation = self._operation
        headers: dict[bytes, bytes] = scope[HEADERS]
        now_ms = self._edge.clock()
        request_id = ids.request_id(headers.get(b"x-request-id"), now_ms)
        call = _Call(scope=scope, headers=headers, query={}, now_ms=now_ms)
        try:
            if scope["query_string"]:
                call.query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            reply = await self._handle(call, receive)
            self._counts.accepted += 1
            if call.refused:
                self._tell_items(call, request_id)
        except ApiError as refused:
            self._counts.refused[refused.code] += 1
            if self._edge.control.test_environments:
                self._note(scope, call.query, refused)
            reply = operation.refuse(refused, request_id)
            self._tell(call, refused, request_id)
            refused.detached()  # the answer's items may hold it
        except ClientDisconnect:
            log.debug("%s %s: the client went away", operation.path, request_id)
            return
        except Exception:
            log.exception("%s %s", operation.path, request_id, extra={"request_id": request_id})
            self._counts.refused["internal"] += 1
            reply = operation.refuse(ApiError("internal", "internal error; it has been logged"), request_id)
        if operation.finish is not None:
            reply = operation.finish(reply, headers, call.query)
        within = REQUEST_ID in scope
        if EXTRA_HEADERS in scope and not within:
            reply = replace(reply, headers=(*reply.headers, *scope[EXTRA_HEADERS]))
        # an error middleware around this endpoint adds the request id and the extra headers itself
        await _respond(send, reply, "" if within else request_id)

    async def _handle(self, call: _Call, receive: Receive) -> Reply:
        """The steps of a request. Its key may stand in the body, which is decoded first then."""
        operation, credentials = self._operation, self._operation.credentials
        if isinstance(operation, ConstantOperation):
            await body.read(receive, self._limit)
            return operation.answer
        key_in_body = False
        if credentials is not IN_HEADERS:
            call.headers = credentials.locate(call.headers, call.query, call.scope)
            key_in_body = credentials.are_in_body(call.headers, call.query)
        if not key_in_body:
            self._authenticate(call)
            self._throttle(call)
        self._check(call)
        raw = await body.read(receive, self._limit, call.scope.get(WORKSPACE, UNKNOWN))
        raw, value = self._decode(call, raw)
        if key_in_body:
            call.headers = call.scope[HEADERS] = credentials.from_body(call.headers, value)
            self._authenticate(call)
            self._throttle(call)
        if isinstance(value, NotJson):
            value = value.recover(mend=operation.lenient)
        if operation.with_query is not None and call.query:
            value = operation.with_query(value, call.query)
        body.hold(call.scope, raw, call.principal.workspace)
        if isinstance(operation, IngestOperation):
            answer = await self._take(call, self._caller(call), operation.parse(value, self._most))
            return operation.reply(answer)
        return await self._answer(operation, call, raw, value)

    def _authenticate(self, call: _Call) -> None:
        """Raises ``ApiError`` (401, 403, 422)."""
        credentials, control = self._operation.credentials, self._edge.control
        if credentials.by_path is None:
            call.principal = authorise(control, call.headers, call.query, credentials.scope, call.now_ms)
        else:
            call.principal = credentials.by_path(control, call.scope["path_params"])

    def _throttle(self, call: _Call) -> None:
        """Raises ``ApiError`` (429, 403)."""
        self._edge.rate_limiter.admit(call.scope, call.headers, call.principal, call.now_ms)

    def _check(self, call: _Call) -> None:
        """Parameters and Content-Type; raises ``ApiError`` (415, 422)."""
        operation = self._operation
        if call.query:
            if self._is_native:
                parameters.check(call.scope["method"], operation.path, call.scope["query_string"])
            call.timeout_ms = sync_timeout_ms(call.query)
        if operation.read is None and not operation.any_type:
            body.check_content_type(call.headers.get(b"content-type", b""))

    def _decode(self, call: _Call, raw: bytes) -> tuple[bytes, Any]:
        """The body without its Content-Encoding, and its value or ``NotJson``; raises ``ApiError`` (400, 413, 415)."""
        operation, headers = self._operation, call.headers
        encoding = headers.get(b"content-encoding", b"")
        if operation.any_type and not encoding and raw.startswith(body.GZIP):
            encoding = b"gzip"
        raw = body.decode(raw, encoding, self._limit)
        if operation.read is None:
            value = body.parse_batch(raw, operation.batch_label)
        else:
            value = operation.read(headers.get(b"content-type", b""), raw, self._limit)
        if self._edge.control.test_environments:
            call.scope[BODY] = raw
        return raw, value

    async def _answer(self, operation: CallOperation, call: _Call, raw: bytes, value: Any) -> Reply:
        """The handler's answer; where the operation has a window, the first one to this request."""
        handler, window_s = operation.handler, operation.dedup_window_s
        workspace, replays = call.principal.workspace, self._edge.replay_cache
        request_id = call.headers.get(b"x-request-id")
        keys = RequestReplayCache.keys(call.principal.key_id, call.scope["path"], request_id, raw) if window_s else []
        context = RequestContext(
            edge=self._edge,
            read_api=self._read_api,
            principal=call.principal,
            headers=call.headers,
            query=call.query,
            params=call.scope.get("path_params", {}),
            scheme=call.scope["scheme"],
            repeat_id=replays.name(workspace, keys, window_s, request_id) if keys else "",
            taker=partial(self._take, call, self._caller(call)),
        )
        if not keys:
            return await handler(value, context)
        return await replays.once(workspace, keys, window_s, lambda: handler(value, context))

    def _caller(self, call: _Call) -> Caller:
        operation, principal = self._operation, call.principal
        synced = call.timeout_ms is not None
        wants_task = operation.always_task or (self._is_native and call.query and is_true(call.query, "task"))
        return Caller(
            workspace=principal.workspace,
            environment=principal.environment,
            key_id=principal.key_id,
            source=operation.source,
            now_ms=call.now_ms,
            max_depth=self._edge.settings.max_depth,
            lenient=operation.lenient,
            task_id=ids.task_id(call.now_ms, 1) if synced or wants_task else "",
            reply_to=self._edge.instance if synced else "",
            campaigns=self._edge.control.campaigns,
            seed=call.scope.get(IDEMPOTENCY_SEED, ""),
            trace=call.scope.get(TRACE, ""),
        )

    async def _take(self, call: _Call, caller: Caller, parsed: Parsed) -> IntakeResult:
        """Make the events durable, and with ``sync=true`` wait until they are applied; raises ``ApiError``."""
        timeout_ms = call.timeout_ms
        any_environment = self._operation.any_environment or call.principal.kind == "secret"
        linked = None
        if timeout_ms is not None:
            linked = LinkWaiter(self._edge, self._read_api, key_of(call.headers, call.query))
        batch = Batch(self._edge, caller, any_environment=any_environment, linked=linked)
        if len(parsed.items) == 1 and parsed.atomic and not isinstance(parsed.items[0], ApiError):
            items: list[Accepted | ApiError] = [await batch.send_single(parsed.items[0], parsed.label, timeout_ms)]
            self._counts.events += 1
        else:
            items = await batch.send_all(parsed.items, parsed.label or "", timeout_ms, atomic=parsed.atomic)
            self._count(items)
            if len(items) != sum(isinstance(item, Accepted) for item in items):
                call.refused = _refused_items(call.principal, parsed, items)
        if (caller.workspace, caller.environment) in self._edge.control.test_environments:
            self._note_items(caller, parsed, items)
        return IntakeResult(items=items, task_id=batch.task_id, synced=None if timeout_ms is None else batch.applied)

    def _count(self, items: list[Accepted | ApiError]) -> None:
        refused = [item.code for item in items if isinstance(item, ApiError)]
        self._counts.events += len(items) - len(refused)
        for code in refused:
            self._counts.refused_events[code] += 1

    def _tell(self, call: _Call, refused: ApiError, request_id: str) -> None:
        """Reports a refused request to live views, or its refused items if the answer names one of them."""
        first = next((item for error, item in call.refused if error is refused), None)
        if first is not None and (first.taken or len(call.refused) > 1):
            self._tell_items(call, request_id)
        else:
            self._edge.refusals.note(call.scope, self._operation.source, refused, request_id)

    def _tell_items(self, call: _Call, request_id: str) -> None:
        for error, item in call.refused:
            self._edge.refusals.note(call.scope, self._operation.source, error, request_id, item)

    def _note(self, scope: Scope, query: dict[str, str], refused: ApiError) -> None:
        """Keeps a call that was refused as a whole, if its key belongs to a test environment."""
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
                fields = {} if isinstance(raw, ApiError) else {"type": raw.type, "properties": raw.properties}
                kind = fields.get("type", "")
                home = (caller.workspace, caller.environment)
                self._keep(home, item, kind=kind if isinstance(kind, str) else "", body=item_excerpt(fields))

    def _keep(self, home: tuple[str, str], refused: ApiError, *, kind: str = "", body: str = "") -> None:
        path, source = self._operation.path, self._operation.source
        call = RejectedCall(at_ms=self._edge.clock(), path=path, source=source, error=refused, type=kind, body=body)
        self._edge.rejected.add(home, call)


def _refused_items(
    principal: Principal, parsed: Parsed, items: list[Accepted | ApiError]
) -> list[tuple[ApiError, RefusedItem]]:
    taken = sum(isinstance(item, Accepted) for item in items)
    refused = []
    for raw, item in zip(parsed.items, items, strict=True):
        if isinstance(item, ApiError):
            kind = "" if isinstance(raw, ApiError) or not isinstance(raw.type, str) else raw.type
            refused.append((item, RefusedItem(principal.workspace, principal.environment, kind, taken)))
    return refused


async def _respond(send: Send, reply: Reply, request_id: str) -> None:
    headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
    if request_id:
        headers += ((b"x-request-id", request_id.encode()), NO_SNIFFING)
    if reply.status in (429, 503):
        headers.append(RETRY_AFTER)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
