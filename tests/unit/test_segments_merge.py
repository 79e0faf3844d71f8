"""A contact that loses: what it had goes to the winner once, and what comes later follows."""

from typing import Any

from processors.membership.contact_state import Contact, Redirect
from schemas import topics
from schemas.records import codec
from schemas.records.sameness import event_key
from tests.property.world_segments import (
    HOUR,
    NOW,
    SegmentsWorld,
    absorbs,
    contact_of,
    event,
    merge,
    partition_of,
    told,
)

ANON, ANN, BOB = ("anonymous_id", "a1"), ("external_id", "ann"), ("external_id", "bob")
TWICE = {"event": "bought", "count": {"op": "gte", "value": 2}}


def row(world: SegmentsWorld, who: tuple[str, str]) -> Contact | Redirect | None:
    return dict(world.rows()).get(contact_of(*who))


def anonymous(name: str = "bought", **more: Any) -> Any:
    return event(name, user="a1", by="anonymous_id", **more)


def test_the_loser_leaves_the_winner_enters() -> None:
    world = SegmentsWorld(it=TWICE, known={"identified": True}, unknown={"identified": False})
    world.send(anonymous(), event("bought", user="ann"))
    changes = world.merge(merge(ANON, ANN, version=7))
    loser = [c for c in changes if c["contact_id"] == contact_of(*ANON)]
    assert told(loser) == [("unknown", False, "carried")]
    assert loser[-1]["kind"] == "profile"
    assert loser[-1]["merged_into"] == contact_of(*ANN)
    winner = [c for c in changes if c["contact_id"] == contact_of(*ANN)]
    assert told(winner) == [("unknown", False, "merged"), ("it", True, "merged")], "nobody was in it before"
    assert {c["event_id"] for c in changes if c["kind"] == "membership"} == {"evt_merge_7"}
    assert world.snapshot("ann")["anonymous_ids"] == ["a1"]
    redirect = row(world, ANON)
    assert isinstance(redirect, Redirect)
    assert (redirect.winner, redirect.version) == (contact_of(*ANN), 7)


def test_an_absorb_carries_what_the_merge_says_and_the_state() -> None:
    world = SegmentsWorld()
    world.send(anonymous(attributes={"plan": "pro"}))
    world.publish_merge(merge(ANON, ANN, version=7, at=NOW - 5))
    world.process(topics.MERGES.name, partition_of(contact_of(*ANON)))
    (send,) = [send for send in world.sends if send.topic == topics.ABSORBS.name]
    assert (send.partition, send.key) == (partition_of(contact_of(*ANN)), contact_of(*ANN).encode())
    (absorb,) = absorbs(world.sends)
    assert absorb["identifier"] == {"type": "anonymous_id", "value": "a1"}
    assert (absorb["winner"], absorb["loser"]) == (contact_of(*ANN), contact_of(*ANON))
    assert (absorb["version"], absorb["at_ms"], absorb["event_id"]) == (7, NOW - 5, "evt_merge_7")
    assert b'"pro"' in absorb["state"]


def test_a_loser_that_nobody_knew_brings_its_identifier() -> None:
    world = SegmentsWorld(known={"identified": True})
    world.merge(merge(("email", "ann@x.org"), ANN))
    assert [absorb["state"] for absorb in absorbs(world.sends)] == [b""]
    assert world.snapshot("ann")["email"] == "ann@x.org"
    assert world.segments_of("ann") == {"known"}


def test_late_events_follow_their_contact() -> None:
    world = SegmentsWorld(it=TWICE)
    world.send(event("bought", user="ann"))
    world.merge(merge(ANON, ANN))
    late = anonymous(reply_to="edge", event_id="late")
    changes = world.send(late, anonymous("other"))
    assert {change["contact_id"] for change in changes} == {contact_of(*ANN)}
    assert told(changes) == [("it", True, "event")]
    (applied,) = [change for change in changes if change["kind"] == "applied"]
    assert (applied["event_id"], applied["entered"]) == (event_key(late), ["it"])
    assert [e["event_id"] for e in absorbs(world.sends)[-1]["events"]] == ["late", f"evt_other_a1_{NOW}"]


def test_a_repeated_merge_says_nothing() -> None:
    world = SegmentsWorld(it=TWICE)
    world.send(anonymous())
    world.merge(merge(ANON, ANN, version=3))
    assert world.merge(merge(ANON, ANN, version=3), merge(ANON, ANN, version=2), merge(ANON, BOB, version=1)) == []


