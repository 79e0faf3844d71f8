"""Requests in, the first answer to each out: a repeat is answered from memory and not applied again.

The same request is one of the same key to the same path with the same body, or with the same ``X-Request-Id``.
Only accepted requests are remembered: a refused one may be tried again. Best effort across edges, so an
operation should derive the ids of its records from the request.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ingest.events.raw import Reply
from ingest.http.fair_cache import ENTRY, TEXT, FairCache

MOST_BYTES = 16 * 1024 * 1024
"""The limit of kept answers; their names may take as much again."""
Key = tuple[str, str, bytes]
_FUTURE = 300


class _CachedReply(NamedTuple):
    until: float
    answer: asyncio.Future[Reply]
    size: int
    """Bytes of the answer, once there is one."""


def _key_size(key: Key) -> int:
    return ENTRY + 3 * TEXT + len(key[0]) + len(key[1]) + len(key[2])


class RequestReplayCache:
    """The last answers of each workspace, oldest out first; a repeat of a request in flight waits for it."""

    def __init__(self, limit: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: FairCache[Key, _CachedReply] = FairCache(
            limit, lambda key, first: _key_size(key) + _FUTURE + first.size
        )
        self._names: FairCache[Key, tuple[float, str]] = FairCache(limit, lambda key, _: _key_size(key) + 2 * TEXT)

    @staticmethod
    def keys(key_id: str, path: str, request_id: bytes | None, body: bytes) -> list[Key]:
        """The key by which a repeat is recognised."""
        keys = [(key_id, path, hashlib.blake2b(body, digest_size=16).digest())]
        if request_id:
            keys.append((key_id, path, b"id/" + request_id[:128]))
        return keys

    def name(self, owner: str, keys: list[Key], seconds: float, request_id: bytes | None) -> str:
        """32 hex digits, the same for a repeat, also of a request that was refused; ``owner`` is its workspace.

        So the records of a first try count once. With a request id it is the same at every edge and for ever.
        """
        if request_id:
            return hashlib.blake2b(
                b"\0".join((keys[-1][0].encode(), keys[-1][1].encode(), keys[-1][2])), digest_size=16
            ).hexdigest()
        now = self._clock()
        named = self._names.get(owner, keys[0])
        if named is None or now >= named[0]:
            named = (now + seconds, secrets.token_hex(16))
        self._names.put(owner, keys[0], named)
        return named[1]

    async def once(self, owner: str, keys: list[Key], seconds: float, serve: Callable[[], Awaitable[Reply]]) -> Reply:
        """The first answer, or that of ``serve``; all waiting requests get it, or the exception of ``serve``."""
        now = self._clock()
        for key in keys:
            first = self._first.get(owner, key)
            if first is not None and now < first.until:
                return await asyncio.shield(first.answer)
        answer = asyncio.ensure_future(serve())
        for key in keys:
            self._first.put(owner, key, _CachedReply(now + seconds, answer, 0))
        answer.add_done_callback(lambda _: self._settle(owner, keys, answer))
        # a client that disconnects must not cancel the answer of the others
        return await asyncio.shield(answer)

    def _settle(self, owner: str, keys: list[Key], answer: asyncio.Future[Reply]) -> None:
        """Count an answer by its size; forget a failed one."""
        failed = answer.cancelled() or answer.exception() is not None
        size = 0 if failed else len(answer.result().body)
        for key in keys:
            first = self._first.get(owner, key)
            if first is None or first.answer is not answer:
                continue
            if failed:
                self._first.pop(owner, key)
            else:
                self._first.put(owner, key, first._replace(size=size))
