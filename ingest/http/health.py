"""A request for this edge's health in; the state of events and reads at this moment, within 2 s, out.

A health request makes the edge query the leaders of `events` and the read API, so an idle edge costs nothing.
Concurrent requests share a report, and a report serves for half a second.
"""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ingest.http.read_api import ReadApiClient
from schemas import topics
from schemas.control.control_state import ControlState
from schemas.service.heartbeat import Check, states_of
from schemas.service.kafka import Probe
from schemas.service.processes import states
from schemas.service.web import JsonResponse, is_draining
from schemas.settings import Settings

FRESH_S = 0.5
LEAST_FREE = 1024 * 1024 * 1024
"""Bytes of disk below which there is a warning: more than the embedded database needs to write."""


class Health:
    def __init__(self, settings: Settings, read_api: ReadApiClient, control: ControlState) -> None:
        self._settings = settings
        self._control = control
        self._probe = Probe(settings, topics.EVENTS)
        self.needs = {"kafka": self._probe.ask, "reads": read_api.check}
        self._beside: dict[str, Check] = {}
        if settings.ready_file and not settings.clickhouse_url:
            self._beside["clickhouse"] = lambda: read_api.check_front(settings.clickhouse)
        self._asking: asyncio.Task[dict[str, Any]] | None = None
        self._asked_at = 0.0

    async def stop(self) -> None:
        await self._probe.stop()

    async def live(self, _request: Request) -> Response:
        return JsonResponse({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """200 when events are taken and reads are answered; with ``?for=events`` the former is enough.

        A process that is about to end is not ready in either way, and takes events until it ends.
        """
        if is_draining(request):
            return JsonResponse({"status": "draining"}, 503)
        now = time.monotonic()
        if self._asking is None or (self._asking.done() and now - self._asked_at > FRESH_S):
            self._asked_at = now
            self._asking = asyncio.create_task(self._report(), name="health")
        report = await asyncio.shield(self._asking)
        is_ready = report["events"] and (report["reads"] or request.query_params.get("for") == "events")
        status = report["status"] if is_ready else "unavailable"
        return JsonResponse({**report, "status": status}, 200 if is_ready else 503)

    async def _report(self) -> dict[str, Any]:
        components: dict[str, dict[str, Any]] = dict(await states_of({**self.needs, **self._beside}))
        is_away = {name: component["state"] != "ok" for name, component in components.items()}
        components["disk"] = disk(self._settings.home)
        components["definitions"] = definitions(self._control)
        if self._settings.ready_file:
            for process in states(Path(self._settings.ready_file).parent):
                if process.name not in components:
                    reason = {"reason": process.reason} if process.reason else {}
                    components[process.name] = {"state": process.state, **reason}
        troubled = any(component["state"] not in ("ok", "starting") for component in components.values())
        return {
            "status": "degraded" if troubled else "ready",
            "events": not is_away["kafka"],
            "reads": not is_away["reads"],
            "components": components,
        }


def definitions(control: ControlState) -> dict[str, Any]:
    """Skipped records are reported; they make no component unhealthy."""
    passed = control.unreadable
    return {"state": "ok"} | ({"reason": f"{passed} records on control were not readable"} if passed else {})


def disk(home: Path) -> dict[str, Any]:
    """Free space where the state lies."""
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE:
        return {"state": "full", "reason": f"{free // 1_000_000} MB are free in {home.name}"}
    return {"state": "ok"}
