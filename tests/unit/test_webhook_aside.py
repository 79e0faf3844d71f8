"""Profiles that no endpoint could hear of: set aside in one row, and known to the next message all the same."""

from itertools import pairwise
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas.records.records import Change
from sinks.webhooks.messages import identifiers_of, learn_identifiers, of_change
from sinks.webhooks.notification_state import NotificationState
from tests.support.builders import NOW_MS, cid
from tests.support.sink_pipeline import change

CONTACT = cid("external_id:u1")
CONTACTS = [CONTACT, cid("external_id:u2")]


def profile(version: int, contact: str = CONTACT, **shown: Any) -> Change:
    raw = {"external_id": "u1", "attributes": {}, "created_ms": NOW_MS, "updated_ms": version}
    return change(contact, "profile", version, profile=orjson.dumps(raw | shown), merged_into="", event_id="")


def merged(version: int, contact: str) -> Change:
    winner = cid("external_id:u9")
    return change(contact, "profile", version, profile=b"", merged_into=winner, event_id="")


def member(version: int, *, member: bool) -> Change:
    more = {"segment_id": "seg_1", "member": member, "at_ms": NOW_MS, "reason": "event", "segment_version": 1}
    return change(CONTACT, "membership", version, event_id="", **more)


PROFILES = st.builds(
    profile,
    st.integers(1, 12),
    st.sampled_from(CONTACTS),
    email=st.sampled_from([None, "ada@example.com"]),
    consents=st.sampled_from([{}, {"email": True}, {"email": False}, {"email": False, "sms": False}]),
)
MERGES = st.builds(merged, st.integers(1, 12), st.sampled_from(CONTACTS))
ENTRIES = st.builds(member, st.integers(1, 12), member=st.booleans())
LOG = st.lists(st.tuples(st.one_of(PROFILES, MERGES, ENTRIES), st.booleans(), st.booleans()), max_size=14)


@given(LOG)
def test_what_no_endpoint_heard_is_known_to_the_next_message(log: list[tuple[Change, bool, bool]]) -> None:
    """A sender that sets profiles aside and one that reads each make the same messages while endpoints subscribe."""
    rows: list[dict[bytes, bytes | None]] = [{}, {}]
    units = [NotificationState(some.get) for some in rows]
    for change_read, is_heard, ends_unit in log:
        told = []
        for state, is_read in zip(units, (True, is_heard), strict=True):
            if not is_read and change_read["kind"] == "profile":
                state.set_aside(change_read)
            else:
                profile_read = learn_identifiers(change_read, state)
                told.append(of_change(change_read, state, 0, profile=profile_read, is_heard=is_read))
        if is_heard:
            assert told[0] == told[1]
        if ends_unit:
            for some, state in zip(rows, units, strict=True):
                some.update(state.writes)
            units = [NotificationState(some.get) for some in rows]
    late = any(a["version"] > b["version"] for (a, *_), (b, *_) in pairwise(log) if b["kind"] == "profile")
    if not late:  # identifiers follow the last profile that was read, which a late one may be
        assert identifiers_of(CONTACT, units[0]) == identifiers_of(CONTACT, units[1])


def test_a_contact_that_no_endpoint_heard_of_costs_one_row() -> None:
    state = NotificationState(lambda _key: None)
    state.set_aside(profile(3, consents={"email": False}))
    state.set_aside(profile(2, email="old@example.com"))
    assert list(state.writes) == [f"r/{CONTACT}".encode()]
    assert identifiers_of(CONTACT, state) == {"external_id": "u1", "email": None, "phone": None}
    (updated,) = of_change(profile(4, consents={"email": False}, email="new@example.com"), state, 0)
    assert updated.type == "contact.updated"
    assert state.writes[f"r/{CONTACT}".encode()] is None
