"""Refused requests and items of test environments in; the newest of each environment out, for tests of tracking.

Kept in memory by the edge that refused them: a test looks seconds later. Only environments of kind `test`.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cachetools import FIFOCache

from schemas.errors import ApiError
from schemas.times import iso

MOST, MOST_BODY, MOST_HOMES = 500, 2000, 50
Tenancy = tuple[str, str]
"""Workspace and environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedCall:
    """``body`` is the beginning of the request, or of its refused item."""

    at_ms: int
    path: str
    source: str
    error: ApiError
    type: str = ""
    body: str = ""

    def to_json(self) -> dict[str, Any]:
        shown = {"at": iso(self.at_ms), "path": self.path, "source": self.source, "type": self.type or None}
        return {**shown, "error": self.error.body(), "body": self.body}


class RejectedCalls:
    """Up to ``MOST`` of an environment; of more than ``MOST_HOMES`` environments the oldest is forgotten."""

    def __init__(self) -> None:
        self._calls: FIFOCache[Tenancy, deque[RejectedCall]] = FIFOCache(MOST_HOMES)

    def add(self, home: Tenancy, call: RejectedCall) -> None:
        if home not in self._calls:
            self._calls[home] = deque(maxlen=MOST)
        self._calls[home].append(call)

    def since(self, home: Tenancy, since_ms: int, kind: str = "") -> list[RejectedCall]:
        """The newest first; ``kind``: the type of the refused event, if it has one."""
        calls = self._calls.get(home, ())
        return [call for call in reversed(calls) if call.at_ms >= since_ms and kind in ("", call.type)]


def excerpt(raw: bytes) -> str:
    return raw[:MOST_BODY].decode(errors="replace")


def item_excerpt(value: Mapping[str, Any]) -> str:
    """A value without a JSON form is shown as ``str`` has it."""
    try:
        return excerpt(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS))
    except TypeError:
        return "(nested too deeply)"
