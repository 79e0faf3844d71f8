"""The control state in; the campaigns of an environment out. Figures are added by whoever has them."""

from schemas.control import Campaign, ControlState
from schemas.errors import Refused
from sinks.query.contacts import Home


def campaign_named(control: ControlState, home: Home, campaign_id: str) -> Campaign:
    """Raises ``Refused`` (404)."""
    found = control.campaigns[home.workspace].get(campaign_id)
    if found is None or found.environment != home.environment:
        raise Refused("not_found", "no such campaign")
    return found


def campaigns_of(control: ControlState, home: Home, status: str | None) -> list[Campaign]:
    """Newest first."""
    found = [
        campaign
        for campaign in control.campaigns[home.workspace].values()
        if campaign.environment == home.environment and status in (None, campaign.status)
    ]
    return sorted(found, key=lambda c: (-c.created_ms, c.id))
