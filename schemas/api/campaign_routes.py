"""The lines of the table of routes that are about campaigns; pure."""

from schemas.api.route import RouteSpec, get, write
from schemas.json_schema import (
    TEXT,
    TIME,
    ZONE,
    Schema,
    one_of,
)
from schemas.limits import CAMPAIGN_FILTERS, CAMPAIGN_SORTS, MESSAGE_STATES, STEPS

_AS_OF: dict[str, Schema] = {"as_of": TIME}
_SORT = one_of(*(sign + name for name in CAMPAIGN_SORTS for sign in ("", "-")))
_CAMPAIGNS = {**dict.fromkeys((*CAMPAIGN_FILTERS, "name"), TEXT), "sort": _SORT, **_AS_OF}
_DELIVERIES = {"state": one_of(*MESSAGE_STATES), "variant": TEXT, "contact": TEXT, **_AS_OF}
_SERIES = {"interval": {**one_of(*STEPS), "default": "hour"}, "tz": ZONE, "from": TIME, "to": TIME, **_AS_OF}
CAMPAIGN_READS: tuple[RouteSpec, ...] = (
    get("/v1/campaigns", "campaigns:read", "Campaign", "List campaigns", _CAMPAIGNS, listed=True),
    get("/v1/campaigns/{id}", "campaigns:read", "Campaign", "A campaign by id or number, with figures", _AS_OF),
    get(
        "/v1/campaigns/{id}/deliveries", "campaigns:read", "CampaignDelivery", "Its messages", _DELIVERIES, listed=True
    ),
    get("/v1/campaigns/{id}/timeseries", "campaigns:read", "CampaignSeries", "Its figures over time", _SERIES),
    get("/v1/campaigns/{id}/launches", "campaigns:read", "Launch", "Its launches, newest first", listed=True),
    get("/v1/campaigns/{id}/launches/{launch_id}", "campaigns:read", "Launch", "A launch, and how far it is"),
)
CAMPAIGN_WRITES: tuple[RouteSpec, ...] = (
    write("POST", "/v1/campaigns", "campaigns:write", "NewCampaign", {201: "Campaign"}, "Define a campaign"),
    write("PATCH", "/v1/campaigns/{id}", "campaigns:write", "CampaignEdit", {200: "Campaign"}, "Change a campaign"),
    write(
        "POST",
        "/v1/campaigns/{id}/launch",
        "campaigns:write",
        "NewLaunch",
        {200: "LaunchAnswer", 202: "Launch"},
        "Send a campaign to the contacts of a segment or a rule, or to one contact; dry_run shows the outcome",
    ),
)
