"""Uses of keys in, their last-used times on `control` out: at most one record a minute for each key."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ingest.http.rate_limit import RateLimiter
from schemas.control.control_state import KeyUse
from schemas.errors import ApiError
from schemas.retry import repeated

log = logging.getLogger(__name__)

PAUSE_MS = 60_000
LOOK_S = 2.0
Put = Callable[[str, KeyUse], Awaitable[None]]


class KeyUsageRecorder:
    """Publishes a key's last-used time at once, then at most once a minute, and on shutdown."""

    def __init__(self, rate_limiter: RateLimiter, put: Put) -> None:
        self._rate_limiter = rate_limiter
        self._put = put
        self._told: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="uses of keys")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def tell(self) -> None:
        """Publish the last use of every key whose last record is a minute old."""
        for key_id, (workspace, used_ms) in list(self._rate_limiter.used.items()):
            if used_ms - self._told.get(key_id, -PAUSE_MS) < PAUSE_MS:
                continue
            use = KeyUse(id=key_id, workspace=workspace, created_ms=used_ms, used_ms=used_ms)
            await self._put("key_use", use)
            self._told.pop(key_id, None)
            self._told[key_id] = used_ms
            if self._rate_limiter.used[key_id] == (workspace, used_ms):
                del self._rate_limiter.used[key_id]
            self._forget(used_ms)

    def _forget(self, now_ms: int) -> None:
        """Forget keys whose record is a minute old, oldest first: their next use is published at once."""
        while self._told and now_ms - self._told[oldest := next(iter(self._told))] >= PAUSE_MS:
            del self._told[oldest]

    async def _run(self) -> None:
        def report(error: Exception, pause_s: float) -> None:
            log.warning("publishing key usage failed, retrying in %g s: %s", pause_s, error)

        await repeated(self.tell, LOOK_S, ApiError, report, at_once=False)
