"""`DELETE /v1/contacts/{id}` in; an erasure on `control`, and an answer when every store has done it, out.

1. The request becomes an open erasure: durable, and nothing is erased yet. Earlier acknowledged events may tie
   further ids to the contact, so it is closed when identity has processed all of them: then it names every id of
   the contact. An edge that starts closes the erasures that an earlier run left open.
2. A closed erasure deletes everything up to its ``erased_ms``; later events make a new contact. Every store answers on
   `control` when nothing is left in it. ClickHouse answers last, after the sink: while that stands still, the
   erasure is not `done`.
3. The edge deletes its own copies as soon as it reads a closed erasure, at the latest before its first request.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from ingest.contacts import parse
from ingest.contacts.barrier import Barrier
from ingest.control.writer import ControlWriter
from ingest.events.context import KNOWN
from ingest.events.edge import Edge
from ingest.http.read_api import ReadApiClient
from schemas import ids
from schemas.api import serialize, wait_parameters
from schemas.control import control_state
from schemas.control.definitions import Erasure
from schemas.control.erasure import EDGE, STORES, done_ms, step_of
from schemas.errors import ApiError
from schemas.records import identity
from schemas.retry import retried
from schemas.service.kafka import TailEndedError
from schemas.service.web import JsonResponse

log = logging.getLogger(__name__)

ERASED_WITHIN_S = 10.0
_LOOK_S = 0.02
RETRY_S = 1.0


Ask = Callable[[], Awaitable[Any]]
"""The contact's ids, as the read API knows them; ``None`` if there is no such contact."""


class Erasures:
    def __init__(self, edge: Edge, read_api: ReadApiClient, writer: ControlWriter, barrier: Barrier) -> None:
        self._edge = edge
        self._barrier = barrier
        self._closing: dict[str, asyncio.Task[None]] = {}
        self._read_api = read_api
        self._writer = writer
        self._news = asyncio.Event()

    async def start(self) -> None:
        """`control` has been read: close the erasures that an earlier run of this edge left open."""
        self._task = asyncio.create_task(self._forget(), name="erasures")
        for open_erasure in self._edge.control.open_erasures.values():
            self._close(open_erasure)

    async def stop(self) -> None:
        tasks = [self._task, *self._closing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._barrier.stop()

    def apply(self, record: Any) -> None:
        """Apply a record of `control`."""
        edge = self._edge
        edge.control.apply(record.key, record.value)
        _, kind, record_id = control_state.parse_key(record.key) or ("", "", "")
        if kind == "erasure" and (erasure := edge.control.erasures.get(record_id)) is not None:
            edge.merge_map.forget(erasure)
            self._news.set()

    async def _forget(self) -> None:
        """Delete the kept answers to earlier requests, then publish that this edge is done."""
        edge = self._edge
        while True:
            self._news.clear()
            for erasure in list(edge.control.erasures.values()):
                step = step_of(erasure, EDGE, 0, edge.clock())
                if step.id in edge.control.erasure_steps[erasure.id]:
                    continue
                await asyncio.to_thread(edge.idempotency.forget, erasure.contacts)
                try:
                    await self._writer.put("erasure_step", step)
                except (KafkaError, ApiError):
                    log.exception("erasure %s: publishing it again", erasure.id)
                    asyncio.get_running_loop().call_later(1, self._news.set)
            await self._news.wait()

    async def erase(self, request: Request) -> Response:
        """Erases a contact; raises ``ApiError`` (404) if it does not exist or was erased before."""
        edge = self._edge
        principal = edge.authorise(request, "contacts:write")
        home = (principal.workspace, principal.environment)
        within_s = wait_parameters.timeout_ms({"timeout_ms": "10000"} | dict(request.query_params)) / 1000
        path = request.scope["raw_path"].decode().split("/", 3)[3]
        own = identity.contact_id(*home, *parse.named(request.path_params["id"], *home))

        async def ask() -> Any:
            return await self._read_api.get_json(request, KNOWN + path)

        erasure = await self._begin(home, own, ask, within_s)
        headers = {"Location": f"/v1/erasures/{erasure.id}"}
        if await self._is_done(erasure, within_s):
            return Response(status_code=204, headers=headers)
        steps = edge.control.erasure_steps[erasure.id].values()
        now = edge.control.erasures.get(erasure.id, erasure)
        return JsonResponse(serialize.erasure(now, steps, edge.settings.partitions, edge.clock()), 202, headers)

    async def forget(self, home: tuple[str, str], own: str, ask: Ask) -> None:
        """Erases a contact for a client that cannot poll: waits, up to a limit, until all stores have erased it."""
        await self._is_done(await self._begin(home, own, ask, ERASED_WITHIN_S), ERASED_WITHIN_S)

    async def _begin(self, home: tuple[str, str], own: str, ask: Ask, within_s: float) -> Erasure:
        """Makes the erasure durable: from then on no store keeps the contact's data. Raises ``ApiError`` (404)."""
        stored = await ask()
        if stored is None and self._edge.merge_map.winner(own) == own:
            # its events may be acknowledged and not stored yet
            await self._settled(home, own, within_s)
            stored = await ask()
            if stored is None and self._edge.merge_map.winner(own) == own:
                raise ApiError("not_found", "no such contact")
        now_ms = self._edge.clock()
        erasure = Erasure(
            id=ids.new_id("ers_", now_ms),
            workspace=home[0],
            environment=home[1],
            created_ms=now_ms,
            contacts=tuple(sorted({own, *(stored["ids"] if stored else ())})),
            erased_ms=now_ms,
            open=True,
        )
        await self._writer.put("erasure", erasure)
        self._close(erasure)
        return erasure

    async def _settled(self, home: tuple[str, str], own: str, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._barrier.stored(home, own)
        except (TimeoutError, KafkaError, TailEndedError) as error:
            raise ApiError("unavailable", "events on their way may name this contact; try again") from error

    def _close(self, erasure: Erasure) -> None:
        if erasure.id not in self._closing:
            self._closing[erasure.id] = asyncio.create_task(self._find_all(erasure), name=f"close {erasure.id}")

    async def _find_all(self, erasure: Erasure) -> None:
        """Add every id that earlier events tie to the contact, and close the erasure."""
        edge = self._edge

        async def close() -> None:
            await self._barrier.passed((erasure.workspace, erasure.environment))
            ids_now = set(erasure.contacts)
            for contact_id in erasure.contacts:
                ids_now |= edge.merge_map.members(edge.merge_map.winner(contact_id))
            changes = {"contacts": tuple(sorted(ids_now)), "erased_ms": edge.clock(), "open": False}
            await self._writer.put("erasure", erasure.model_copy(update=changes))

        def report(error: Exception, pause_s: float) -> None:
            log.warning("erasure %s: reading its ids failed, retrying in %g s", erasure.id, pause_s, exc_info=error)

        await retried(close, (KafkaError, ApiError, TailEndedError), report, RETRY_S)
        edge.merge_map.forget(edge.control.erasures[erasure.id])
        self._closing.pop(erasure.id, None)
        self._news.set()

    async def _is_done(self, erasure: Erasure, within_s: float) -> bool:
        edge, loop = self._edge, asyncio.get_running_loop()
        end = loop.time() + within_s
        while loop.time() < end:
            steps = list(edge.control.erasure_steps[erasure.id].values())
            done = (done_ms(steps, store, edge.settings.partitions) for store in STORES)
            if erasure.id in edge.control.erasures and all(at_ms is not None for at_ms in done):
                return True
            await asyncio.sleep(_LOOK_S)
        return False
