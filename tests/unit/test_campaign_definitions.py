"""A campaign of one's own id, the consent that it needs, its status, and events that name no campaign."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.control import campaigns
from schemas.api import serialize
from schemas.api.requests.body import checked
from schemas.api.requests.campaigns import CampaignEdit, NewCampaign
from schemas.control import control_state
from schemas.control.consent import consent_of
from schemas.control.control_state import Campaign, ControlState
from schemas.errors import ApiError
from tests.support.edge import NOW_MS, SECRET, MemoryLog, client_of, memory_edge


def made(**fields: Any) -> Campaign:
    body = checked(NewCampaign, {"name": "Spring", "channel": "email", **fields})
    return campaigns.new_campaign(body, "local", "production", NOW_MS, number=1, trigger="f0")


def test_an_id_of_ones_own_is_the_campaigns_id() -> None:
    assert made(id="camp-0").id == "camp-0"
    assert made().id.startswith("cmp_")
    for wrong in ("17", "cmp_1", "", "-a", "a b", "a/b", "x" * 101, 5):
        with pytest.raises(ApiError) as refused:
            made(id=wrong)
        assert refused.value.param == "id", wrong


@pytest.mark.parametrize(
    ("kind", "consent", "body", "allowed"),
    [
        ("standard", None, {"email_marketing": True}, True),
        ("standard", None, {"email": True}, True),
        ("standard", None, {}, False),
        ("standard", None, {"email_marketing": None}, False),
        ("standard", None, {"email_marketing": True, "email": False}, False),
        ("standard", {"required": "not_refused"}, {}, True),
        ("standard", {"required": "not_refused"}, {"email": False}, False),
        ("standard", {"name": "news"}, {"email_marketing": True}, False),
        ("standard", {"name": "news"}, {"news": True, "email_marketing": False}, True),
        ("trigger", None, {}, True),
        ("trigger", None, {"email_marketing": False}, False),
        ("trigger", {"required": "given"}, {}, False),
    ],
)
def test_a_consent_is_given_or_at_least_not_refused(
    kind: str, consent: Any, body: dict[str, Any], allowed: Any
) -> None:
    campaign = made(kind=kind, delivery={"topic": "mail"}, **({} if consent is None else {"consent": consent}))
    assert consent_of(campaign).allows(body) is allowed


def test_a_consent_can_be_edited_and_taken_back() -> None:
    before = made(consent={"name": "news"})
    edited = campaigns.edited_campaign(before, checked(CampaignEdit, {"name": "Summer"}), NOW_MS)
    assert consent_of(edited).names == ("news",)
    edited = campaigns.edited_campaign(edited, checked(CampaignEdit, {"consent": None}), NOW_MS)
    assert consent_of(edited).names == ("email_marketing", "email")


def test_a_status_follows_what_was_sent() -> None:
    assert serialize.campaign(made())["status"] == "draft"
    assert serialize.campaign(made(), NOW_MS)["status"] == "sent"
    assert serialize.campaign(made(status="scheduled"), NOW_MS)["status"] == "sent"
    assert serialize.campaign(made(status="paused"), NOW_MS)["status"] == "paused"


async def test_an_event_of_no_campaign_is_taken_and_says_so(tmp_path: Path) -> None:
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    _define(edge.control, made(id="camp-0", variants=[{"id": "a", "name": "A"}]))
    async with client_of(edge) as client:

        async def warnings(**fields: Any) -> list[str]:
            event = {"type": "message.sent", "user_id": "u1", **fields}
            answer = await client.post("/v1/events", json=event, headers=SECRET)
            assert answer.status_code == 202, answer.text
            codes = [warning.split(":")[0] for warning in answer.json().get("warnings", [])]
            stored = orjson.loads(log.events[-1]["context"] or b"{}").get("_warnings", [])
            assert [text.split(":")[0] for text in stored] == codes
            return codes

        assert await warnings(campaign_id="camp-0") == []
        assert await warnings(campaign_id="camp-0", variant="a") == []
        assert await warnings(campaign_id="camp-0", variant="C") == ["unknown_variant"]
        assert await warnings(campaign_id="camp-1") == ["unknown_campaign"]
        assert await warnings(properties={"campaign_id": "camp-1"}) == ["unknown_campaign"]
        assert await warnings(type="page_viewed", properties={"campaign_id": "camp-1"}) == [], "any property may be so"


async def test_an_id_is_taken_once_in_a_workspace(tmp_path: Path) -> None:
    edge = memory_edge(tmp_path, MemoryLog())
    _define(edge.control, made(id="camp-0").model_copy(update={"environment": "staging"}))
    async with client_of(edge) as client:
        body = {"id": "camp-0", "name": "Again", "channel": "email"}
        answer = await client.post("/v1/campaigns", json=body, headers=SECRET)
    assert (answer.status_code, answer.json()["error"]["param"]) == (409, "id")


def _define(control: ControlState, campaign: Campaign) -> None:
    control.apply(*control_state.encode("campaign", campaign))
