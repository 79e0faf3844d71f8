"""Campaign definitions in, checked records for `control` and the shape of a campaign out; pure."""

import re
from typing import Any
from urllib.parse import urlsplit

from schemas import ids
from schemas.control import Campaign
from schemas.errors import Refused
from schemas.times import parse_duration

TRIGGER = "trigger"
KINDS = ("broadcast", "regular", TRIGGER)
STATUSES = ("draft", "scheduled", "active", "sending", "sent", "paused", "archived")
TARGETS = ("webhook_id", "url", "topic")
MAX_NAME = 200
MAX_VARIANTS = 20
_FIELDS = frozenset({"name", "kind", "channel", "status", "delivery", "variants", "conversion"})
_TOPIC = re.compile(r"^[A-Za-z0-9._-]{1,200}$")
_CONVERSION = frozenset({"event", "window", "value"})


def new_campaign(value: Any, workspace: str, environment: str, now_ms: int, *, number: int, trigger: str) -> Campaign:
    """A definition from a POST body; ``trigger`` is the secret of its link, should it be a trigger."""
    body = _checked(value, None)
    for name in ("name", "channel"):
        if name not in body:
            raise Refused("missing_field", f"{name} is needed", name)
    kind = body.get("kind", KINDS[0])
    if kind == TRIGGER and not body.get("delivery"):
        raise Refused("missing_field", "a trigger needs delivery: webhook_id, url or topic", "delivery")
    return Campaign(
        id=ids.new_id("cmp_", now_ms),
        workspace=workspace,
        environment=environment,
        name=body["name"],
        kind=kind,
        channel=body["channel"],
        status=body.get("status", "active" if kind == TRIGGER else "draft"),
        number=number,
        trigger=trigger if kind == TRIGGER else "",
        delivery=body.get("delivery", {}),
        variants=body.get("variants", ()),
        conversion=body.get("conversion"),
        created_ms=now_ms,
        updated_ms=now_ms,
    )


def edited_campaign(campaign: Campaign, value: Any, now_ms: int) -> Campaign:
    """The definition after a PATCH; a campaign's kind is for ever, as its link is."""
    body = _checked(value, campaign)
    if campaign.kind == TRIGGER and "delivery" in body and not body["delivery"]:
        raise Refused("missing_field", "a trigger needs delivery: webhook_id, url or topic", "delivery")
    return campaign.model_copy(update={**body, "updated_ms": now_ms})


def _checked(value: Any, known: Campaign | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("invalid_type", "the body must be a JSON object")
    if not value.keys() <= _FIELDS:
        name = min(value.keys() - _FIELDS)
        raise Refused("unknown_field", f"{name} is no field of a campaign", name)
    body = dict(value)
    for name, most in (("name", MAX_NAME), ("channel", 64)):
        if name in body and not _is_text(body[name], most):
            raise Refused("invalid_field", f"{name} must be 1 to {most} characters", name)
    for name, allowed in (("kind", KINDS), ("status", STATUSES)):
        if name in body and body[name] not in allowed:
            raise Refused("invalid_field", f"{name} must be one of {', '.join(allowed)}", name)
    if known is not None and body.get("kind", known.kind) != known.kind:
        raise Refused("invalid_field", "the kind of a campaign does not change", "kind")
    if "delivery" in body:
        body["delivery"] = _delivery(body["delivery"])
    if "variants" in body:
        body["variants"] = _variants(body["variants"])
    if "conversion" in body:
        _check_conversion(body["conversion"])
    return body


def _is_text(value: Any, most: int) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= most


def _delivery(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= set(TARGETS):
        raise Refused("invalid_field", "delivery must have one of webhook_id, url and topic", "delivery")
    ((name, target),) = value.items()
    if not _is_text(target, 2000):
        raise Refused("invalid_field", f"{name} must be a string", f"delivery.{name}")
    if name == "url":
        try:
            parts = urlsplit(target)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused("invalid_field", "url must be an http or https address", "delivery.url")
    if name == "topic" and not _TOPIC.match(target):
        raise Refused("invalid_field", "topic must be a Kafka topic's name", "delivery.topic")
    return {name: target}


def _variants(value: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list) or len(value) > MAX_VARIANTS:
        raise Refused("invalid_field", f"variants must be an array of at most {MAX_VARIANTS}", "variants")
    for index, one in enumerate(value):
        if not isinstance(one, dict) or one.keys() != {"id", "name"}:
            raise Refused("invalid_field", "a variant has id and name", f"variants[{index}]")
        for name in ("id", "name"):
            if not _is_text(one[name], MAX_NAME):
                raise Refused("invalid_field", f"{name} must be a string", f"variants[{index}].{name}")
    if len({one["id"] for one in value}) < len(value):
        raise Refused("invalid_field", "two variants have one id", "variants")
    return tuple(value)


def _check_conversion(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, dict) or not value.keys() <= _CONVERSION or not _is_text(value.get("event"), 256):
        raise Refused("invalid_field", "conversion has event, and may have window and value", "conversion")
    if value.get("window") is not None and parse_duration(value["window"]) is None:
        raise Refused("invalid_field", "window must be a duration such as 7d", "conversion.window")
    if value.get("value") is not None and not _is_text(value["value"], 256):
        raise Refused("invalid_field", "value must name a property", "conversion.value")
