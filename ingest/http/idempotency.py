"""A POST with an `Idempotency-Key` in; the first answer to it out, for a day, however often and from wherever it comes.

1. Same key and same body: the first answer again, byte for byte. Another body: 409. A refused request may be
   tried again with another body: only answers to accepted requests are kept.
2. Requests with one key at the same time are one: the others wait for its answer.
3. Answers lie on the edge's own disk, so they outlive a restart. Another edge does not know them, nor does this one
   after a 503, so event ids follow from the key as well: a repeat is stored once.
"""

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Collection
from pathlib import Path
from urllib.parse import parse_qsl

import orjson
from cryptography.fernet import Fernet, InvalidToken
from rocksdict import AccessType, Options, Rdict

from ingest.http import body
from ingest.http.rate_limit import RateLimiter
from schemas.control import access
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.service.memory_budget import Budget
from schemas.service.web import App, ErrorMiddleware, Message, Receive, Scope, Send
from schemas.times import DAY_MS

HEADER = b"idempotency-key"
IDEMPOTENCY_SEED = "headwater.seed"
"""Key of the request's scope: the seed of its events' ids."""
WITH_SECRETS = ("/v1/keys", "/v1/webhooks", "/v1/workspaces", "/v1/receivers")
"""Paths whose answers may hold a secret; they name no contact, so erasures need not search them."""
KEPT_MS = DAY_MS
_REPEATABLE = Budget(64 * 1024 * 1024, "requests with an Idempotency-Key")
"""Bytes of bodies that are being served, or wait for a request with the same key."""
MOST = 255


class IdempotencyStore:
    """Answers by workspace, environment, API key, path and key; kept for a day."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(4 << 20)
        options.set_max_write_buffer_number(2)
        self._db = Rdict(str(folder), options, access_type=AccessType.read_write().with_ttl(KEPT_MS // 1000))

    def get(self, name: bytes, now_ms: int, cipher: Fernet | None = None) -> tuple[str, list[Message]] | None:
        """``cipher`` decrypts answers that hold a secret."""
        raw = self._db.get(name)
        if raw is None:
            return None
        # compaction forgets when it comes to it
        head, _, payload = raw.partition(b"\n")
        head_fields = orjson.loads(head)
        if now_ms - head_fields["at"] >= KEPT_MS:
            return None
        headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in head_fields["headers"]]
        start = {"type": "http.response.start", "status": head_fields["status"], "headers": headers}
        if cipher is not None:
            try:
                payload = cipher.decrypt(payload)
            except InvalidToken:  # kept by a version that did not encrypt
                return None
        return head_fields["digest"], [start, {"type": "http.response.body", "body": payload}]

    def put(self, name: bytes, digest: str, messages: list[Message], now_ms: int, cipher: Fernet | None = None) -> None:
        start = messages[0]
        headers = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in start["headers"] if k.lower() not in _OWN]
        head_fields = {"at": now_ms, "digest": digest, "status": start["status"], "headers": headers}
        payload = b"".join(m.get("body", b"") for m in messages[1:])
        if cipher is not None:
            payload = cipher.encrypt(payload)
        self._db.put(name, orjson.dumps(head_fields) + b"\n" + payload)

    def forget(self, words: Collection[str]) -> None:
        """Answers in which one of these stands."""
        needles = [word.encode() for word in words]
        for name, raw in self._db.items():
            if any(word in raw for word in needles):
                self._db.delete(name)

    def close(self) -> None:
        self._db.close()


_OWN = frozenset({b"x-request-id", b"ratelimit-limit", b"ratelimit-remaining", b"ratelimit-reset"})
"""Each answer has its own of these."""


class IdempotencyMiddleware:
    """Wraps an app. Requests with a missing or malformed key are not deduplicated."""

    def __init__(
        self, app: App, control: ControlState, rate_limiter: RateLimiter, answers: IdempotencyStore, limit: int
    ) -> None:
        self._app = app
        self._control = control
        self._rate_limiter = rate_limiter
        self._answers = answers
        self._limit = limit
        self._running: dict[bytes, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send, now_ms: int) -> None:
        try:
            await self._answer(scope, receive, send, now_ms)
        except ApiError as refused:  # ours: the app answers its own
            await ErrorMiddleware(_raising(refused))(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, now_ms: int) -> None:
        headers = dict(scope["headers"])
        query_string = scope["query_string"]
        query = dict(parse_qsl(query_string.decode("latin-1")))
        secret = access.key_of(headers, query)
        key = self._control.key(secret, now_ms) if secret else None
        if key is None:
            await self._app(scope, receive, send)
            return
        idempotency_key = _checked(headers[HEADER])
        raw = await body.read(receive, self._limit, key.workspace)
        _REPEATABLE.hold(scope, len(raw), key.workspace)
        environment = query.get("environment") or headers.get(b"headwater-environment", b"").decode("latin-1")
        place = "\0".join((key.workspace, key.id, environment or key.environment, scope["path"], idempotency_key))
        name = hashlib.sha256(place.encode("utf-8", "surrogateescape")).digest()
        # not kept: each waiting request would hold the decoded bytes
        digest = _digest(query_string, _decoded(raw, headers.get(b"content-encoding", b""), self._limit))
        while (running := self._running.get(name)) is not None:
            await running.wait()
        cipher = _cipher(place) if scope["path"].startswith(WITH_SECRETS) else None
        kept = self._answers.get(name, now_ms, cipher)
        if kept is not None:
            # the app counts a request that it answers itself
            self._rate_limiter.admit(scope, headers, access.authorise(self._control, secret, None, now_ms), now_ms)
            if kept[0] != digest:
                raise ApiError("conflict", "this Idempotency-Key came with another body before", "Idempotency-Key")
            await ErrorMiddleware(_saying(kept[1]))(scope, receive, send)
            return
        scope[IDEMPOTENCY_SEED] = name.hex()
        messages: list[Message] = []
        self._running[name] = done = asyncio.Event()
        try:
            await self._app(scope, _again(raw, receive), _into(messages))
            if messages and 200 <= messages[0]["status"] < 300:
                self._answers.put(name, digest, messages, now_ms, cipher)
        finally:
            del self._running[name]
            done.set()
        for message in messages:
            await send(message)


def _decoded(raw: bytes, encoding: bytes, limit: int) -> bytes:
    """Returns the decoded body, as gzip writes the time: a client that compresses each try sends different bytes."""
    try:
        return body.decode(raw, encoding, limit)
    except ApiError:
        return raw  # the app refuses it in its own words


def _digest(query_string: bytes, payload: bytes) -> str:
    return hashlib.sha256(query_string + b"\0" + payload).hexdigest()


def _cipher(place: str) -> Fernet:
    """Made of the Idempotency-Key, which is not stored: only a request that repeats it can read the answer."""
    key = hashlib.sha256(b"answer\0" + place.encode("utf-8", "surrogateescape")).digest()
    return Fernet(urlsafe_b64encode(key))


def _into(messages: list[Message]) -> Send:
    async def heard(message: Message) -> None:
        messages.append(message)

    return heard


def _saying(messages: list[Message]) -> App:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def _raising(refused: ApiError) -> App:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise refused

    return app


def _checked(value: bytes) -> str:
    text = value.decode("latin-1")
    if not 1 <= len(text) <= MOST or not text.isprintable():
        raise ApiError("invalid_field", f"Idempotency-Key must be 1 to {MOST} printable characters", "Idempotency-Key")
    return text


def _again(raw: bytes, receive: Receive) -> Receive:
    """Replays the body, then passes on the client's messages, the last of which is its disconnect."""
    is_sent = False

    async def once() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return once
