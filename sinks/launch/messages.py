"""A launch and a contact in; the event that asks for the contact's message out; pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from schemas.control.control_state import Campaign
from schemas.control.launch_jobs import LaunchJob, ids_of
from schemas.records.channels import DEVICES, address_kind
from schemas.records.identity import CONTACT_ID
from schemas.records.records import REQUESTED, TRACK, Event, Identifier

SOURCE = "headwater"


def requested(
    job: LaunchJob, campaign: Campaign, row: Mapping[str, Any], now_ms: int, *, entered_as: str = ""
) -> Event:
    """Builds the event that requests a message, as a client would send it.

    ``entered_as``: the contact's id when it entered the segment; it may have merged since.
    """
    message = ids_of(job.id, job.workspace, job.campaign, entered_as or row["contact_id"], REQUESTED)
    properties: dict[str, Any] = {
        "launch_id": job.id,
        "to": address(campaign.channel, row),
        "content": job.content,
        "custom_data": job.custom_data,
        "consent_overridden": job.override_consent or None,
    }
    return Event(
        event_id=message.event_id,
        workspace=job.workspace,
        environment=job.environment,
        kind=TRACK,
        type=REQUESTED,
        contact_id=row["contact_id"],
        identifiers=[Identifier(type=CONTACT_ID, value=row["contact_id"])],
        timestamp_ms=now_ms,
        received_ms=now_ms,
        properties=orjson.dumps({name: value for name, value in properties.items() if value}),
        context=b"",
        profile=b"",
        campaign_id=campaign.id,
        message_id=str(message.message_id),
        variant=variant(job, campaign, message.message_id.int),
        channel=campaign.channel,
        source=SOURCE,
        key_id=job.key_id,
        task_id="",
        reply_to="",
    )


def address(channel: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Where the message goes; empty for a channel without addresses."""
    kind = address_kind(channel)
    if kind == DEVICES:
        return {DEVICES: orjson.loads(row[DEVICES] or b"[]")}
    return {kind: row[kind]} if kind else {}


def variant(job: LaunchJob, campaign: Campaign, message: int) -> str:
    """The launch's, else one by the message's id: the same each time, and each as often."""
    if job.variant or not campaign.variants:
        return job.variant
    return campaign.variants[message % len(campaign.variants)].id
