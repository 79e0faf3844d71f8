"""Requests in, the first answer to each out: one that is sent again while it is remembered is not applied again.

The same request is one of the same key to the same path with the same body, or with the same ``X-Request-Id``.
Only answers that were given are remembered: what was refused may be tried again. Best effort across edges, so
what an operation writes should have ids that follow from the request.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable

from ingest.raw import Reply

CAPACITY = 20_000
Key = tuple[str, str, bytes]


class Repeats:
    """The last ``capacity`` answers, oldest out first; a repeat of a request in flight waits for it."""

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._first: dict[Key, tuple[float, asyncio.Future[Reply]]] = {}
        self._names: dict[Key, tuple[float, str]] = {}

    @staticmethod
    def keys(key_id: str, path: str, request_id: bytes | None, body: bytes) -> list[Key]:
        """By what a request is known again."""
        found = [(key_id, path, hashlib.blake2b(body, digest_size=16).digest())]
        if request_id:
            found.append((key_id, path, b"id/" + request_id[:128]))
        return found

    def name(self, keys: list[Key], seconds: float, request_id: bytes | None) -> str:
        """32 hex digits, the same for a repeat, also of a request that was refused.

        So what a first try wrote counts once. With a request id it is the same at every edge and for ever.
        """
        if request_id:
            return hashlib.blake2b(
                b"\0".join((keys[-1][0].encode(), keys[-1][1].encode(), keys[-1][2])), digest_size=16
            ).hexdigest()
        now = self._clock()
        known = self._names.pop(keys[0], None)
        if known is None or now >= known[0]:
            known = (now + seconds, secrets.token_hex(16))
        self._names[keys[0]] = known
        while len(self._names) > self._capacity:
            del self._names[next(iter(self._names))]
        return known[1]

    async def once(self, keys: list[Key], seconds: float, serve: Callable[[], Awaitable[Reply]]) -> Reply:
        """The first answer where there is one; raises what ``serve`` raises, to everybody who waits for it."""
        now = self._clock()
        for key in keys:
            known = self._first.get(key)
            if known is not None and now < known[0]:
                return await asyncio.shield(known[1])
        answer = asyncio.ensure_future(serve())
        answer.add_done_callback(_retrieve)
        for key in keys:
            self._first.pop(key, None)
            self._first[key] = (now + seconds, answer)
        while len(self._first) > self._capacity:
            del self._first[next(iter(self._first))]
        try:
            # a client that goes away must not take the answer from those that wait with it
            return await asyncio.shield(answer)
        except Exception:
            for key in keys:
                self._forget(key, answer)
            raise

    def _forget(self, key: Key, answer: asyncio.Future[Reply]) -> None:
        known = self._first.get(key)
        if known is not None and known[1] is answer:
            del self._first[key]


def _retrieve(answer: asyncio.Future[Reply]) -> None:
    if not answer.cancelled():
        answer.exception()
