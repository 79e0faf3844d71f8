"""Who may have a campaign's messages sent, and whose attachments go with them."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from schemas.control import control_state
from schemas.control.control_state import ApiKey, Campaign, ControlState
from schemas.records import deliveries
from schemas.records.deliveries import WebhookDelivery
from schemas.settings import Settings
from sinks.webhooks.launches import Launches
from sinks.webhooks.messages import of_event
from sinks.webhooks.store import Store
from sinks.webhooks.subscriptions import delivery_of
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, event

CAMPAIGN = "cmp_1"


def state() -> ControlState:
    state = ControlState()
    home: dict[str, Any] = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS}
    fields = {"name": "Hello", "channel": "email", "status": "active", "number": 1, "updated_ms": NOW_MS}
    campaign = Campaign(id=CAMPAIGN, kind="trigger", trigger="f0", delivery={"topic": "mail"}, **home, **fields)
    state.apply(*control_state.encode("campaign", campaign))
    for kind in ("public", "secret"):
        sha256 = control_state.digest(kind)
        key = ApiKey(id=f"key_{kind}", name=kind, kind=kind, scopes=("events:ingest",), sha256=sha256, **home)
        state.apply(*control_state.encode("key", key))
    return state


@pytest.mark.parametrize(
    ("key", "sent"),
    # a link has the campaign's id for a key; a key that was revoked since was valid when its event was taken
    [("key_secret", True), (CAMPAIGN, True), ("key_revoked", True), ("key_public", False)],
)
def test_a_key_that_anybody_can_read_has_nothing_sent(key: str, *, sent: bool) -> None:
    (message,) = of_event(event("external_id:u1", type="message.requested", campaign_id=CAMPAIGN, key_id=key))
    assert bool(delivery_of(state(), message)) is sent


def delivery(home: Mapping[str, str]) -> WebhookDelivery:
    files = [{"name": "a.txt", "type": "text/plain", "bytes": 1}]
    data = {"campaign_id": home["campaign_id"], "properties": {"launch_id": "l1", "attach": files}}
    request = deliveries.retry_request("dlv_1", NOW_MS)
    body = orjson.dumps({"data": data})
    place = {"workspace": home["workspace"], "environment": home["environment"]}
    return {**request, **place, "type": "message.requested", "body": body}  # type: ignore[typeddict-item]


@pytest.mark.parametrize("other", [{}, {"workspace": "x"}, {"environment": "staging"}, {"campaign_id": "cmp_2"}])
async def test_attachments_go_with_the_messages_of_their_own_campaign(tmp_path: Path, other: dict[str, str]) -> None:
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "campaign_id": CAMPAIGN}
    files = [{"name": "a.txt", "type": "text/plain", "bytes": 1, "data": "data:,x"}]
    value = orjson.dumps({"launch_id": "l1", **home, "attach": files})
    store = Store(tmp_path)
    launches = Launches(Settings(home=tmp_path), store)
    launches._apply(SimpleNamespace(partition=0, offset=0, key=b"l1", value=value, timestamp=NOW_MS))
    message = orjson.loads(await launches.body(delivery({**home, **other})))
    store.close()
    assert ("data" in message["data"]["properties"]["attach"][0]) is (not other)
