"""The edge's counts, and the sockets of the processes beside it, in; `GET /metrics` of this machine out.

The numbers span all workspaces, so the key needs the scope `instance`. A process that does not answer within
a second is left out, and its `headwater_process_up` is 0.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from starlette.requests import Request
from starlette.responses import Response

from ingest.events.edge import Edge
from schemas.errors import STATUS
from schemas.service.exposition import CONTENT_TYPE, Exposition, Sample, merged
from schemas.service.metric import DIALECTS, EDGE, OUTCOMES, REQUEST_OUTCOMES, STACK
from schemas.service.processes import METRICS_PATH, SOCKET, states

WITHIN_S = 1.0
MOST_BYTES = 4 * 1024 * 1024
"""The largest answer of a process."""


class Metrics:
    """The numbers of this edge, and the state of the processes on its machine."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._run = Path(edge.settings.ready_file).parent if edge.settings.ready_file else None
        parts = (EDGE,) if self._run is None else (EDGE, STACK)
        self.exposition = Exposition(edge.settings, "ingest", parts, self.samples)

    async def answer(self, request: Request) -> Response:
        """Raises ``ApiError`` (401, 403) without the scope."""
        self._edge.authorise(request, "instance")
        others = await asyncio.gather(*(_ask(path) for path in self._others()))
        return Response(merged([self.exposition.text(), *others]), headers={"content-type": CONTENT_TYPE})

    def _others(self) -> list[Path]:
        if self._run is None:
            return []
        return sorted(path for path in self._run.glob(f"*{SOCKET}") if path.stem != self.exposition.name)

    def samples(self) -> Iterator[Sample]:
        for dialect in DIALECTS:
            yield from self._requests(dialect)
        accumulator = self._edge.accumulator
        yield Sample("headwater_edge_publish_ack_seconds", (), accumulator.ack_seconds)
        yield Sample("headwater_edge_inflight_bytes", (), accumulator.pending_bytes)
        yield Sample("headwater_edge_inflight_limit_bytes", (), self._edge.settings.publish_buffer_bytes)
        if self._run is not None:
            for state in states(self._run):
                yield Sample("headwater_process_up", (state.name,), float(state.state == "ok"))
                yield Sample("headwater_process_restarts_total", (state.name,), state.restarts)

    def _requests(self, dialect: str) -> Iterator[Sample]:
        counts = self._edge.counts[dialect]
        outcomes = dict.fromkeys(REQUEST_OUTCOMES, 0)
        outcomes["accepted"] = counts.accepted
        reasons = dict(counts.refused_events)
        for code, count in counts.refused.items():
            outcomes[OUTCOMES.get(STATUS[code], "refused")] += count
            reasons[code] = reasons.get(code, 0) + count
        for outcome, count in outcomes.items():
            yield Sample("headwater_edge_requests_total", (dialect, outcome), count)
        for reason, count in reasons.items():
            yield Sample("headwater_edge_refusals_total", (dialect, reason), count)
        yield Sample("headwater_edge_events_total", (dialect, "accepted"), counts.events)
        yield Sample("headwater_edge_events_total", (dialect, "refused"), sum(counts.refused_events.values()))


async def _ask(socket: Path) -> bytes:
    """The metrics text of a process; empty if the process does not answer."""
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
            session.get(f"http://localhost{METRICS_PATH}") as answer,
        ):
            text = bytearray()
            async for part in answer.content.iter_any():
                text += part
                if len(text) > MOST_BYTES:
                    return b""
    except (aiohttp.ClientError, TimeoutError, OSError):
        return b""
    return bytes(text) if answer.status == 200 else b""
