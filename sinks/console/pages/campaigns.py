"""A visit in; the list of campaigns, or one with its funnel, variants, series, launches and deliveries, out."""

import secrets
from typing import Any

from starlette.responses import Response

from schemas.errors import ApiError
from sinks.console.pages import figures, launches
from sinks.console.web import api
from sinks.console.web.visit import Visit

PATH = "/console/campaigns"
WAIT_MS = 2000
_SERIES = ("sent", "delivered", "opened", "clicked")


async def campaigns(visit: Visit) -> Response:
    listed = await visit.api.get(api.path("campaigns"), limit="50", page=visit.query.get("page", "1"))
    return visit.page("campaigns.html", title="Campaigns", campaigns=listed["data"], meta=listed["meta"])


async def campaign(visit: Visit) -> Response:
    return await shown(visit)


async def shown(visit: Visit, status: int = 200, **values: Any) -> Response:
    """Shows a campaign; ``values`` belong to a requested launch."""
    place = api.path("campaigns", visit.request.path_params["id"])
    campaign = await visit.api.get(place)
    interval = "day" if visit.query.get("interval") == "day" else "hour"
    series = await visit.api.get(f"{place}/timeseries", interval=interval)
    state = visit.query.get("state", "")
    deliveries = await visit.api.get(f"{place}/deliveries", limit="20", state=state, page=visit.query.get("page", "1"))
    variants = [{**variant, "rates": _rates(variant["stats"])} for variant in campaign["variants"]]
    return visit.page(
        "campaign.html",
        status,
        title=campaign["name"],
        campaign=campaign,
        funnel=figures.funnel(campaign["stats"]),
        troubles=[(name, campaign["stats"][name]) for name in figures.TROUBLES],
        variants=variants,
        interval=interval,
        series=figures.columns(series["data"], _SERIES),
        deliveries=deliveries["data"],
        meta=deliveries["meta"],
        state=state,
        **await launches.of_campaign(visit, place),
        **{"plan": None, "launch_form": {}, "launch_refused": None, **values},
    )


async def launch(visit: Visit) -> Response:
    """Shows the campaign with the plan of a launch, or after the launch.

    The preview gives the launch its id, so a second press of the button launches nothing.
    """
    form = await visit.form()
    place = api.path("campaigns", visit.request.path_params["id"])
    is_final = form.get("step") == "launch"
    try:
        body = launches.body_of(form)
        if not is_final:
            plan = await visit.api.send("POST", f"{place}/launch", {**body, "dry_run": True})
            own = f"console-{secrets.token_hex(8)}"
            return await shown(visit, plan=plan, launch_form={**form, "id": own})
        await visit.api.send("POST", f"{place}/launch", {**body, "id": form.get("id", "")}, timeout_ms=str(WAIT_MS))
    except ApiError as refused:
        return await shown(visit, refused.status, launch_refused=refused, launch_form=form)
    return visit.go(f"{PATH}/{visit.request.path_params['id']}#launches")


def _rates(stats: dict[str, Any]) -> dict[str, figures.Share | None]:
    delivered = stats["delivered"] or stats["sent"]
    hits = {"opened": stats["opened"], "clicked": stats["clicked"], "converted": stats["conversions"]}
    return {name: figures.share(count, delivered) for name, count in hits.items()}
