"""What endpoints are told: of which changes, once however often they are repeated, and who is told."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import control_state
from schemas.control.control_state import ControlState, Webhook
from schemas.records.records import Change
from schemas.times import CLOCK_SKEW_MS
from sinks.webhooks.messages import Message, of_change, of_event
from sinks.webhooks.notification_state import NotificationState
from sinks.webhooks.subscriptions import MAX_BODY, plan, subscribed, wants
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event
from tests.support.sink_pipeline import change

CONTACT = cid("external_id:u1")


class Told:
    """Changes in, the types of the messages out; what was said is kept as the store keeps it."""

    def __init__(self, since_ms: int = 0) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self.since_ms = since_ms
        self.ids: list[str] = []

    def __call__(self, change: Change) -> list[str]:
        return [message.type for message in self.messages(change)]

    def messages(self, change: Change) -> list[Message]:
        state = NotificationState(self.rows.get)
        messages = of_change({"event_id": "", **change}, state, self.since_ms)
        self.rows |= state.writes
        self.ids += [message.id for message in messages]
        return messages


def profile(version: int, contact: str = CONTACT, created_ms: int = NOW_MS, **shown: Any) -> Change:
    raw = {"external_id": "u1", "attributes": {}, "consents": {}, "created_ms": created_ms, "updated_ms": version}
    return change(contact, "profile", version, profile=orjson.dumps(raw | shown), merged_into="")


def member(version: int, *, member: bool, at_ms: int = NOW_MS, reason: str = "event", segment: str = "seg_1") -> Change:
    more = {"segment_id": segment, "member": member, "at_ms": at_ms, "reason": reason, "segment_version": 1}
    return change(CONTACT, "membership", version, **more)


def test_the_first_snapshot_is_a_creation_and_a_different_one_an_update() -> None:
    announced = Told()
    assert announced(profile(1)) == ["contact.created"]
    assert announced(profile(2)) == [], "only a time differs"
    assert announced(profile(3, attributes={"plan": "pro"})) == ["contact.updated"]
    assert announced(profile(4, attributes={"plan": "pro"})) == []
    assert announced(profile(5)) == ["contact.updated"]
    assert announced(profile(6, cid("external_id:u2"))) == ["contact.created"]
    assert len(set(announced.ids)) == len(announced.ids)


def test_a_contact_from_before_our_memory_is_not_created() -> None:
    assert Told(since_ms=NOW_MS + 1)(profile(1)) == ["contact.updated"]
    assert Told(since_ms=NOW_MS)(profile(1)) == ["contact.created"]


def test_a_consent_that_becomes_false_is_an_unsubscription() -> None:
    announced = Told()
    assert announced(profile(1, consents={"email": True, "sms": False})) == ["contact.created", "contact.unsubscribed"]
    left = announced.messages(profile(2, consents={"email": False, "sms": False}))
    assert [m.type for m in left] == ["contact.updated", "contact.unsubscribed"]
    assert left[1].data["consents"] == ["email"]
    assert announced(profile(3, consents={"email": False, "sms": False}, attributes={"a": 1})) == ["contact.updated"]
    assert announced(profile(4, consents={"email": True})) == ["contact.updated"]
    assert announced(profile(5, consents={"email": False})) == ["contact.updated", "contact.unsubscribed"]


def test_a_merge_is_told_once_and_only_of_a_contact_that_was_told_of() -> None:
    announced, winner = Told(), cid("external_id:u9")
    merged = change(CONTACT, "profile", 5, profile=b"", merged_into=winner)
    assert announced(merged) == [], "an identifier that joins is no contact that merges"
    announced = Told()
    announced(profile(1))
    (message,) = announced.messages(merged)
    assert message.type == "contact.merged"
    assert message.data["contact_id"] == winner
    assert message.data["merged_contact_id"] == CONTACT
    assert announced({**merged, "version": 6}) == []
    assert announced(profile(7)) == ["contact.created"], "it stands for itself again"


def test_a_membership_is_told_when_it_changes() -> None:
    announced = Told()
    entered = announced.messages(member(1, member=True))
    assert [m.type for m in entered] == ["segment.entered"]
    assert entered[0].data["segment_id"] == "seg_1"
    assert announced(member(2, member=True, at_ms=NOW_MS + 5, reason="restated")) == []
    assert announced(member(3, member=True, at_ms=NOW_MS + 5)) == [], "a unit that is repeated may judge it later"
    assert announced(member(4, member=True, segment="seg_2")) == ["segment.entered"]
    assert announced(member(5, member=False, at_ms=NOW_MS + 9)) == ["segment.left"]
    assert announced(member(6, member=False, at_ms=NOW_MS + 10, reason="restated")) == []
    assert announced(member(7, member=True, at_ms=NOW_MS + 11, reason="restated")) == ["segment.entered"]


def test_a_change_that_is_read_again_has_the_same_id() -> None:
    first = Told().messages(member(1, member=True))
    assert [m.id for m in first] == [m.id for m in Told().messages(member(1, member=True))]


def test_changes_of_one_moment_are_messages_of_their_own() -> None:
    announced = Told()
    steps = [announced(member(version, member=bool(version % 2))) for version in range(1, 7)]
    assert steps == [["segment.entered"], ["segment.left"]] * 3
    assert len(set(announced.ids)) == 6


def test_a_change_that_comes_late_is_no_message() -> None:
    announced = Told()
    announced(member(5, member=True))
    announced(member(6, member=False))
    assert announced(member(5, member=True)) == []
    assert announced(member(6, member=True)) == [], "a version is said once"
    assert announced(member(7, member=False, reason="restated")) == []
    announced(profile(5, attributes={"plan": "pro"}))
    assert announced(profile(4)) == [], "from a worker that slept"
    assert announced(profile(6)) == ["contact.updated"]


def test_rows_of_before_have_no_version() -> None:
    announced = Told()
    announced.rows[f"m/{CONTACT}/seg_1".encode()] = b"\x01"
    assert announced(member(3, member=True)) == []
    assert announced(member(4, member=False)) == ["segment.left"]


MEMBERSHIPS = st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=12)


@given(MEMBERSHIPS, st.data())
def test_a_listener_ends_with_the_state_of_the_tables(memberships: list[tuple[bool, int]], data: st.DataObject) -> None:
    """A log of changes with repeats of earlier ones, read by a sender that crashes and reads parts of it again."""
    log: list[Change] = []
    for version, (is_member, at) in enumerate(memberships, 1):
        log.append(member(version, member=is_member, at_ms=NOW_MS + at, reason="event"))
        if data.draw(st.booleans(), "repeat"):
            log.append(log[data.draw(st.integers(0, len(log) - 1), "which")])
    rows: dict[bytes, bytes | None] = {}
    arrived: dict[str, str] = {}
    position = 0
    while position < len(log):
        state = NotificationState(rows.get)
        size = data.draw(st.integers(1, 4), "unit")
        for change_read in log[position : position + size]:
            for message in of_change({"event_id": "", **change_read}, state, 0):
                arrived.setdefault(message.id, message.type)  # a delivery that is known is not made again
        if data.draw(st.booleans(), "crash"):
            continue_after = data.draw(st.booleans(), "kept")
            if not continue_after:
                continue  # deliveries are durable, what was said is not: the unit is read again
        rows |= state.writes
        position += size
    messages = list(arrived.values())
    newest = max(log, key=lambda entry: entry["version"])
    assert messages == [
        ("segment.entered", "segment.left")[(n + (messages[0] == "segment.left")) % 2] for n in range(len(messages))
    ]
    assert (messages[-1] if messages else "segment.left") == ("segment.entered" if newest["member"] else "segment.left")
    toggles = sum(a["member"] != b["member"] for a, b in pairwise(m for m in _by_version(log)))
    assert len(messages) <= toggles + 1


def _by_version(log: list[Change]) -> list[Change]:
    return [entry for _, entry in sorted({entry["version"]: entry for entry in log}.items())]


def test_a_membership_that_a_merge_carries_over_is_not_told() -> None:
    """The loser's id leaves and the winner's enters; the person does neither."""
    announced = Told()
    assert announced(member(1, member=True)) == ["segment.entered"]
    assert announced(member(2, member=False, reason="carried")) == []
    assert announced(member(3, member=True, reason="carried")) == []
    assert announced(member(4, member=False, reason="merged")) == ["segment.left"], "what the merge has changed is told"


def test_what_is_restated_of_somebody_unknown() -> None:
    assert Told()(member(1, member=False, reason="restated")) == []
    assert Told(since_ms=NOW_MS + 1)(member(1, member=True, reason="restated")) == []
    assert Told(since_ms=NOW_MS + 1)(member(1, member=False, reason="time")) == ["segment.left"]


def test_other_changes_are_nobodys_business() -> None:
    assert Told()(change(CONTACT, "applied", 1)) == []
    assert Told()(change(CONTACT, "refused", 1)) == []


def test_an_event_as_the_reference_shows_it() -> None:
    (message,) = of_event(
        event("external_id:u1", type="message.delivered", campaign_id="cmp_1", channel="email", properties={"a": 1})
    )
    body = orjson.loads(message.body())
    assert (body["id"], body["type"], body["created_at"]) == ("evt_1", "message.delivered", "2026-09-21T14:13:20.000Z")
    assert body["data"] == {
        "contact_id": CONTACT,
        "campaign_id": "cmp_1",
        "channel": "email",
        "delivered_at": "2026-09-21T14:13:20.000Z",
        "event_id": "evt_1",
        "timestamp": "2026-09-21T14:13:20.000Z",
        "properties": {"a": 1},
    }


def test_numbers_keep_all_their_digits() -> None:
    (message,) = of_event({**event("external_id:u1"), "properties": b'{"n":123456789012345678901234567890}'})
    assert b'"properties":{"n":123456789012345678901234567890}' in message.body()


def test_an_unsubscription_is_told_under_both_names() -> None:
    result = of_event(event("external_id:u1", type="message.unsubscribed"))
    assert [m.type for m in result] == ["message.unsubscribed", "contact.unsubscribed"]
    ends = event("external_id:u1", type="message.unsubscribed", profile=b'{"consents":{"email_marketing":false}}')
    assert [m.type for m in of_event(ends)] == ["message.unsubscribed"], "its contact's change tells of the consent"
    assert result[0].id != result[1].id


@pytest.mark.parametrize("more", [{"kind": "identify"}, {"kind": "alias"}, {"type": "contact.created"}])
def test_what_is_no_event_of_a_client(more: dict[str, Any]) -> None:
    assert of_event(event("external_id:u1", **more)) == []


@pytest.mark.parametrize(
    ("types", "kind", "expected"),
    [
        (("*",), "anything", True),
        (("message.*",), "message.sent", True),
        (("message.*",), "message", False),
        (("message.*",), "messages.sent", False),
        (("order_completed",), "order_completed", True),
        (("order_completed",), "order_completed2", False),
        (("a", "segment.entered"), "segment.entered", True),
        ((), "a", False),
    ],
)
def test_types(types: tuple[str, ...], kind: str, expected: bool) -> None:
    assert wants(types, kind) is expected


def webhook(name: str, *types: str, **more: Any) -> Webhook:
    fields = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "url": "https://x.y/", "secret": "s3cret!"}
    times = {"created_ms": NOW_MS, "updated_ms": NOW_MS}
    return Webhook(**{"id": f"whk_{name}", "types": types, **fields, **times, **more})


def test_who_is_told() -> None:
    state = ControlState()
    for other in (
        webhook("all", "*"),
        webhook("named", "order_completed"),
        webhook("other", "page_view"),
        webhook("off", "*", status="disabled"),
        webhook("staging", "*", environment="staging"),
        webhook("foreign", "*", workspace="other"),
        webhook("late", "*", created_ms=NOW_MS + CLOCK_SKEW_MS + 1),
        webhook("gone", "*", deleted=True),
    ):
        state.apply(*control_state.encode("webhook", other))
    numbers = iter(range(100))
    messages = of_event(event("external_id:u1", type="order_completed"))

    def planned(known_ms: int = NOW_MS) -> Any:
        return plan(messages, subscribed(state), known_ms=known_ms, now_ms=NOW_MS + 7, seq=lambda: next(numbers))

    rows = planned()
    assert [row["webhook_id"] for row in rows] == ["whk_all", "whk_named"]
    assert {row["due_ms"] for row in rows} == {NOW_MS + 7}
    assert len({row["id"] for row in rows}) == 2
    assert [row["id"] for row in planned()] == [row["id"] for row in rows], "planned again it is the same delivery"
    assert planned(known_ms=NOW_MS - CLOCK_SKEW_MS - 1) == []
    state.apply(*control_state.encode("webhook", webhook("named", "page_view", environment="staging")))
    assert [row["webhook_id"] for row in planned()] == ["whk_all"]


def test_a_body_that_is_too_large_for_a_record_is_cut_to_its_ids() -> None:
    state = ControlState()
    state.apply(*control_state.encode("webhook", webhook("all", "*")))
    (message,) = of_event(event("external_id:u1", properties={"x": "y" * MAX_BODY}))
    (row,) = plan([message], subscribed(state), known_ms=NOW_MS, now_ms=NOW_MS, seq=lambda: 1)
    assert len(row["body"]) < 1000
    data = orjson.loads(row["body"])["data"]
    assert (data["contact_id"], data["event_id"], data["truncated"]) == (CONTACT, "evt_1", True)


def test_no_text_of_a_webhook_shows_its_secrets() -> None:
    made_webhook = webhook("x", "*", previous_secret="0ld0ne", previous_until_ms=NOW_MS + 1)
    assert "s3cret!" not in f"{made_webhook} {made_webhook!r}"
    assert "0ld0ne" not in f"{made_webhook} {made_webhook!r}"
    assert made_webhook.secrets(NOW_MS) == ("s3cret!", "0ld0ne")
    assert made_webhook.secrets(NOW_MS + 1) == ("s3cret!",)
