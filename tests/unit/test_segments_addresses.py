"""A contact's e-mail and phone are what was said last of them, whatever else it has and in whatever order it came."""

from itertools import permutations

import pytest

from processors.membership import contact_state
from processors.membership.contact_state import Contact
from schemas.records.records import Event, Identifier
from tests.property.world_segments import NOW, SegmentsWorld, contact_of, event, merge

VALUES = {"email": ("a@x.org", "b@x.org"), "phone": ("+447700900123", "+447700900124")}


def said(kind: str, value: str, at: int) -> Event:
    made_event = event("seen", at=NOW + at, received=NOW + at, event_id=f"evt_{at}")
    made_event["identifiers"].append(Identifier(type=kind, value=value))
    return made_event


@pytest.mark.parametrize("kind", sorted(VALUES))
def test_an_address_that_is_changed_back_is_the_address(kind: str) -> None:
    first, second = VALUES[kind]
    events = [said(kind, first, 1), said(kind, second, 2), said(kind, first, 3)]
    for order in permutations(events):
        world = SegmentsWorld()
        world.send(order[0])
        for value in (first, second):
            world.merge(merge((kind, value), ("external_id", "ann"), at=NOW + 1))
        world.send(*order[1:])
        assert world.snapshot()[kind] == first, [e["event_id"] for e in order]


def test_it_is_told_as_soon_as_it_is_said() -> None:
    world = SegmentsWorld()
    world.send(said("email", "a@x.org", 1))
    for value in VALUES["email"]:
        world.merge(merge(("email", value), ("external_id", "ann"), at=NOW - 10))
    changes = world.send(said("email", "b@x.org", 2))
    assert [c["kind"] for c in changes].count("profile") == 1
    again = world.send(said("email", "b@x.org", 3))
    assert [c["kind"] for c in again].count("profile") == 0, "nothing reads differently"


def test_an_address_that_is_another_contacts_is_not_shown() -> None:
    world = SegmentsWorld()
    world.merge(merge(("email", "a@x.org"), ("external_id", "ann"), at=NOW))
    world.send(said("email", "a@x.org", 1), said("email", "theirs@x.org", 2))
    assert world.snapshot()["email"] == "a@x.org"


def test_what_was_said_last_survives_a_merge_and_a_row_of_before_is_read() -> None:
    world = SegmentsWorld()
    world.merge(merge(("email", "a@x.org"), ("external_id", "ann"), at=NOW))
    world.merge(merge(("email", "b@x.org"), ("external_id", "ann"), at=NOW + 1))
    world.send(said("email", "a@x.org", 5))
    world.merge(merge(("external_id", "ann"), ("external_id", "bob"), version=3, at=NOW + 6))
    assert world.snapshot("bob")["email"] == "a@x.org"
    row = dict(world.rows())[contact_of("external_id", "bob")]
    assert isinstance(row, Contact)
    row.addresses = {}
    old = contact_state.load(contact_state.dump(row))
    assert isinstance(old, Contact)
    assert old.addresses == {}
