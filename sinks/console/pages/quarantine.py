"""A visit in; records in quarantine, one with its bytes, or the plan or result of a replay, out."""

from typing import Any
from urllib.parse import unquote

from starlette.responses import Response

from schemas.errors import ApiError
from sinks.console.web import api
from sinks.console.web.visit import Visit

PATH = "/console/quarantine"
CHOICES = ("reason", "topic")
WITHIN_MS = "10000"
"""How long a page waits for the job that its form started."""


async def quarantine(visit: Visit) -> Response:
    """Lists records; with ``plan`` in the query also the present outcome of a replay of the open ones."""
    plan = None
    if visit.query.get("plan"):
        plan = await visit.api.send("POST", api.path("quarantine", "replay"), _request(visit.query, dry_run=True))
    return await _page(visit, visit.query, plan=plan)


async def _page(visit: Visit, chosen: dict[str, str], status: int = 200, **values: Any) -> Response:
    state = chosen.get("status", "open")
    summary = (await visit.api.get(api.path("quarantine", "summary")))["data"]
    listed = await visit.api.get(
        api.path("quarantine"),
        limit="50",
        page=chosen.get("page", "1"),
        status="" if state == "any" else state,
        **{name: chosen.get(name, "") for name in CHOICES},
    )
    shown = {"plan": None, "job": None, "refused": None, **values}
    return visit.page(
        "quarantine.html",
        status,
        title="Quarantine",
        rows=listed["data"],
        meta=listed["meta"],
        summary=summary,
        chosen={name: chosen.get(name, "") for name in CHOICES} | {"status": state},
        **shown,
    )


def _request(chosen: dict[str, str], **more: bool) -> dict[str, Any]:
    return {"filter": {name: chosen[name] for name in CHOICES if chosen.get(name)}, **more}


async def replay(visit: Visit) -> Response:
    return await _act(visit, "replay")


async def discard(visit: Visit) -> Response:
    return await _act(visit, "discard")


async def _act(visit: Visit, action: str) -> Response:
    """Replays or discards the form's records; shows the result above the list."""
    form = await visit.form()
    try:
        job = await visit.api.send("POST", api.path("quarantine", action), _request(form), timeout_ms=WITHIN_MS)
    except ApiError as refused:
        return await _page(visit, form, refused.status, refused=refused)
    return await _page(visit, form | {"status": "open"}, job=job)


def _id(visit: Visit) -> str:
    return unquote(visit.request.path_params["id"])  # the browser may encode colons


async def record(visit: Visit) -> Response:
    return await _record(visit)


async def _record(visit: Visit, status: int = 200, **values: Any) -> Response:
    record = await visit.api.get(api.path("quarantine", _id(visit)))
    shown = {"job": None, "refused": None, **values}
    return visit.page("quarantined.html", status, title="Record in quarantine", record=record, **shown)


async def replay_one(visit: Visit) -> Response:
    return await _act_on_one(visit, "replay")


async def discard_one(visit: Visit) -> Response:
    return await _act_on_one(visit, "discard")


async def _act_on_one(visit: Visit, action: str) -> Response:
    await visit.form()
    try:
        place = api.path("quarantine", _id(visit), action)
        job = await visit.api.send("POST", place, timeout_ms=WITHIN_MS)
    except ApiError as refused:
        return await _record(visit, refused.status, refused=refused)
    return await _record(visit, job=job)
