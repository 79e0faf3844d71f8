"""`DELETE /v1/contacts/{id}` in; an erasure on `control`, and an answer when every store has done it, out.

What the edge itself knows goes as soon as it reads of an erasure, at the latest before it takes its first request.
"""

import asyncio
import logging
from typing import Any

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from ingest import contacts
from ingest.control import ControlWriter
from ingest.edge import Edge
from ingest.forward import Forward
from schemas import control, erasure, ids
from schemas.definitions import Erasure
from schemas.errors import Refused
from schemas.web import Json

log = logging.getLogger(__name__)

CONTACT = "/internal/contacts/known/"
_LOOK_S = 0.02


class Erasures:
    def __init__(self, edge: Edge, forward: Forward, writer: ControlWriter) -> None:
        self._edge = edge
        self._forward = forward
        self._writer = writer
        self._news = asyncio.Event()

    async def start(self) -> None:
        """`control` has been read: what another run of this edge has left open is done now."""
        self._task = asyncio.create_task(self._forget(), name="erasures")

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def apply(self, record: Any) -> None:
        """One record of `control`."""
        edge = self._edge
        edge.control.apply(record.key, record.value)
        _, kind, record_id = control.parse_key(record.key) or ("", "", "")
        if kind == "erasure" and (one := edge.control.erasures.get(record_id)) is not None:
            edge.view.forget(one)
            self._news.set()

    async def _forget(self) -> None:
        """What is kept beside the merge map: answers that would be given again. Then the edge says so."""
        edge = self._edge
        while True:
            self._news.clear()
            for one in list(edge.control.erasures.values()):
                step = erasure.step_of(one, erasure.EDGE, 0, edge.clock())
                if step.id in edge.control.erasure_steps[one.id]:
                    continue
                await asyncio.to_thread(edge.answers.forget, one.contacts)
                try:
                    await self._writer.put("erasure_step", step)
                except (KafkaError, Refused):
                    log.exception("erasure %s is said again", one.id)
                    asyncio.get_running_loop().call_later(1, self._news.set)
            await self._news.wait()

    async def erase(self, request: Request) -> Response:
        """Raises ``Refused`` (404) for nobody, or who was erased."""
        edge = self._edge
        principal = edge.asks(request, "contacts:write")
        within_s = contacts.timeout_ms({"timeout_ms": "10000"} | dict(request.query_params)) / 1000
        known = await self._forward.ask(request, CONTACT + request.scope["raw_path"].decode().split("/", 3)[3])
        if known is None:
            raise Refused("not_found", "no such contact")
        now_ms = edge.clock()
        one = Erasure(
            id=ids.new_id("ers_", now_ms),
            workspace=principal.workspace,
            environment=principal.environment,
            created_ms=now_ms,
            contacts=tuple(known["ids"]),
            erased_ms=now_ms,
        )
        await self._writer.put("erasure", one)
        edge.view.forget(one)
        self._news.set()
        headers = {"Location": f"/v1/erasures/{one.id}"}
        if await self._is_done(one, within_s):
            return Response(status_code=204, headers=headers)
        steps = edge.control.erasure_steps[one.id].values()
        return Json(erasure.shape(one, steps, edge.settings.partitions, edge.clock()), 202, headers)

    async def _is_done(self, one: Erasure, within_s: float) -> bool:
        edge, loop = self._edge, asyncio.get_running_loop()
        end = loop.time() + within_s
        while loop.time() < end:
            steps = list(edge.control.erasure_steps[one.id].values())
            if all(erasure.done_ms(steps, store, edge.settings.partitions) is not None for store in erasure.STORES):
                return True
            await asyncio.sleep(_LOOK_S)
        return False
