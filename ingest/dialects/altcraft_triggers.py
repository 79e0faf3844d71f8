"""Altcraft's trigger launches in, messages as raw events out: `campaigns/triggers/start/` and `/trg/<hex>/<who>`.

1. All validation happens before the first message is made: the query is checked and its audience counted.
   A contact that withdrew the campaign's consent receives no message, unless the body has ``override_consent`` and the
   key has the scope for it. The headers of an audience's answer count both kinds of contacts.
2. Sending an interrupted launch again finishes it: its messages have the ids of the first try.
3. Attachments are durable before any message that refers to them.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from ingest.dialects import altcraft
from ingest.dialects.launch import Launch, launch_of, message, object_in, used_fields
from ingest.events.canonical import profile_of
from ingest.events.operation import JSON, DialectContext, object_of
from ingest.events.raw import Parsed, RawEvent, Reply
from ingest.http.credentials import Credentials
from schemas.control.access import Principal
from schemas.control.consent import consent_of
from schemas.control.control_state import Campaign, ControlState
from schemas.errors import ApiError
from schemas.json_bytes import json_bytes
from schemas.records.records import CONTACT_TYPE

START = "campaigns/triggers/start"
log = logging.getLogger(__name__)

LINK = "/trg/{trigger}/{who}"
MAX_AUDIENCE = 100_000
PAGE = 5_000
CHUNK_BYTES = 8 * 1024 * 1024
CHUNK = 500
TRIGGER = "trigger"
OVERRIDE = "campaigns:override_consent"
DONE = Reply(status=200, body=orjson.dumps({"data": None, "error": 0, "error_text": altcraft.SUCCESS}), headers=(JSON,))


async def start(value: Any, request: DialectContext) -> Reply:
    """Version 1.1: one contact by ``matching``, or all that ``custom_request`` finds."""
    value = object_of(value)
    if value.get("id") is None:
        raise ApiError("missing_field", "id is needed", "id")
    campaign = _active(request.campaign(value["id"]))
    launch = launch_of(value, request.repeat_id)
    if launch.override_consent and OVERRIDE not in request.principal.scopes:
        raise ApiError("missing_scope", f"the key lacks the scope {OVERRIDE}", "override_consent")
    if launch.override_consent:
        log.warning("key %s launches campaign %s without consents", request.principal.key_id, campaign.id)
    query = object_in(value, "custom_request")
    if query is None or value.get("matching") is not None:
        contact_id = await altcraft.find(value, campaign.environment, request)
        page = {"query": {"_id": contact_id}, "limit": 1, "attributes": bool(launch.fields)}
        await _launch_single(
            launch, campaign, [] if contact_id is None else await _page(page, campaign, request), request
        )
        return DONE
    total = (await _ask({"query": query, "count": True}, campaign, request))["total"]
    if total > MAX_AUDIENCE:
        raise ApiError("invalid_field", f"{total} profiles are more than {MAX_AUDIENCE}", "custom_request")
    # a launch to an audience uses each profile's usual address: no subscription is chosen
    launch = replace(launch, subscription_filter=None)
    await _keep(launch, campaign, request)
    page = {"query": query, "limit": PAGE, "after": "", "attributes": bool(launch.fields)}
    launched = skipped = 0
    while True:
        rows = await _page(page, campaign, request)
        allowed = [row for row in rows if _is_allowed(launch, campaign, row)]
        await _send(launch, campaign, allowed, request)
        launched, skipped = launched + len(allowed), skipped + len(rows) - len(allowed)
        if len(rows) < PAGE:
            counts = ((b"headwater-launched", b"%d" % launched), (b"headwater-skipped-no-consent", b"%d" % skipped))
            return replace(DONE, headers=(*DONE.headers, *counts))
        page["after"] = rows[-1]["id"]


async def follow(value: Any, request: DialectContext) -> Reply:
    """Starts the trigger that a link names, for the contact that it names (version 1.0)."""
    trigger, person = request.params["trigger"], request.params["who"]
    campaign = _active(_of_link(request, trigger))
    launch = launch_of({} if value is None else object_of(value), request.repeat_id)
    status, answer = await request.ask_link(trigger, person)
    if status != 200:
        raise altcraft.refused_by(status, answer)
    await _launch_single(launch, campaign, answer["contacts"], request)
    return DONE


def _of_link(request: DialectContext, trigger: str) -> Campaign:
    campaign = request.triggered(trigger)
    if campaign is None:
        raise ApiError("not_found", "no such trigger")
    return campaign


def path_authenticator(control: ControlState, params: Mapping[str, str]) -> Principal:
    """A trigger's link needs no key: its holder may start this trigger and nothing else."""
    campaign = control.triggers.get(params["trigger"])
    if campaign is None:
        raise ApiError("not_found", "no such trigger")
    return Principal(
        key_id=campaign.id,
        kind="secret",
        workspace=campaign.workspace,
        environment=campaign.environment,
        scopes=(),
    )


