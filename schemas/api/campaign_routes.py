"""The lines of the table of routes that are about campaigns, and the shapes of their answers; pure."""

from schemas.api.route import RouteSpec, get, write
from schemas.control.launch_jobs import SKIPS
from schemas.json_schema import (
    COUNT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    TIME,
    ZONE,
    Schema,
    many,
    mapping,
    maybe,
    one_of,
    record,
    ref,
)
from schemas.limits import CAMPAIGN_FILTERS, CAMPAIGN_SORTS, MESSAGE_STATES, STEPS

_AS_OF: dict[str, Schema] = {"as_of": TIME}
_SORT = one_of(*(sign + name for name in CAMPAIGN_SORTS for sign in ("", "-")))
_CAMPAIGNS = {**dict.fromkeys((*CAMPAIGN_FILTERS, "name"), TEXT), "sort": _SORT, **_AS_OF}
_DELIVERIES = {"state": one_of(*MESSAGE_STATES), "variant": TEXT, "contact": TEXT, **_AS_OF}
_SERIES = {"interval": {**one_of(*STEPS), "default": "hour"}, "tz": ZONE, "from": TIME, "to": TIME, **_AS_OF}
_KINDS = ("requested", "sent", "delivered", "opened", "machine_opened", "clicked", "machine_clicked")
MESSAGE_KINDS = (*_KINDS, "bounced", "complained", "unsubscribed", "failed")
_FIGURES = dict.fromkeys((*MESSAGE_KINDS, "conversions"), COUNT)
_STATS: Schema = record(
    {
        **_FIGURES,
        "conversion_events": COUNT,
        "conversion_value": NUMBER,
        "bounces": mapping(COUNT),
        "rates": mapping(maybe(NUMBER)),
    },
    {"contacts": record(_FIGURES)},
)
_CAMPAIGN: dict[str, Schema] = {
    "id": TEXT,
    "number": COUNT,
    **dict.fromkeys(("name", "kind", "channel", "status"), TEXT),
    "conversion": maybe(record({"event": TEXT, "window": TEXT, "value": maybe(TEXT)})),
    "consent": record({"names": many(TEXT), "required": one_of("given", "not_refused")}),
    "cap": maybe(record({"messages": COUNT, "within": TEXT})),
    "launch_on_entry": {**maybe(TEXT), "description": "The segment that a contact enters to be sent it."},
    "delivery": maybe(mapping(TEXT)),
    **dict.fromkeys(("trigger_url",), maybe(TEXT)),
    "sent_at": maybe(TIME),
    "created_at": TIME,
    "updated_at": TIME,
    "stats": ref("CampaignStats"),
}
_VARIANT: dict[str, Schema] = {"id": TEXT, "name": maybe(TEXT)}
_LAUNCHED: dict[str, Schema] = {
    "total": {**COUNT, "description": "Contacts of the audience."},
    "launched": {**COUNT, "description": "Those that are sent a message."},
    "skipped": {**record(dict.fromkeys(SKIPS, COUNT)), "description": "The others, by the first reason that holds."},
}
_LAUNCH: dict[str, Schema] = {
    **dict.fromkeys(("id", "task_id", "campaign_id"), TEXT),
    "status": one_of("running", "done", "failed"),
    "audience": OBJECT,
    "override_consent": FLAG,
    "on_entry": {**FLAG, "description": "Whether it counts what contacts that enter the segment are sent."},
    **_LAUNCHED,
    "created_at": TIME,
    "done_at": maybe(TIME),
    "reason": {**maybe(TEXT), "description": "Why it failed."},
}
CAMPAIGN_SHAPES: dict[str, Schema] = {
    "CampaignStats": _STATS,
    "Campaign": record({**_CAMPAIGN, "variants": many(record(_VARIANT, {"stats": ref("CampaignStats")}))}),
    "CampaignDelivery": record(
        {
            **dict.fromkeys(("message_id", "contact_id"), maybe(TEXT)),
            "state": one_of(*MESSAGE_STATES),
            **dict.fromkeys(("variant", "channel"), maybe(TEXT)),
            **{f"{kind}_at": maybe(TIME) for kind in MESSAGE_KINDS},
            "bounce_class": maybe(TEXT),
        }
    ),
    "CampaignSeries": record({"interval": one_of(*STEPS), "tz": TEXT, "data": many(record({"at": TIME, **_FIGURES}))}),
    "Launch": record(_LAUNCH),
    "LaunchAnswer": {"anyOf": [ref("Launch"), ref("LaunchPlan")]},
    "LaunchPlan": record({"dry_run": FLAG, "campaign_id": TEXT, "audience": OBJECT, **_LAUNCHED}),
}
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
        "Send a campaign to the contacts of a segment or a rule, or to one; dry_run says what would happen",
    ),
)
