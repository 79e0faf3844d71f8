"""A visit in; the workspace's keys, a new key (shown once), or a revoked key, out."""

from typing import Any

from starlette.responses import Response

from schemas.control.control_state import SCOPES
from schemas.errors import ApiError
from sinks.console.web import api
from sinks.console.web.visit import Visit

PATH = "/console/keys"


async def keys(visit: Visit) -> Response:
    return await _page(visit)


async def create(visit: Visit) -> Response:
    fields = await visit.fields()
    form = dict(fields)
    kind = form.get("kind", "secret")
    body: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "kind": kind,
        "environment": form.get("environment", ""),
    }
    if kind == "secret":
        body["scopes"] = [value for name, value in fields if name == "scopes"]
    try:
        made = await visit.api.send("POST", api.path("keys"), body)
    except ApiError as refused:
        return await _page(visit, refused.status, refused=refused, form=form)
    return await _page(visit, 201, made=made)


async def revoke(visit: Visit) -> Response:
    await visit.form()
    try:
        await visit.api.send("DELETE", api.path("keys", visit.request.path_params["id"]))
    except ApiError as refused:
        return await _page(visit, refused.status, refused=refused)
    return visit.go(PATH)


async def _page(visit: Visit, status: int = 200, **values: Any) -> Response:
    listed = await visit.api.get(api.path("keys"), limit="100")
    offered = [scope for scope in SCOPES if visit.may(scope)]
    chosen = {"made": None, "refused": None, "form": {}, **values}
    return visit.page("keys.html", status, title="Keys", keys=listed["data"], scopes=offered, **chosen)
