"""Who asks, and when, in; whether it is too often, and which headers the answer carries, out.

1. A key's bucket holds one second's worth of requests and fills at its rate; an edge counts for itself.
2. A public key is used in browsers: its workspace says on whose pages. A secret key gets no leave from us.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from schemas.access import Principal
from schemas.control import ControlState
from schemas.errors import Refused
from schemas.web import SAID_WITH

WORKSPACE = "headwater.workspace"
"""Under it a request's scope has the workspace of its key, once that is known."""
MOST_BUCKETS = 100_000
_EXPOSED = b"X-Request-Id, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
_PREFLIGHT = (
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, content-type, x-api-key, idempotency-key, x-request-id"),
    (b"access-control-max-age", b"600"),
)
Headers = tuple[tuple[bytes, bytes], ...]


class Gate:
    """``used`` is what has to be written down, and is then taken out: key -> (workspace, last seen)."""

    def __init__(self, control: ControlState, rate_limit: int) -> None:
        self._control = control
        self._rate_limit = rate_limit
        self._buckets: dict[str, tuple[float, int]] = {}
        self.used: dict[str, tuple[str, int]] = {}

    def admit(
        self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes], principal: Principal, now_ms: int
    ) -> None:
        """Raises ``Refused``: 429 over the key's rate, 403 for a page that the workspace does not name."""
        self.used[principal.key_id] = (principal.workspace, now_ms)
        scope[WORKSPACE] = principal.workspace
        limit = principal.rate_limit or self._rate_limit
        if limit:
            left = self._take(principal.key_id, limit, now_ms)
            self._say(scope, _rates(limit, left))
            if left < 0:
                raise Refused("rate_limited", f"the key's rate is {limit} requests a second")
        if principal.kind == "public" and b"origin" in headers:
            origin = headers[b"origin"]
            if not self._allows(principal.workspace, origin):
                raise Refused("missing_scope", "the workspace does not allow this page", "Origin")
            self._say(scope, _leave(origin))

    def preflight(self, origin: bytes | None) -> Headers:
        """The answer to a browser that asks first. It names no key, so any workspace's leave will do for now."""
        if origin is None or not any(self._allows(workspace, origin) for workspace in self._control.workspaces):
            return ()
        return (*_leave(origin), *_PREFLIGHT)

    def _take(self, key_id: str, limit: int, now_ms: int) -> float:
        level, at_ms = self._buckets.pop(key_id, (float(limit), now_ms))
        level = min(float(limit), level + max(0, now_ms - at_ms) * limit / 1000) - 1
        if len(self._buckets) >= MOST_BUCKETS:
            # the one used longest ago, which is full again soonest
            del self._buckets[next(iter(self._buckets))]
        # a refused request takes nothing, or who never stops asking would never be let in
        self._buckets[key_id] = (level if level >= 0 else level + 1, max(now_ms, at_ms))
        return level

    def _allows(self, workspace: str, origin: bytes) -> bool:
        found = self._control.workspaces.get(workspace)
        return found is not None and ("*" in found.allowed_origins or origin.decode("latin-1") in found.allowed_origins)

    def _say(self, scope: MutableMapping[str, Any], headers: Headers) -> None:
        scope[SAID_WITH] = (*scope.get(SAID_WITH, ()), *headers)


def _rates(limit: int, left: float) -> Headers:
    remaining = max(0, int(left))
    return (
        (b"ratelimit-limit", b"%d" % limit),
        (b"ratelimit-remaining", b"%d" % remaining),
        (b"ratelimit-reset", b"%d" % (remaining < limit)),
    )


def _leave(origin: bytes) -> Headers:
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    )
