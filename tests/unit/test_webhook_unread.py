"""Profiles of an environment without an endpoint: kept in one row, and known to the next message all the same."""

from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.control import control_state
from schemas.control.control_state import ControlState, Webhook
from schemas.control.definitions import Erasure
from schemas.records.records import Change
from sinks.webhooks.derive import messages_of_changes, messages_of_events
from sinks.webhooks.erase import delete_erased
from sinks.webhooks.messages import identifiers_of
from sinks.webhooks.notification_state import NotificationState
from sinks.webhooks.store import Store
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event
from tests.support.sink_pipeline import change

CONTACT = cid("external_id:u1")
CONTACTS = [CONTACT, cid("external_id:u2")]


def control(*, has_endpoint: bool) -> ControlState:
    state = ControlState()
    if has_endpoint:
        home = {"workspace": WORKSPACE, "environment": ENVIRONMENT}
        made = {"url": "http://127.0.0.1", "types": ("*",), "secret": "whsec_x", "created_ms": 1, "updated_ms": 1}
        state.apply(*control_state.encode("webhook", Webhook(id="whk_1", **home, **made)))
    return state


CONTROLS = {has_endpoint: control(has_endpoint=has_endpoint) for has_endpoint in (False, True)}


def profile(version: int, contact: str = CONTACT, **shown: Any) -> Change:
    raw = {"external_id": "u1", "attributes": {}, "created_ms": NOW_MS, "updated_ms": version}
    return change(contact, "profile", version, profile=orjson.dumps(raw | shown), merged_into="", event_id="")


def merged(version: int, contact: str) -> Change:
    winner = cid("external_id:u9")
    return change(contact, "profile", version, profile=b"", merged_into=winner, event_id="")


def member(version: int, contact: str, *, member: bool) -> Change:
    more = {"segment_id": "seg_1", "member": member, "at_ms": NOW_MS, "reason": "event", "segment_version": 1}
    return change(contact, "membership", version, event_id="", **more)


def types_of(state: NotificationState, *changes: Change, has_endpoint: bool = True) -> list[str]:
    return [message.type for message in messages_of_changes(CONTROLS[has_endpoint], changes, state, 0)]


PROFILES = st.builds(
    profile,
    st.integers(1, 12),
    st.sampled_from(CONTACTS),
    email=st.sampled_from([None, "ada@example.com", "ada@example.org"]),
    consents=st.sampled_from([{}, {"email": True}, {"email": False}, {"email": False, "sms": False}]),
)
MERGES = st.builds(merged, st.integers(1, 12), st.sampled_from(CONTACTS))
ENTRIES = st.builds(member, st.integers(1, 12), st.sampled_from(CONTACTS), member=st.booleans())
STEPS = st.lists(st.tuples(st.one_of(PROFILES, MERGES, ENTRIES), st.booleans(), st.booleans()), max_size=14)


@given(STEPS)
def test_what_came_without_an_endpoint_is_known_to_the_next_message(steps: list[tuple[Change, bool, bool]]) -> None:
    """An endpoint that comes and goes receives the messages that a permanent one would at those times."""
    rows: list[dict[bytes, bytes | None]] = [{}, {}]
    units = [NotificationState(some.get) for some in rows]
    newest: dict[str, int] = {}
    is_late = False
    for some_change, has_endpoint, ends_unit in steps:
        always = messages_of_changes(CONTROLS[True], [some_change], units[0], 0)
        now = messages_of_changes(CONTROLS[has_endpoint], [some_change], units[1], 0)
        if some_change["kind"] == "profile":
            contact, version = some_change["contact_id"], some_change["version"]
            is_late = is_late or version < newest.get(contact, 0)
            newest[contact] = max(version, newest.get(contact, 0))
        if is_late:  # identifiers follow the last profile that was read, which may be a late one
            for message in [*always, *now]:
                message.data.pop("identifiers", None)
        assert now == (always if has_endpoint else [])
        if ends_unit:
            for some, state in zip(rows, units, strict=True):
                some.update(state.writes)
            units = [NotificationState(some.get) for some in rows]
    for contact in [] if is_late else CONTACTS:
        assert identifiers_of(contact, units[0]) == identifiers_of(contact, units[1])


