"""Which memberships an endpoint hears of: of the segments it names, and of a new rule's first members where asked."""

from typing import Any

import orjson
import pytest

from ingest.control import webhooks
from ingest.control.writer import edited_segment, new_segment
from schemas.api import serialize
from schemas.control import control_state
from schemas.control.control_state import Campaign, ControlState, Segment, Webhook
from schemas.errors import ApiError
from schemas.records.records import Change
from sinks.webhooks.examples import example
from sinks.webhooks.messages import Message, learn_identifiers, of_change, of_event
from sinks.webhooks.notification_state import NotificationState
from sinks.webhooks.subscriptions import named, plan, subscribed
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event
from tests.support.sink_pipeline import change

RULE = {"identified": True}
GOOD = {"url": "https://example.com/hook", "types": ["*"]}


def segment(**more: Any) -> Segment:
    return new_segment({"name": "Known", "rule": RULE, **more}, WORKSPACE, ENVIRONMENT, NOW_MS)


def endpoint(existing: list[Segment], **more: Any) -> Webhook:
    home = {known_segment.id: known_segment for known_segment in existing}
    return webhooks.new_webhook({**GOOD, **more}, WORKSPACE, ENVIRONMENT, NOW_MS, b"\x01" * 24, segments=home)


def control(*records: Segment | Webhook) -> ControlState:
    state = ControlState()
    for record in records:
        state.apply(*control_state.encode("segment" if isinstance(record, Segment) else "webhook", record))
    return state


class Told:
    """Memberships of one contact in, the messages of a planner out."""

    def __init__(self, state: ControlState) -> None:
        self._state = state
        self._known = NotificationState(lambda _key: None)
        self._version = 0

    def __call__(self, of: Segment, *, member: bool = True, reason: str = "event") -> list[Message]:
        self._version += 1
        more = {"segment_id": of.id, "member": member, "reason": reason, "segment_version": 1, "event_id": ""}
        made_change: Change = change(cid("external_id:u1"), "membership", self._version, at_ms=NOW_MS, **more)
        return named(self._state, of_change(made_change, self._known, 0), self._known)


def test_a_new_rules_first_members_are_told_where_that_was_asked_for() -> None:
    quiet, loud = segment(), segment(include_existing=True)
    announced = Told(control(quiet, loud))
    assert announced(quiet, reason="rule") == []
    (entered,) = announced(loud, reason="rule")
    assert (entered.type, entered.data["segment_name"]) == ("segment.entered", "Known")
    assert [m.type for m in announced(quiet, member=False)] == ["segment.left"], "it was in it"
    assert [m.type for m in announced(quiet)] == ["segment.entered"]
    assert [m.type for m in announced(quiet, member=False, reason="rule")] == ["segment.left"]


def test_that_is_chosen_anew_with_each_rule() -> None:
    loud = segment(include_existing=True)
    assert edited_segment(loud, {"name": "Other"}, NOW_MS).include_existing
    assert not edited_segment(loud, {"rule": {"identified": False}}, NOW_MS).include_existing
    assert edited_segment(loud, {"rule": {"identified": False}, "include_existing": True}, NOW_MS).include_existing
    with pytest.raises(ApiError) as refused:
        segment(include_existing="yes")
    assert (refused.value.param, refused.value.status) == ("include_existing", 422)


def test_an_endpoint_hears_of_its_segments_alone() -> None:
    mine, other = segment(), segment()
    hook = endpoint([mine, other], segments=[mine.id])
    state = control(mine, other, hook)
    announced, targets = Told(state), subscribed(state)
    assert list(targets(announced(mine)[0], NOW_MS)) == [hook]
    assert list(targets(announced(other)[0], NOW_MS)) == []
    (message,) = of_event(event("external_id:u1"))
    assert list(targets(message, NOW_MS)) == [hook], "other types have no segment"
    (sent,) = plan(announced(mine, member=False), targets, known_ms=NOW_MS, now_ms=NOW_MS, seq=lambda: 1)
    data = orjson.loads(sent["body"])["data"]
    assert (data["segment_id"], data["segment_name"]) == (mine.id, "Known")


def test_a_name_follows_its_segment_and_a_deleted_one_has_none() -> None:
    made_segment = segment()
    state = control(made_segment)
    announced = Told(state)
    announced(made_segment)
    state.apply(*control_state.encode("segment", made_segment.model_copy(update={"deleted": True})))
    (left,) = announced(made_segment, member=False, reason="rule")
    assert left.data["segment_name"] is None


