"""A campaign's record in; its definition as reads show it out; pure."""

from typing import Any

from schemas.control.control_state import Campaign
from schemas.times import iso


def shape(campaign: Campaign, first_sent_ms: int | None = None) -> dict[str, Any]:
    """The definition alone. ``sent_at`` is when it was said to be sent, else when its first message was."""
    sent_ms = campaign.sent_ms or first_sent_ms
    return {
        "id": campaign.id,
        "number": campaign.number,
        "name": campaign.name,
        "kind": campaign.kind,
        "channel": campaign.channel,
        "status": campaign.status,
        "variants": [variant.model_dump() for variant in campaign.variants],
        "conversion": campaign.conversion and campaign.conversion.model_dump(),
        "delivery": campaign.delivery,
        "trigger_url": f"/trg/{campaign.trigger}" if campaign.trigger else None,
        "sent_at": None if sent_ms is None else iso(sent_ms),
        "created_at": iso(campaign.created_ms),
        "updated_at": iso(campaign.updated_ms),
    }
