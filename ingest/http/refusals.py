"""Refused requests and items in, some of them on the topic `refusals` out, for live views: bounded, without secrets.

1. An accepted request costs nothing here. A refused one costs a look at two counters, and a record where there is room.
2. A second has at most ``MOST_A_SECOND`` records of a workspace, as many of unknown senders, and ``MOST_IN_ALL``
   together. The next record has the number of those left out.
3. A record has a key's first characters, a path without its query, and nothing of a body.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from schemas.control.access import key_of
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.records.codec import encode_refusal
from schemas.records.records import RefusedRequest
from schemas.service import clock
from schemas.service.web import HEADERS, REQUEST_ID

log = logging.getLogger(__name__)

MOST_A_SECOND = 10
MOST_IN_ALL = 50
MOST_WAITING = 200
MOST_HOMES = 1000
_SHOWN = 8
_FOREIGN_SHOWN = 4
"""Characters of a key that are shown; a wrong key may be a password."""
_ASIDE = ("/console", "/docs", "/health", "/favicon", "/robots", "/apple-touch")


class RefusalPublisher(Protocol):
    """Puts a record on a topic."""

    async def send(
        self, topic: str, value: bytes, *, partition: int | None = None, key: bytes | None = None
    ) -> int: ...


class RefusedItem(NamedTuple):
    """A refused item of an accepted request: its tenant, its type if it has one, the number of accepted items."""

    workspace: str
    environment: str
    type: str
    taken: int


class RefusalLog:
    """``clock`` gives epoch ms. Refusals noted before ``telling`` are sent later, the newest ``MOST_WAITING``."""

    def __init__(self, clock: Callable[[], int] = clock.now_ms) -> None:
        self._clock = clock
        self._control: ControlState | None = None
        self._waiting: deque[RefusedRequest] = deque(maxlen=MOST_WAITING)
        self._news = asyncio.Event()
        self._second = 0
        self._told: dict[str, int] = {}
        self._in_all = 0
        self._untold: dict[str, int] = {}

    def note(
        self, scope: Mapping[str, Any], source: str, refused: ApiError, request_id: str, item: RefusedItem | None = None
    ) -> None:
        """Note a refused request, or a refused item of an accepted request; never raises, and never waits."""
        now_ms = self._clock()
        if now_ms // 1000 != self._second:
            self._second, self._in_all = now_ms // 1000, 0
            self._told.clear()
        if self._in_all >= MOST_IN_ALL:
            self._untold[""] = self._untold.get("", 0) + 1
            return
        headers = scope[HEADERS]
        key = key_of(headers, dict(parse_qsl(scope["query_string"].decode("latin-1")))) or ""
        workspace = item.workspace if item is not None else self._workspace(key, now_ms)
        if self._told.get(workspace, 0) >= MOST_A_SECOND or len(self._told) >= MOST_HOMES:
            if workspace in self._untold or len(self._untold) < MOST_HOMES:
                self._untold[workspace] = self._untold.get(workspace, 0) + 1
            return
        self._in_all += 1
        self._told[workspace] = self._told.get(workspace, 0) + 1
        shown = key[: _SHOWN if key.startswith(("pk_", "sk_")) else _FOREIGN_SHOWN]
        refusal = RefusedRequest(
            workspace=workspace,
            source=source,
            key=shown,
            method=scope["method"],
            path=scope["path"][:200],
            agent=headers.get(b"user-agent", b"")[:120].decode("latin-1"),
            status=refused.status,
            code=refused.code,
            message=refused.message[:500],
            param=(refused.param or "")[:200],
            request_id=request_id,
            at_ms=now_ms,
            untold=self._untold.pop(workspace, 0),
            environment=item.environment if item is not None else "",
            item=item is not None,
            type=item.type[:200] if item is not None else "",
            taken=item.taken if item is not None else 0,
        )
        self._waiting.append(refusal)
        self._news.set()

    def note_other(self, scope: Mapping[str, Any], refused: ApiError) -> None:
        """Note a refused request of a path that takes no events; skips pages for people."""
        if scope["path"] != "/" and not scope["path"].startswith(_ASIDE):
            self.note(scope, "", refused, scope.get(REQUEST_ID, ""))

    def _workspace(self, key: str, now_ms: int) -> str:
        record = self._control.key(key, now_ms) if key and self._control is not None else None
        return record.workspace if record else ""

    @asynccontextmanager
    async def telling(self, control: ControlState, publisher: RefusalPublisher, topic: str) -> AsyncIterator[None]:
        """Send noted refusals while the block runs; a record that Kafka does not accept is dropped."""
        self._control = control
        task = asyncio.create_task(self._tell(publisher, topic), name="refused requests")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _tell(self, publisher: RefusalPublisher, topic: str) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                with suppress(ApiError):
                    await publisher.send(topic, encode_refusal(self._waiting.popleft()), partition=0)
