"""A key and a time in; its rate limit's headers, or a refusal, out; pure.

1. A key's bucket holds one second's worth of requests and fills at its rate; an edge counts for itself.
2. A public key is used in browsers: its workspace lists the origins of the pages that may use it.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

from ingest.http.cors import KIND, WORKSPACE, Headers, allows
from schemas.control.access import Principal
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.service.web import EXTRA_HEADERS

MOST_BUCKETS = 100_000


class RateLimiter:
    """Limits the requests of each key. ``used`` holds unpublished uses of keys: key -> (workspace, last seen)."""

    def __init__(self, control: ControlState, rate_limit: int) -> None:
        self._control = control
        self._rate_limit = rate_limit
        self._buckets: dict[str, tuple[float, int]] = {}
        self.used: dict[str, tuple[str, int]] = {}

    def admit(
        self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes], principal: Principal, now_ms: int
    ) -> None:
        """Raises ``ApiError``: 429 over the key's rate, 403 for a page that the workspace does not name."""
        self.used[principal.key_id] = (principal.workspace, now_ms)
        scope[WORKSPACE], scope[KIND] = principal.workspace, principal.kind
        limit = principal.rate_limit or self._rate_limit
        if limit:
            left = self._take(principal.key_id, limit, now_ms)
            self._say(scope, _rates(limit, left))
            if left < 0:
                raise ApiError("rate_limited", f"the key's rate is {limit} requests a second")
        if (
            principal.kind == "public"
            and b"origin" in headers
            and not allows(self._control, principal.workspace, headers[b"origin"])
        ):
            raise ApiError("missing_scope", "the workspace does not allow requests from this origin", "Origin")

    def _take(self, key_id: str, limit: int, now_ms: int) -> float:
        level, at_ms = self._buckets.pop(key_id, (float(limit), now_ms))
        level = min(float(limit), level + max(0, now_ms - at_ms) * limit / 1000) - 1
        if len(self._buckets) >= MOST_BUCKETS:
            # the one used longest ago, which is full again soonest
            del self._buckets[next(iter(self._buckets))]
        # a refused request takes no token, or a client that never pauses would never be let in
        self._buckets[key_id] = (level if level >= 0 else level + 1, max(now_ms, at_ms))
        return level

    def _say(self, scope: MutableMapping[str, Any], headers: Headers) -> None:
        scope[EXTRA_HEADERS] = (*scope.get(EXTRA_HEADERS, ()), *headers)


def _rates(limit: int, left: float) -> Headers:
    remaining = max(0, int(left))
    return (
        (b"ratelimit-limit", b"%d" % limit),
        (b"ratelimit-remaining", b"%d" % remaining),
        (b"ratelimit-reset", b"%d" % (remaining < limit)),
    )
