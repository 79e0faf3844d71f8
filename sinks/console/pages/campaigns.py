"""A visit in; campaigns, and one with its funnel, its variants, its figures over time and its deliveries, out."""

from typing import Any

from starlette.responses import Response

from sinks.console.pages import figures
from sinks.console.web import api
from sinks.console.web.visit import Visit

PATH = "/console/campaigns"
_SERIES = ("sent", "delivered", "opened", "clicked")


async def campaigns(visit: Visit) -> Response:
    listed = await visit.api.get(api.path("campaigns"), limit="50", page=visit.query.get("page", "1"))
    return visit.page("campaigns.html", title="Campaigns", campaigns=listed["data"], meta=listed["meta"])


async def campaign(visit: Visit) -> Response:
    place = api.path("campaigns", visit.request.path_params["id"])
    shown = await visit.api.get(place)
    interval = "day" if visit.query.get("interval") == "day" else "hour"
    series = await visit.api.get(f"{place}/timeseries", interval=interval)
    state = visit.query.get("state", "")
    deliveries = await visit.api.get(f"{place}/deliveries", limit="20", state=state, page=visit.query.get("page", "1"))
    variants = [{**variant, "rates": _rates(variant["stats"])} for variant in shown["variants"]]
    return visit.page(
        "campaign.html",
        title=shown["name"],
        campaign=shown,
        funnel=figures.funnel(shown["stats"]),
        troubles=[(name, shown["stats"][name]) for name in figures.TROUBLES],
        variants=variants,
        interval=interval,
        series=figures.columns(series["data"], _SERIES),
        deliveries=deliveries["data"],
        meta=deliveries["meta"],
        state=state,
    )


def _rates(stats: dict[str, Any]) -> dict[str, figures.Share | None]:
    delivered = stats["delivered"] or stats["sent"]
    hits = {"opened": stats["opened"], "clicked": stats["clicked"], "converted": stats["conversions"]}
    return {name: figures.share(count, delivered) for name, count in hits.items()}