def test_a_new_winner_gets_what_the_old_one_forwards() -> None:
    world = SegmentsWorld(it=TWICE)
    world.send(anonymous(), event("bought", user="ann"))
    world.merge(merge(ANON, ANN, version=1))
    (moved,) = world.merge(merge(ANON, BOB, version=2))
    assert moved["merged_into"] == contact_of(*BOB)
    world.merge(merge(ANN, BOB, version=3))
    assert world.segments_of("bob") == {"it"}
    assert world.segments_of("ann") == set()
    world.send(anonymous("seen", attributes={"plan": "pro"}))
    assert world.snapshot("bob")["attributes"] == {"plan": "pro"}


def test_an_absorb_that_finds_its_winner_gone_follows_it() -> None:
    world = SegmentsWorld(it=TWICE)
    world.send(anonymous(), anonymous(event_id="second"))
    world.publish_merge(merge(ANON, ANN, version=1))
    world.process(topics.MERGES.name, partition_of(contact_of(*ANON)))
    world.publish_merge(merge(ANN, BOB, version=2))
    world.process(topics.MERGES.name, partition_of(contact_of(*ANN)))
    world.settle()
    assert world.segments_of("bob") == {"it"}
    assert world.snapshot("bob")["anonymous_ids"] == ["a1"]
    assert world.snapshot("bob")["external_id"] == "ann"


def test_a_contact_can_stand_for_itself_again() -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(anonymous())
    world.merge(merge(ANON, ANN, version=1))
    world.merge(merge(ANON, ANON, version=2))
    changes = world.send(anonymous(event_id="new"))
    assert {change["contact_id"] for change in changes} == {contact_of(*ANON)}
    assert world.segments_of("a1", "anonymous_id") == {"it"}
    assert world.sink.profiles[contact_of(*ANON)][1]["merged_into"] == ""
    # the merge of before, read again
    assert world.merge(merge(ANON, ANN, version=1)) == []
    assert isinstance(row(world, ANON), Contact)


def test_timers_of_a_loser_are_the_winners() -> None:
    world = SegmentsWorld(it={"event": "bought", "within": "1h"})
    world.send(anonymous())
    world.merge(merge(ANON, ANN))
    assert world.segments_of("ann") == {"it"}
    world.pass_time(HOUR + 1)
    assert world.segments_of("ann") == set()
    assert [change["contact_id"] for change in world.sink.changes[-1:]] == [contact_of(*ANN)]


def test_many_late_events_go_in_records_of_bounded_size() -> None:
    world = SegmentsWorld()
    world.merge(merge(ANON, ANN))
    world.send(*(anonymous(event_id=f"e{n}", properties={"x": "y" * 200_000}) for n in range(10)))
    sent = absorbs(world.sends)[1:]
    assert [e["event_id"] for absorb in sent for e in absorb["events"]] == [f"e{n}" for n in range(10)]
    assert max(len(codec.encode_absorb(absorb)) for absorb in sent) < 900_000


def test_who_is_in_it_before_and_after_a_merge_has_neither_left_nor_entered() -> None:
    once = {"event": "bought"}
    world = SegmentsWorld(it=once)
    world.send(anonymous())
    changes = world.merge(merge(ANON, ANN))
    assert told(changes) == [("it", False, "carried"), ("it", True, "carried")]
    both = SegmentsWorld(it=once)
    both.send(anonymous(), event("bought", user="ann"))
    assert told(both.merge(merge(ANON, ANN))) == [("it", False, "carried")]


def test_who_is_no_longer_in_it_after_a_merge_has_left() -> None:
    world = SegmentsWorld(few={"event": "bought", "count": {"op": "eq", "value": 1}})
    world.send(anonymous(), event("bought", user="ann"))
    assert told(world.merge(merge(ANON, ANN))) == [("few", False, "carried"), ("few", False, "merged")]
    alone = SegmentsWorld(few={"attribute": "plan", "op": "ne", "value": "pro"})
    alone.send(anonymous(), event("$identify", kind="identify", user="ann", attributes={"plan": "pro"}))
    changes = alone.merge(merge(ANON, ANN))
    assert told(changes) == [("few", False, "carried"), ("few", False, "merged")], "the person was in it as the loser"
    assert changes[-1]["contact_id"] == contact_of(*ANN)