@pytest.mark.parametrize(
    ("wrong", "param", "words"),
    [
        ({"segments": ["Regulars"]}, "segments[0]", "named by its id, as seg_"),
        ({"segments": "seg_1"}, "segments", "a list"),
        ({"segments": [[]]}, "segments[0]", "a valid string"),
        ({"segments": ["seg_1"] * 101}, "segments", "at most 100"),
        ({"types": ["*", "segment.enterd"]}, "types[1]", "segment.entered, segment.left"),
        ({"types": ["contact.subscribed"]}, "types[0]", "contact.created"),
    ],
)
def test_what_is_no_filter_or_no_type_of_ours_is_refused(wrong: Any, param: str, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        endpoint([], **wrong)
    assert (refused.value.param, refused.value.status) == (param, 422)
    assert words in refused.value.message
    hook = endpoint([])
    with pytest.raises(ApiError, match=words):
        webhooks.edited_webhook(hook, wrong, NOW_MS, segments={})


def test_a_filter_can_be_taken_away() -> None:
    made_segment = segment()
    hook = endpoint(
        [made_segment], segments=[made_segment.id, made_segment.id], types=["segment.*", "message.whatever"]
    )
    assert serialize.webhook(hook)["segments"] == [made_segment.id]
    assert webhooks.edited_webhook(hook, {"segments": []}, NOW_MS).segments == ()
    assert webhooks.edited_webhook(hook, {"status": "disabled"}, NOW_MS).segments == (made_segment.id,)


def test_messages_name_their_contact_and_campaign() -> None:
    state = ControlState()
    campaign = {"id": "camp-0", "name": "Spring", "channel": "email", "status": "active", "number": 1}
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS, "updated_ms": NOW_MS}
    state.apply(*control_state.encode("campaign", Campaign(**campaign, **home)))
    notified = NotificationState(lambda _key: None)

    def told(kind: str, **more: Any) -> dict[str, Any]:
        made_event = event("external_id:u1", type=kind, **more)
        (message,) = named(state, of_event(made_event), notified)
        data: dict[str, Any] = orjson.loads(message.body())["data"]
        return data

    assert told("order_completed")["identifiers"] == {"external_id": None, "email": None, "phone": None}
    profile = {"email": "a@b.c", "external_id": "u1", "identifiers": [], "attributes": {"x": "y" * 1000}}
    snapshot = change(cid("external_id:u1"), "profile", 1, profile=orjson.dumps(profile))
    learn_identifiers(snapshot, notified)
    sent = told("message.sent", campaign_id="camp-0")
    assert sent["identifiers"] == {"external_id": "u1", "email": "a@b.c", "phone": None}
    assert (sent["campaign_id"], sent["campaign_name"]) == ("camp-0", "Spring")
    assert told("message.sent", campaign_id="camp-1")["campaign_name"] is None
    (created,) = named(state, of_change(snapshot, notified, 0), notified)
    assert "identifiers" not in created.data, "the contact itself is there"


def test_an_example_has_the_fields_of_a_real_message() -> None:
    state, notified = ControlState(), NotificationState(lambda _key: None)
    home = segment()
    state.apply(*control_state.encode("segment", home))
    entry: dict[str, Any] = {
        "segment_id": home.id,
        "member": True,
        "reason": "event",
        "segment_version": 1,
        "event_id": "evt_1",
    }
    entered = of_change(change(cid("external_id:u1"), "membership", 1, at_ms=NOW_MS, **entry), notified, 0)
    facts: dict[str, Any] = {"campaign_id": "cmp_1", "message_id": "m", "variant": "a", "channel": "email"}
    events = [event("external_id:u1", type="order"), event("external_id:u1", type="message.delivered", **facts)]
    real = named(
        state, [*entered, *(real_message for many in map(of_event, events) for real_message in many)], notified
    )
    assert [real_message.type for real_message in real] == ["segment.entered", "order", "message.delivered"]
    for message in real:
        shown = orjson.loads(example(endpoint([home]), message.type, "evt_1", NOW_MS))
        body = orjson.loads(message.body())
        assert shown.keys() - {"test"} == body.keys()
        assert shown["data"].keys() == body["data"].keys()
        assert shown["data"]["identifiers"].keys() == body["data"]["identifiers"].keys()