def test_a_contact_costs_one_row_without_an_endpoint() -> None:
    state = NotificationState(lambda _key: None)
    late = profile(2, email="old@example.com")
    assert types_of(state, profile(3, consents={"email": False}), late, has_endpoint=False) == []
    assert list(state.writes) == [f"u/{CONTACT}".encode()]
    assert identifiers_of(CONTACT, state) == {"external_id": "u1", "email": None, "phone": None}
    assert types_of(state, profile(4, consents={"email": False}, email="new@example.com")) == ["contact.updated"]
    assert state.writes[f"u/{CONTACT}".encode()] is None


def test_a_contact_that_merged_keeps_its_identifiers() -> None:
    state = NotificationState(lambda _key: None)
    assert types_of(state, profile(1, email="ada@example.com"), merged(2, CONTACT), has_endpoint=False) == []
    assert identifiers_of(CONTACT, state) == {"external_id": "u1", "email": "ada@example.com", "phone": None}
    assert types_of(state, profile(3)) == ["contact.created"], "it is a contact of its own again"


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"consents":[1]}', b'"text"'])
def test_an_unusable_profile_leaves_earlier_rows(raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    state = NotificationState(lambda _key: None)
    assert types_of(state, profile(1, consents={"email": True})) == ["contact.created"]
    state = NotificationState(dict(state.writes).get)  # an endpoint goes between units, never within one
    unusable: Change = {**profile(2), "profile": raw}
    assert types_of(state, unusable, has_endpoint=False) == []
    (message,) = messages_of_events(CONTROLS[True], [event("external_id:u1", contact_id=CONTACT)], state)
    assert message.data["identifiers"] == {"external_id": "u1", "email": None, "phone": None}
    assert f"the last profile of contact {CONTACT} cannot be read" in caplog.text
    refused = profile(3, consents={"email": False})
    assert types_of(state, refused) == ["contact.updated", "contact.unsubscribed"]


def test_an_unusable_profile_does_not_hide_the_merge_after_it() -> None:
    state = NotificationState(lambda _key: None)
    assert types_of(state, profile(1)) == ["contact.created"]
    unusable: Change = {**profile(2), "profile": b"{"}
    assert types_of(state, unusable, merged(3, CONTACT), has_endpoint=False) == []
    assert types_of(state, merged(4, CONTACT)) == []
    assert types_of(state, profile(2, email="late@example.com")) == []
    assert types_of(state, profile(5)) == ["contact.created"]


def test_an_erased_profile_goes_at_the_next_start(tmp_path: Path) -> None:
    """A release without unread profiles may have done the erasure, and left them."""
    state, rows = ControlState(), NotificationState(lambda _key: None)
    erased: Change = {**profile(1), "at_ms": NOW_MS}
    later: Change = {**profile(1, CONTACTS[1]), "at_ms": NOW_MS + 1}
    assert types_of(rows, erased, later, has_endpoint=False) == []
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT}
    made = {"contacts": tuple(CONTACTS), "erased_ms": NOW_MS, "created_ms": NOW_MS}
    state.apply(*control_state.encode("erasure", Erasure(id="ers_1", **home, **made)))
    with closing(Store(tmp_path / "store")) as store:
        store.learn(rows.writes, {})
        delete_erased(state, store)
        kept = [contact for contact in CONTACTS if store.get(f"u/{contact}".encode()) is not None]
    assert kept == [later["contact_id"]]


def test_an_erasure_of_a_contact_holds_though_a_unit_is_under_way(tmp_path: Path) -> None:
    """The rows of a unit are written once its deliveries are durable, which may take as long as the broker is away."""
    with closing(Store(tmp_path / "store")) as store:
        state = NotificationState(store.get)
        store.on_contacts_deleted = state.drop_contacts
        types_of(state, profile(1), profile(1, CONTACTS[1]), has_endpoint=False)
        types_of(state, member(2, CONTACT, member=True), member(2, CONTACTS[1], member=True))
        store.delete_contacts([CONTACT])
        store.learn(state.writes, {})
        left = {key for key in state.writes if store.get(key) is not None}
    assert left
    assert not [key for key in left if CONTACT.encode() in key]
