"""What a contact's snapshot says, and that nobody can make it grow for ever."""

from itertools import permutations
from typing import Any

import orjson
import pytest

from processors.membership import contact_state, profile
from processors.membership.contact_state import Contact
from schemas.records import codec
from schemas.records.records import Identifier
from schemas.records.sameness import event_key
from tests.property.world_segments import HOUR, NOW, SegmentsWorld, contact_of, event, merge


def test_a_snapshot() -> None:
    world = SegmentsWorld()
    world.send(
        event("seen", at=NOW - 2 * HOUR),
        event(
            "$identify",
            kind="identify",
            at=NOW - HOUR,
            attributes={"plan": "pro", "gone": None, "deep": {"a": [1, None]}},
            consents={"email": True, "sms": False},
            device={"device_id": "d1", "token": "t1"},
        ),
    )
    for number, (kind, value) in enumerate([("email", "b@x.org"), ("email", "a@x.org"), ("anonymous_id", "z")]):
        world.merge(merge((kind, value), ("external_id", "ann"), at=NOW - 3000 + number))
    assert world.snapshot() == {
        "email": "a@x.org",
        "phone": None,
        "external_id": "ann",
        "anonymous_ids": ["z"],
        "identifiers": [
            {"type": "external_id", "value": "ann"},
            {"type": "email", "value": "a@x.org"},
            {"type": "email", "value": "b@x.org"},
            {"type": "anonymous_id", "value": "z"},
        ],
        "attributes": {"plan": "pro", "deep": {"a": [1, None]}},
        "consents": {"email": True, "sms": False},
        "devices": [{"device_id": "d1", "token": "t1"}],
        "created_ms": NOW - 2 * HOUR,
        "updated_ms": NOW - 2998,
    }


def test_one_snapshot_per_group_and_contact() -> None:
    world = SegmentsWorld()
    changes = world.send(*(event("x", event_id=f"e{n}", at=NOW + n, attributes={"n": n}) for n in range(5)))
    assert [change["kind"] for change in changes] == ["profile"]
    assert orjson.loads(changes[0]["profile"])["attributes"] == {"n": 4}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
def test_the_last_writer_wins_by_time_then_event_id(order: tuple[int, ...]) -> None:
    sent = [
        event("x", event_id="b", at=NOW, attributes={"plan": "later id", "only": 1}),
        event("x", event_id="a", at=NOW, attributes={"plan": "earlier id"}),
        event("x", event_id="z", at=NOW - 1, attributes={"plan": "earlier", "only": None}),
    ]
    world = SegmentsWorld()
    for index in order:
        world.send(sent[index])
    assert world.snapshot()["attributes"] == {"only": 1, "plan": "later id"}


def test_a_clock_that_is_ahead_silences_nobody() -> None:
    world = SegmentsWorld()
    world.send(event("x", event_id="1", at=NOW + 1000 * HOUR, received=NOW, attributes={"plan": "future"}))
    world.send(event("x", event_id="2", at=NOW + 1, attributes={"plan": "now"}))
    assert world.snapshot()["attributes"] == {"plan": "now"}


def test_the_newest_registration_of_a_device() -> None:
    world = SegmentsWorld()
    for token, at in (("new", NOW), ("old", NOW - 1)):
        world.send(event("d", kind="device", event_id=token, at=at, device={"device_id": "d1", "token": token}))
    world.send(event("d", kind="device", device={"device_id": "d2", "token": "x"}))
    assert [device["token"] for device in world.snapshot()["devices"]] == ["new", "x"]


def test_a_contact_id_is_no_identifier() -> None:
    world = SegmentsWorld(known={"identified": True})
    sent = event("x", user="a1", by="anonymous_id")
    sent["identifiers"] = [Identifier(type="id", value=sent["contact_id"])]
    world.send(sent)
    assert world.snapshot("a1", "anonymous_id")["identifiers"] == []
    assert world.segments_of("a1", "anonymous_id") == set()


@pytest.mark.parametrize(
    "profile",
    [[], 3, {"set": 3}, {"set": None}, {"consents": {"email": "yes"}}, {"device": {"token": "x"}}, {"device": [1]}],
)
def test_nonsense_says_nothing(profile: Any) -> None:
    world = SegmentsWorld()
    world.send({**event("x"), "profile": orjson.dumps(profile)})
    snapshot = world.snapshot()
    assert (snapshot["attributes"], snapshot["consents"], snapshot["devices"]) == ({}, {}, [])


