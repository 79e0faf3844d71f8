"""A message and the endpoints in; its deliveries out; pure.

1. An endpoint subscribes to a type by name, to a group of types by ``group.*``, or to everything by ``*``.
2. An endpoint receives only messages later than its creation, and none while it is disabled.
3. A campaign's message goes to the campaign's destination, even if that does not subscribe to its type. A
   public key, which every visitor of a page can read, cannot request one.
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from schemas.control.control_state import ControlState, Webhook
from schemas.records import deliveries
from schemas.records.deliveries import WebhookDelivery
from schemas.records.records import BY_RULE, REQUESTED
from schemas.times import CLOCK_SKEW_MS
from sinks.webhooks.messages import ENTERED, LEFT, Message, identifiers_of
from sinks.webhooks.notification_state import NotificationState

MAX_BODY = 1_200_000
"""Bytes of a body that fit into a record with room to spare."""


Targets = Callable[[Message, int], Iterable[Webhook]]
"""Endpoints of a message that became known at that moment (epoch ms)."""


def wants(types: Iterable[str], kind: str) -> bool:
    """Whether a subscribed type equals or covers this one."""
    return any(t in ("*", kind) or (t.endswith(".*") and kind.startswith(t[:-1])) for t in types)


def is_sent(control: ControlState, message: Message) -> bool:
    """Whether webhooks receive the message: not for members that a new rule adds, unless ``include_existing``."""
    if message.type != ENTERED or message.data.get("reason") != BY_RULE:
        return True
    segment = control.segments[message.workspace, message.environment].get(message.data["segment_id"])
    return segment is not None and segment.include_existing


def named(control: ControlState, messages: Iterable[Message], state: NotificationState) -> list[Message]:
    """Returns the messages to deliver, with their contact's identifiers and the names of its segment and campaign.

    To know the identifiers, it reads a profile that ``state`` has kept unread.
    """
    kept = [message for message in messages if is_sent(control, message)]
    for message in kept:
        home = (message.workspace, message.environment)
        if message.type in (ENTERED, LEFT):
            segment = control.segments[home].get(message.data["segment_id"])
            message.data["segment_name"] = None if segment is None else segment.name
        if message.campaign_id:
            campaign = control.campaigns[home].get(message.campaign_id)
            message.data["campaign_name"] = None if campaign is None else campaign.name
        if not message.type.startswith("contact."):  # these messages hold the contact itself, or name two
            message.data["identifiers"] = identifiers_of(message.contact_id, state)
    return kept


def hears(webhook: Webhook, message: Message) -> bool:
    """Whether the endpoint subscribes to the message's type, and to its segment."""
    is_other = bool(webhook.segments) and message.data.get("segment_id") not in webhook.segments
    return wants(webhook.types, message.type) and not (is_other and message.type in (ENTERED, LEFT))


def find_webhook(control: ControlState, webhook_id: str) -> Webhook | None:
    """Returns the present destination of a delivery, or ``None`` if it was deleted."""
    return control.webhooks_by_id.get(webhook_id)


def has_endpoints(control: ControlState) -> bool:
    """Whether any environment has a webhook or a campaign."""
    return bool(control.webhooks_by_id) or any(control.campaigns.values())


def has_endpoint_in(control: ControlState, workspace: str, environment: str) -> bool:
    """Whether this environment has a webhook or a campaign, so that a message may be sent."""
    home = (workspace, environment)
    return bool(control.webhooks.get(home)) or bool(control.campaigns.get(home))


def delivery_of(control: ControlState, message: Message) -> dict[str, Any]:
    """The destination of a campaign's message: ``webhook_id`` or ``topic``; empty for other messages."""
    if message.type != REQUESTED or not message.campaign_id:
        return {}
    key = control.key_named(message.workspace, message.key_id)
    if key is not None and key.kind == "public":
        return {}
    return _where(control, message.workspace, message.environment, message.campaign_id)


def is_hand_over(control: ControlState, delivery: WebhookDelivery) -> bool:
    """True for the campaign's own destination, false for plain subscribers."""
    if delivery["type"] != REQUESTED:
        return False
    try:
        campaign_id = orjson.loads(delivery["body"])["data"]["campaign_id"]
        where = _where(control, delivery["workspace"], delivery["environment"], campaign_id)
    except (ValueError, KeyError, TypeError):
        return False
    return where.get("webhook_id") == delivery["webhook_id"]


def _where(control: ControlState, workspace: str, environment: str, campaign_id: str) -> dict[str, Any]:
    campaign = control.campaigns[workspace, environment].get(campaign_id)
    return (campaign.delivery or {}) if campaign else {}


def subscribed(control: ControlState) -> Targets:
    """Returns the endpoints of the message's environment that subscribe to its type."""

    def targets(message: Message, known_ms: int) -> list[Webhook]:
        home = control.webhooks.get((message.workspace, message.environment))
        webhooks = [
            webhook
            for webhook in (home or {}).values()
            # an edge's clock may be ahead of a stage's: no event sent after the 201 may be skipped
            if webhook.status == "enabled"
            and webhook.created_ms <= known_ms + CLOCK_SKEW_MS
            and hears(webhook, message)
        ]
        own = delivery_of(control, message)
        webhook = (home or {}).get(own.get("webhook_id", ""))
        if webhook is not None and webhook not in webhooks:
            # the campaign's destination receives the message without a subscription, and later if it is disabled now
            webhooks.append(webhook)
        return webhooks

    return targets


def plan(
    messages: Iterable[Message], targets: Targets, *, known_ms: int, now_ms: int, seq: Callable[[], int]
) -> list[WebhookDelivery]:
    """Returns the deliveries of the messages in their order; first attempts are due now."""
    planned = []
    for message in messages:
        body = b""
        for webhook in targets(message, known_ms):
            body = body or _body(message)
            planned.append(
                WebhookDelivery(
                    id=deliveries.delivery_id(webhook.id, message.cause or message.id, message.type),
                    webhook_id=webhook.id,
                    workspace=message.workspace,
                    environment=message.environment,
                    contact_id=message.contact_id,
                    event_id=message.id,
                    type=message.type,
                    seq=seq(),
                    status=deliveries.PENDING,
                    attempts=0,
                    due_ms=now_ms,
                    updated_ms=now_ms,
                    body=body,
                )
            )
    return planned


def _body(message: Message) -> bytes:
    body = message.body()
    if len(body) <= MAX_BODY:
        return body
    names = ("contact_id", "event_id", "timestamp")
    message.data.update({name: None for name in message.data if name not in names}, truncated=True)
    return message.body()
