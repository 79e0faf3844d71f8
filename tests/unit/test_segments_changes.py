"""What a change says: whose, when, why, in which order."""

import orjson
import pytest

from processors.membership import profile
from schemas.records import codec
from schemas.records.identity import contact_id
from schemas.records.records import Change, Event
from schemas.records.sameness import event_key
from tests.property.world_segments import HOUR, NOW, WORKSPACE, SegmentsWorld, contact_of, event, merge, told

MINUTE = 60_000
THRICE = {"event": "bought", "count": {"op": "gte", "value": 3}, "within": "1h"}


def bought(number: int = 1, ago: int = 0, reply_to: str = "") -> Event:
    return event("bought", at=NOW - ago, event_id=f"{number}{NOW - ago}", reply_to=reply_to)


def memberships(changes: list[Change]) -> list[Change]:
    return [change for change in changes if change["kind"] == "membership"]


def test_a_change_says_when_it_became_so_and_by_what() -> None:
    world = SegmentsWorld(it=THRICE)
    (change,) = memberships(world.send(*(bought(n, ago=n * MINUTE) for n in (5, 7, 3))))
    assert change["contact_id"] == contact_of("external_id", "ann")
    assert (change["segment_id"], change["member"], change["segment_version"]) == ("it", True, 1)
    assert (change["event_id"], change["at_ms"]) == (f"3{NOW - 3 * MINUTE}", NOW - 3 * MINUTE)
    world.pass_time(HOUR)
    (change,) = memberships(world.sink.changes[-1:])
    assert (change["event_id"], change["reason"]) == ("", "time")
    assert change["at_ms"] == NOW - 7 * MINUTE + HOUR + 1


def test_nobody_leaves_before_they_came() -> None:
    world = SegmentsWorld(it={"event": "bought", "count": {"op": "lt", "value": 1}})
    (entered,) = memberships(world.send(event("seen")))
    (left,) = memberships(world.send(bought(ago=HOUR)))
    assert left["at_ms"] == entered["at_ms"] == NOW


def test_versions_grow_with_each_change_of_a_contact() -> None:
    world = SegmentsWorld(it={"event": "bought", "within": "10m"}, pro={"attribute": "plan", "op": "exists"})
    world.send(bought(), event("x", attributes={"plan": 1}))
    world.pass_time(HOUR)
    world.send(event("x", at=world.now, attributes={"plan": 2}))
    versions = [change["version"] for change in world.sink.changes]
    assert versions == sorted(set(versions))


def test_an_event_that_changes_nothing_says_nothing() -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(event("seen"))
    before = dict(world.store.rows[1])
    assert world.send(event("seen", event_id="other")) == []
    assert world.store.rows[1] == before


def test_a_sender_without_an_identifier_is_no_contact() -> None:
    world = SegmentsWorld(it={"not": {"event": "bought"}})
    assert world.send(event("bought", user="")) == []
    sent = event("bought", user="", reply_to="edge-1", event_id="e")
    (applied,) = world.send(sent)
    assert (applied["kind"], applied["event_id"], applied["contact_id"]) == ("applied", event_key(sent), "")
    assert list(world.rows()) == []


def test_a_synchronous_event_answers_for_itself_alone_and_after_what_it_changed() -> None:
    world = SegmentsWorld(a={"event": "bought"}, b=THRICE, c={"not": {"event": "bought"}})
    world.send(event("seen"))
    sent = [bought(n, reply_to="edge-1") for n in (1, 2, 3)]
    changes = world.send(*sent)
    kinds = [change["kind"] for change in changes]
    assert kinds == sorted(kinds, key=["membership", "profile", "applied"].index)
    applied = [change for change in changes if change["kind"] == "applied"]
    assert [(c["event_id"], c["entered"], c["left"]) for c in applied] == [
        (event_key(sent[0]), ["a"], ["c"]),
        (event_key(sent[1]), [], []),
        (event_key(sent[2]), ["b"], []),
    ]
    assert {(c["reply_to"], c["task_id"]) for c in applied} == {("edge-1", "task")}