def test_attributes_are_bounded_to_the_newest() -> None:
    world = SegmentsWorld(it={"attribute": "a0", "op": "exists"})
    world.send(event("x", event_id="0", attributes={"a0": 0}))
    assert world.segments_of() == {"it"}
    many = {f"b{n}": n for n in range(profile.MOST_ATTRIBUTES)}
    world.send(event("x", event_id="1", at=NOW + 1, attributes=many))
    assert world.contact().attributes.keys() == many.keys()
    assert world.segments_of() == set()


def test_a_row_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    world = SegmentsWorld()
    for number in range(12):
        world.send(event("x", event_id=f"{number:02}", at=NOW + number, attributes={f"a{number:02}": "x" * 200_000}))
    contact = world.contact()
    assert len(contact_state.dump(contact)) <= contact_state.MAX_ROW
    assert max(contact.attributes) == "a11"
    assert min(contact.attributes) > "a05"
    assert "too large to keep" in caplog.text


def test_a_row_that_is_full_of_events_is_bounded() -> None:
    contact = Contact("local", "production")
    contact.counts = {f"c{n}": [list(range(1000)), [f"evt_{'x' * 60}{i}" for i in range(1000)]] for n in range(30)}
    contact_state.shrink(contact)
    assert len(contact_state.dump(contact)) <= contact_state.MAX_ROW
    assert all(len(times) == len(ids) > 100 for times, ids in contact.counts.values())
    assert all(times[-1] == 999 for times, _ in contact.counts.values())


def test_changes_go_in_records_of_bounded_size() -> None:
    world = SegmentsWorld()
    users = [f"user{n}" for n in range(30)]
    world.send(*(event("x", user=user, attributes={"a": "x" * 150_000}) for user in users))
    assert {change["contact_id"] for change in world.sink.changes} == {contact_of("external_id", u) for u in users}
    sizes = [len(send.value) for send in world.sends]
    assert max(sizes) < 900_000
    assert len(sizes) <= 12
    for partition in range(3):
        changes = [c for s in world.sends if s.partition == partition for c in codec.decode_changes(s.value)]
        assert [c["contact_id"] for c in changes] == [
            contact_of("external_id", u)
            for u in users
            if world.store.rows[partition].get(contact_of("external_id", u).encode())
        ]


def test_only_what_reads_differently_is_a_change() -> None:
    world = SegmentsWorld()
    world.send(event("x", event_id="1", at=NOW, received=NOW, attributes={"plan": "pro"}, consents={"sms": True}))
    first = world.snapshot()
    same = world.send(event("x", event_id="2", at=NOW + 5, received=NOW + 5, attributes={"plan": "pro"}))
    assert [change["kind"] for change in same] == []
    # and yet the later time counts against what comes out of order
    world.send(event("x", event_id="3", at=NOW + 3, received=NOW + 6, attributes={"plan": "late"}))
    assert world.snapshot() == first
    world.send(event("x", event_id="4", at=NOW + 7, received=NOW + 7, attributes={"plan": True, "gone": None}))
    world.send(event("x", event_id="5", at=NOW + 8, received=NOW + 8, attributes={"plan": 1}))
    assert world.snapshot()["updated_ms"] == NOW + 8
    assert world.snapshot()["created_ms"] == first["created_ms"]


def test_each_consent_is_told_with_its_time() -> None:
    world = SegmentsWorld()
    world.send(event("x", event_id="1", at=NOW, consents={"sms": True}))
    sent = event("x", event_id="0", at=NOW - HOUR, consents={"sms": False, "odd": "yes", "push": None})
    late = world.send(sent)
    consents = [(c["at_ms"], c["event_id"], orjson.loads(c["profile"])) for c in late if c["kind"] == "consent"]
    assert consents == [
        (NOW - HOUR, "0", {"consent": "sms", "value": False, "key": event_key(sent)}),
        (NOW - HOUR, "0", {"consent": "push", "value": None, "key": event_key(sent)}),
    ]
    assert world.snapshot()["consents"] == {"sms": True}


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_what_is_set_once_loses_to_every_writer_and_the_first_of_it_wins(order: tuple[int, ...]) -> None:
    sent = [
        event("x", event_id="b", at=NOW - HOUR, once={"source": "first", "plan": "free"}),
        event("x", event_id="a", at=NOW, once={"source": "second", "only": 2}),
        event("x", event_id="c", at=NOW - 2 * HOUR, attributes={"plan": "pro"}),
        event("x", event_id="d", at=NOW - 1, attributes={"other": 1}),
    ]
    world = SegmentsWorld()
    for number in order:
        world.send(sent[number])
    assert world.snapshot()["attributes"] == {"source": "first", "plan": "pro", "only": 2, "other": 1}
