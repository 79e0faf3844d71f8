"""A visit in; webhooks with their health, a new one, deliveries with request and response, or a retry, out."""

import asyncio
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from schemas.errors import ApiError
from schemas.limits import NOTIFICATIONS
from sinks.console.web import api
from sinks.console.web.visit import Visit

PATH = "/console/webhooks"
MOST_ASKED, MOST_LATEST = 20, 30
"""The number of endpoints to query for attempts, and of attempts to show."""
MOST_RETRIED = 20
"""Endpoints at which deliveries are tried again at once."""


async def webhooks(visit: Visit) -> Response:
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, **values: Any) -> Response:
    listed = await visit.api.get(api.path("webhooks"), limit="100")
    queried = listed["data"][:MOST_ASKED]
    logs = await asyncio.gather(
        *(visit.api.get(api.path("webhooks", w["id"], "deliveries"), limit=str(MOST_LATEST)) for w in queried)
    )
    health = (await visit.api.get(api.path("webhooks", "health")))["data"]
    latest = [{**row, "webhook": w} for w, log in zip(queried, logs, strict=True) for row in log["data"]]
    latest.sort(key=lambda row: row["at"], reverse=True)
    shown = {"made": None, "refused": None, "form": {}, "retried": None, "chosen": [], **values}
    return visit.page(
        "webhooks.html",
        status,
        title="Webhooks",
        webhooks=listed["data"],
        health={row["webhook_id"]: row for row in health},
        latest=latest[:MOST_LATEST],
        queried=len(queried),
        **shown,
    )


async def create(visit: Visit) -> Response:
    form = await visit.form()
    body = {"url": form.get("url", "").strip(), "types": form.get("types", "").replace(",", " ").split()}
    try:
        made = await visit.api.send("POST", api.path("webhooks"), body)
    except ApiError as refused:
        return await _page(visit, refused.status, refused=refused, form=form)
    return await _page(visit, 201, made=made)


async def webhook(visit: Visit) -> Response:
    """Shows one endpoint and the log of its attempts, with a retry for failed ones."""
    return await _webhook(visit)


async def retry_all(visit: Visit) -> Response:
    """Retries all deliveries that failed or have a pending retry, by type and time if the form names them."""
    form = await visit.form()
    place = api.path("webhooks", visit.request.path_params["id"], "deliveries", "retry")
    try:
        retried = await visit.api.send("POST", place, {"filter": _filter(form)})
    except ApiError as refused:
        return await _webhook(visit, refused.status, refused=refused)
    return await _webhook(visit, retried=retried)


async def retry_several(visit: Visit) -> Response:
    """Retries at each chosen endpoint; shows the outcome of each."""
    fields = await visit.fields()
    form, chosen = dict(fields), list(dict.fromkeys(value for name, value in fields if name == "webhook"))
    if not 1 <= len(chosen) <= MOST_RETRIED:
        refused = ApiError("invalid_field", f"choose 1 to {MOST_RETRIED} webhooks", "webhook")
        return await _page(visit, refused.status, refused=refused, chosen=chosen)
    outcomes = await asyncio.gather(*(_retried(visit, webhook_id, _filter(form)) for webhook_id in chosen))
    return await _page(visit, retried=dict(zip(chosen, outcomes, strict=True)), chosen=chosen)


async def _retried(visit: Visit, webhook_id: str, chosen: dict[str, str]) -> dict[str, Any]:
    try:
        place = api.path("webhooks", webhook_id, "deliveries", "retry")
        answer: dict[str, Any] = await visit.api.send("POST", place, {"filter": chosen})
    except ApiError as refused:
        return {"retried": 0, "more": False, "refused": refused}
    return {**answer, "refused": None}


def _filter(form: dict[str, str]) -> dict[str, str]:
    chosen = {"status": "pending" if form.get("status") == "pending" else "failed"}
    # a browser's time fields have no zone; the page labels them UTC
    chosen |= {name: f"{form[name]}Z" for name in ("since", "until") if form.get(name)}
    return chosen | ({"type": form["type"].strip()} if form.get("type", "").strip() else {})


async def test(visit: Visit) -> Response:
    """Sends a sample message now; the page shows the response."""
    form = await visit.form()
    body = {"type": form["type"].strip()} if form.get("type", "").strip() else {}
    try:
        tested = await visit.api.send("POST", api.path("webhooks", visit.request.path_params["id"], "test"), body)
    except ApiError as refused:
        return await _webhook(visit, refused.status, refused=refused)
    return await _webhook(visit, tested=tested)


async def _webhook(visit: Visit, status: int = 200, **values: Any) -> Response:
    webhook_id = visit.request.path_params["id"]
    place = api.path("webhooks", webhook_id)
    webhook, health = await asyncio.gather(
        visit.api.get(place), visit.api.get(api.path("webhooks", "health"), webhook_id=webhook_id)
    )
    chosen = {name: visit.query.get(name, "") for name in ("status", "type", "from", "to")}
    log = await visit.api.get(f"{place}/deliveries", limit="50", page=visit.query.get("page", "1"), **chosen)
    shown = {"retried": None, "tested": None, "refused": None, **values}
    return visit.page(
        "webhook.html",
        status,
        title="Webhook",
        webhook=webhook,
        health=next(iter(health["data"]), None),
        attempts=log["data"],
        meta=log["meta"],
        chosen=chosen,
        more=urlencode({name: value for name, value in chosen.items() if value}),
        examples=[kind for kind in webhook["types"] if "*" not in kind] + list(NOTIFICATIONS),
        **shown,
    )


async def attempt(visit: Visit) -> Response:
    """Renders one attempt with its request and response: a fragment."""
    parts = visit.request.path_params
    attempt_row = await visit.api.get(api.path("webhooks", parts["id"], "deliveries", parts["delivery"]))
    return visit.page("webhook_attempt.html", title="", attempt=attempt_row, webhook_id=parts["id"])


async def retry(visit: Visit) -> Response:
    await visit.form()
    parts = visit.request.path_params
    await visit.api.send("POST", api.path("webhooks", parts["id"], "deliveries", parts["delivery"], "retry"))
    return visit.page("webhook_retried.html", title="")


async def switch(visit: Visit) -> Response:
    """Enables or disables the webhook."""
    form = await visit.form()
    place = api.path("webhooks", visit.request.path_params["id"])
    await visit.api.send("PATCH", place, {"status": "enabled" if form.get("status") == "enabled" else "disabled"})
    return visit.go(f"{PATH}/{visit.request.path_params['id']}")
