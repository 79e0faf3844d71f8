"""A campaign's record in; its definition as reads and writes show it out."""

from typing import Any

from schemas.control import Campaign
from schemas.times import iso


def shape(campaign: Campaign) -> dict[str, Any]:
    """The definition alone; figures are added by whoever has them."""
    return {
        "id": campaign.id,
        "name": campaign.name,
        "kind": campaign.kind,
        "channel": campaign.channel,
        "status": campaign.status,
        "number": campaign.number,
        "trigger_url": f"/trg/{campaign.trigger}" if campaign.trigger else None,
        "delivery": campaign.delivery or None,
        "variants": list(campaign.variants),
        "conversion": campaign.conversion,
        "created_at": iso(campaign.created_ms),
        "updated_at": iso(campaign.updated_ms),
    }