def _active(campaign: Campaign) -> Campaign:
    if campaign.kind != TRIGGER:
        raise ApiError("not_found", "the campaign is not a trigger", "id")
    if campaign.status != "active":
        raise ApiError("invalid_field", f"the trigger is {campaign.status}", "id")
    return campaign


async def _ask(question: dict[str, Any], campaign: Campaign, request: DialectContext) -> dict[str, Any]:
    status, answer = await request.ask("/internal/audience", campaign.environment, question)
    if status != 200:
        raise altcraft.refused_by(status, answer)
    return dict(answer)


async def _page(question: dict[str, Any], campaign: Campaign, request: DialectContext) -> list[dict[str, Any]]:
    return list((await _ask(question, campaign, request))["contacts"])


async def _launch_single(
    launch: Launch, campaign: Campaign, rows: list[dict[str, Any]], request: DialectContext
) -> None:
    if not rows:
        raise ApiError("not_found", "no such profile")
    if len(rows) > 1:
        raise ApiError("ambiguous", "several profiles match")
    if not _is_allowed(launch, campaign, rows[0]):
        names = " or ".join(consent_of(campaign).names)
        raise ApiError("not_found", f"the profile refuses such messages (consent {names})", "override_consent")
    if message(launch, campaign, rows[0], request.now_ms) is None:
        raise ApiError("not_found", "the profile has no such subscription", "subscription_filter")
    await _keep(launch, campaign, request)
    await _send(launch, campaign, rows, request)


def _is_allowed(launch: Launch, campaign: Campaign, row: Mapping[str, Any]) -> bool:
    return launch.override_consent or consent_of(campaign).allows(row.get("consents") or {})


async def _keep(launch: Launch, campaign: Campaign, request: DialectContext) -> None:
    if launch.attach:
        home = {"workspace": campaign.workspace, "environment": campaign.environment, "campaign_id": campaign.id}
        await request.keep(launch.id, {"launch_id": launch.id, **home, "attach": launch.attach})


async def _send(launch: Launch, campaign: Campaign, rows: list[dict[str, Any]], request: DialectContext) -> None:
    size = len(json_bytes([launch.content, launch.custom_data, launch.fields], "content")) + 1024
    chunk = max(1, min(CHUNK, CHUNK_BYTES // size))
    for start_at in range(0, len(rows), chunk):
        items = [
            raw for row in rows[start_at : start_at + chunk] for raw in _events(launch, campaign, row, request.now_ms)
        ]
        if items:
            await request.take(Parsed(items=[*items], atomic=True, label="audience"))


def _events(launch: Launch, campaign: Campaign, row: dict[str, Any], now_ms: int) -> list[RawEvent]:
    """The raw events: the contact's new attributes first, then the message."""
    used, kept = used_fields(launch, row["attributes"])
    overridden = launch.override_consent or None
    raw = message(launch, campaign, row, now_ms, fields=used, consent_overridden=overridden)
    if raw is None:
        return []
    if not kept:
        return [raw]
    write = RawEvent(
        kind=altcraft.CONTACT,
        type=CONTACT_TYPE,
        identifiers=[("id", row["id"], "profile_id")],
        properties=kept,
        profile=profile_of(kept),
        event_id=f"{raw.event_id}f",
        environment=campaign.environment,
    )
    return [write, raw]


OPERATIONS = (
    altcraft.operation(START, start, "campaigns:write"),
    altcraft.operation(f"{START}/", start, "campaigns:write"),
    replace(
        altcraft.operation("", follow, ""),
        path=LINK,
        methods=("GET", "POST"),
        credentials=Credentials(by_path=path_authenticator),
    ),
)
