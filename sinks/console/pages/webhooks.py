"""A visit in; webhooks with their health, a new one, deliveries with request and answer, and another attempt, out."""

import asyncio
from typing import Any

from starlette.responses import Response

from schemas.errors import ApiError
from sinks.console.web import api
from sinks.console.web.visit import Visit

PATH = "/console/webhooks"
MOST_ASKED = 20


async def webhooks(visit: Visit) -> Response:
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, **values: Any) -> Response:
    listed = await visit.api.get(api.path("webhooks"), limit="100")
    webhooks = listed["data"][:MOST_ASKED]
    logs = await asyncio.gather(
        *(visit.api.get(api.path("webhooks", w["id"], "deliveries"), limit="50") for w in webhooks)
    )
    health = {one["id"]: _health(log["data"]) for one, log in zip(webhooks, logs, strict=True)}
    shown = {"made": None, "refused": None, "form": {}, **values}
    return visit.page("webhooks.html", status, title="Webhooks", webhooks=listed["data"], health=health, **shown)


def _health(attempts: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the last attempts: how many came through, and how long the slower half took."""
    done = [one for one in attempts if one["response_code"] or one["error"]]
    good = sum(one["status"] == "succeeded" for one in done)
    times = sorted(one["duration_ms"] for one in done if one["duration_ms"] is not None)
    return {"tried": len(done), "good": good, "median_ms": times[len(times) // 2] if times else None}


async def create(visit: Visit) -> Response:
    form = await visit.form()
    body = {"url": form.get("url", "").strip(), "types": form.get("types", "").replace(",", " ").split()}
    try:
        made = await visit.api.send("POST", api.path("webhooks"), body)
    except ApiError as refused:
        return await _page(visit, refused.status, refused=refused, form=form)
    return await _page(visit, 201, made=made)


async def webhook(visit: Visit) -> Response:
    """One endpoint and the log of its attempts; a failed one may be tried again."""
    return await _webhook(visit)


async def retry_all(visit: Visit) -> Response:
    """All whose last attempt failed, or is to be followed by another."""
    form = await visit.form()
    place = api.path("webhooks", visit.request.path_params["id"], "deliveries", "retry")
    status = "pending" if form.get("status") == "pending" else "failed"
    return await _webhook(visit, retried=await visit.api.send("POST", place, {"filter": {"status": status}}))


async def _webhook(visit: Visit, retried: Any = None) -> Response:
    place = api.path("webhooks", visit.request.path_params["id"])
    webhook = await visit.api.get(place)
    log = await visit.api.get(f"{place}/deliveries", limit="50", page=visit.query.get("page", "1"))
    failed_only = visit.query.get("only") == "failed"
    attempts = [one for one in log["data"] if not failed_only or one["status"] == "failed"]
    return visit.page(
        "webhook.html",
        title="Webhook",
        webhook=webhook,
        attempts=attempts,
        meta=log["meta"],
        failed_only=failed_only,
        health=_health(log["data"]),
        retried=retried,
    )


async def attempt(visit: Visit) -> Response:
    """One attempt with its request and the answer: a fragment."""
    parts = visit.request.path_params
    delivery = await visit.api.get(api.path("webhooks", parts["id"], "deliveries", parts["delivery"]))
    return visit.page("webhook_attempt.html", title="", attempt=delivery, webhook_id=parts["id"])


async def retry(visit: Visit) -> Response:
    await visit.form()
    parts = visit.request.path_params
    await visit.api.send("POST", api.path("webhooks", parts["id"], "deliveries", parts["delivery"], "retry"))
    return visit.page("webhook_retried.html", title="")


async def switch(visit: Visit) -> Response:
    """Enable it, or disable it."""
    form = await visit.form()
    place = api.path("webhooks", visit.request.path_params["id"])
    await visit.api.send("PATCH", place, {"status": "enabled" if form.get("status") == "enabled" else "disabled"})
    return visit.go(f"{PATH}/{visit.request.path_params['id']}")
