"""Checked bodies of campaigns in, records for `control` out; pure."""

from typing import Any

from schemas import ids
from schemas.api.requests.campaigns import CampaignEdit, NewCampaign
from schemas.control.control_state import Campaign
from schemas.errors import ApiError

TRIGGER = "trigger"
SENT = ("sending", "sent")


def new_campaign(
    body: NewCampaign, workspace: str, environment: str, now_ms: int, *, number: int, trigger: str
) -> Campaign:
    """Returns a new campaign; raises ``ApiError`` if it needs a delivery and has none.

    ``trigger`` is the secret of the launch link, for a campaign of the kind ``trigger``.
    """
    is_trigger = body.kind == TRIGGER
    if is_trigger and body.delivery is None:
        raise ApiError("missing_field", "a trigger needs delivery: webhook_id, url or topic", "delivery")
    status = body.status or ("active" if is_trigger or body.launch_on_entry else "draft")
    fields = body.model_dump(exclude={"delivery", "status", "id"}) | {"delivery": _delivery(body)}
    if body.launch_on_entry and body.delivery is None:
        raise ApiError("missing_field", "a launch on entry needs delivery: webhook_id, url or topic", "delivery")
    return Campaign.model_validate(
        fields
        | {
            "id": body.id or ids.new_id("cmp_", now_ms),
            "workspace": workspace,
            "environment": environment,
            "status": status,
            "launch_on_entry": body.launch_on_entry or "",
            "entry_since_ms": now_ms,
            "number": number,
            "trigger": trigger if is_trigger else "",
            "sent_ms": now_ms if status in SENT else None,
            "created_ms": now_ms,
            "updated_ms": now_ms,
        }
    )


def edited_campaign(campaign: Campaign, body: CampaignEdit, now_ms: int) -> Campaign:
    """The definition after a PATCH; a campaign's kind is for ever, as its link is."""
    if body.kind not in (None, campaign.kind):
        raise ApiError("invalid_field", "the kind of a campaign cannot change", "kind")
    fields = body.model_dump(include=body.model_fields_set - {"kind"})
    for name in ("name", "channel", "status", "variants"):
        if name in fields and fields[name] is None:
            raise ApiError("invalid_field", f"{name} cannot be removed", name)
    if "delivery" in fields:
        fields["delivery"] = _delivery(body)
        if campaign.kind == TRIGGER and fields["delivery"] is None:
            raise ApiError("missing_field", "a trigger needs delivery: webhook_id, url or topic", "delivery")
    if "launch_on_entry" in fields:
        fields["launch_on_entry"] = fields["launch_on_entry"] or ""
    after = campaign.model_copy(update=fields)
    if after.launch_on_entry and after.delivery is None:
        raise ApiError("missing_field", "a launch on entry needs delivery: webhook_id, url or topic", "delivery")
    if (after.launch_on_entry, after.status) != (campaign.launch_on_entry, campaign.status):
        fields["entry_since_ms"] = now_ms  # contacts that entered before are not sent a message
    if campaign.sent_ms is None and fields.get("status") in SENT:
        fields["sent_ms"] = now_ms
    return Campaign.model_validate(campaign.model_dump() | fields | {"updated_ms": now_ms})


def _delivery(body: NewCampaign | CampaignEdit) -> dict[str, Any] | None:
    return None if body.delivery is None else body.delivery.model_dump(exclude_none=True)