def test_the_receipt_of_a_contact_write_says_what_the_contact_is_now() -> None:
    world = SegmentsWorld(pro={"attribute": "plan", "op": "eq", "value": "pro"})
    wrote = event("$contact", kind="contact", reply_to="edge-1", event_id="w", attributes={"plan": "pro"})
    more = event("$contact", kind="contact", reply_to="edge-1", event_id="x", attributes={"size": 3})
    seen = event("seen", reply_to="edge-1", event_id="s")
    receipts = {c["event_id"]: c for c in world.send(wrote, more, seen) if c["kind"] == "applied"}
    body = orjson.loads(receipts[event_key(wrote)]["profile"])
    assert (body["id"], body["segments"]) == (wrote["contact_id"], ["pro"])
    assert body["attributes"] == {"plan": "pro", "size": 3}, "as it is when the whole unit is done"
    assert not receipts[event_key(seen)].get("profile"), "an event's answer shows no contact"


def test_the_receipt_of_a_large_contact_does_not_carry_it() -> None:
    world = SegmentsWorld()
    large = {"text": "x" * profile.MOST_RECEIPTED}
    (applied,) = [
        change
        for change in world.send(event("$contact", kind="contact", reply_to="e", event_id="w", attributes=large))
        if change["kind"] == "applied"
    ]
    assert applied["profile"] == b""


def test_what_time_did_is_not_blamed_on_the_event_that_found_it() -> None:
    world = SegmentsWorld(it={"event": "bought", "within": "10m"})
    world.send(bought())
    world.jump(HOUR)
    changes = world.send(event("bought", at=NOW - 1, received=world.now, event_id="late", reply_to="edge-1"))
    assert told(changes) == [("it", False, "time")]
    assert changes[-1]["left"] == []


def test_an_edge_whose_clock_is_ahead_is_believed_a_little() -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(event("bought", at=NOW + 3000))
    assert world.segments_of() == {"it"}
    other = SegmentsWorld(it={"event": "bought"})
    other.send(event("bought", at=NOW + 6000))
    assert other.segments_of() == set()
    other.pass_time(6000)
    assert other.segments_of() == {"it"}


def test_rules_do_not_see_contacts_of_another_environment() -> None:
    world = SegmentsWorld(it={"event": "bought"})
    staging = contact_id(WORKSPACE, "staging", "external_id", "ann")
    world.send({**bought(), "environment": "staging", "contact_id": staging})
    assert told(world.sink.changes) == []
    assert [row.environment for key, row in world.rows() if key == staging] == ["staging"]


@pytest.mark.parametrize("tenant", [{"environment": "staging"}, {"workspace": "other"}])
def test_an_event_that_names_another_tenants_contact_is_quarantined(tenant: dict[str, str]) -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(event("seen"))
    before = dict(world.rows())
    foreign: Event = {**bought(), **tenant}  # type: ignore[typeddict-item]
    assert world.send(foreign, bought(number=2)) != []
    assert [(row["reason"], row["index"]) for row in world.quarantined] == [("foreign_contact", 0)]
    (kept,) = codec.decode_events(world.quarantined[0]["payload"])
    assert {name: kept[name] for name in foreign} == foreign  # type: ignore[literal-required]
    assert world.contact().environment == "production"
    assert set(dict(world.rows())) == set(before)


def test_a_merge_and_an_absorb_that_cross_tenants_are_quarantined() -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(bought())
    foreign = contact_id("other", "production", "external_id", "eve")
    crossing = merge(("external_id", "ann"), ("external_id", "bob"))
    world.merge({**crossing, "winner": foreign}, {**crossing, "workspace": "other"})
    assert world.segments_of() == {"it"}
    assert [row["reason"] for row in world.quarantined] == ["foreign_contact"] * 2
