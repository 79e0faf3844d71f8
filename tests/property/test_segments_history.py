"""Laws of history: a segment made or edited late, and a contact that was split, are as if they had always been so."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.membership.contact_state import Contact, Redirect
from schemas import topics
from schemas.records.records import Event, Identifier, Merge, Rebuild
from tests.property.oracle_segments import is_member, written_out
from tests.property.strategies_segments import events, rules
from tests.property.world_history import Past
from tests.property.world_segments import (
    HOUR,
    NOW,
    PARTITIONS,
    contact_of,
    event,
    merge,
    partition_of,
    told,
)

ANN, BOB, ANON = ("external_id", "ann"), ("external_id", "bob"), ("anonymous_id", "a1")
TWICE = {"event": "seen", "count": {"op": "gte", "value": 2}}
NEVER_SEEN = {"not": {"event": "seen"}}


some = st.lists(events((ANN, BOB)), min_size=1, max_size=12, unique_by=lambda e: e["event_id"])


contents = st.fixed_dictionaries(
    {
        "plans": st.lists(st.integers(0, 3), max_size=3, unique=True),
        "people": st.lists(st.sampled_from(["ann", "bob", "eve"]), max_size=2, unique=True),
    }
)


@given(rules, rules, some, contents, st.data())
@settings(max_examples=100, deadline=None)
def test_a_rule_of_today_says_what_it_would_have_said_always(
    first: dict[str, Any], second: dict[str, Any], sent: list[Event], lists: dict[str, list[Any]], data: st.DataObject
) -> None:
    """Made after some events and edited after others; lists, chunks, live events and a crash come in any order."""
    world, early, middle = Past(), data.draw(st.integers(0, len(sent))), data.draw(st.integers(0, len(sent)))
    early, middle = min(early, middle), max(early, middle)
    world.send(*sent[:early])
    world.define("s", first)
    for event_sent in sent[early:middle]:
        _something(world, data)
        world.send(event_sent)
    world.define("s", second, version=2)
    waiting = dict(lists)
    for event_sent in sent[middle:]:
        _something(world, data)
        if data.draw(st.booleans()) and waiting:
            name, values = waiting.popitem()
            world.enlist(name, *values, version=2)
        world.send(event_sent)
    for name, values in waiting.items():
        world.enlist(name, *values, version=2)
    world.follow()
    world.fire()
    for kind, user in (ANN, BOB):
        mine = [e for e in sent if e["contact_id"] == contact_of(kind, user)]
        expected = bool(mine) and is_member(written_out(second, lists), mine, world.now, is_known=True)
        assert ("s" in world.segments_of(user)) == expected
    assert world.standing("s") == "live"
    assert world.sink.members == world.members()


def _something(world: Past, data: st.DataObject) -> None:
    partition = data.draw(st.integers(0, PARTITIONS - 1))
    match data.draw(st.sampled_from(["nothing", "answer", "work", "lose", "restart"])):
        case "answer":
            world.answer(data.draw(st.integers(1, 4)))
        case "work":
            world.idle(partition, lose=False)
            world.settle()
        case "lose":
            world.idle(partition, lose=True)
        case "restart":
            world.now += 1
            world.restart()


def test_nothing_is_told_of_a_segment_before_its_history_is_there() -> None:
    world = Past()
    world.send(event(at=NOW - 5, event_id="e1"), event(at=NOW - 4, event_id="e2"))
    world.define("twice", TWICE)
    world.define("never", NEVER_SEEN)
    for partition in range(PARTITIONS):
        for _ in range(5):
            world.idle(partition, lose=False)
    changes = world.send(event("other", at=NOW - 3))
    assert told(changes) == []
    assert world.standing("twice") == world.standing("never") == "backfilling"
    before = len(world.sink.changes)
    world.follow()
    assert told(world.sink.changes[before:]) == [("twice", True, "rule")]
    assert world.standing("twice") == world.standing("never") == "live"


def test_an_edited_rule_tells_only_the_difference() -> None:
    world = Past(s=TWICE)
    for user, count in (("ann", 2), ("bob", 3), ("eve", 4)):
        world.send(*(event(user=user, at=NOW - n, event_id=f"{user}{n}") for n in range(count)))
    assert all(world.segments_of(user) for user in ("ann", "bob", "eve"))
    before = len(world.sink.changes)
    world.define("s", {"event": "seen", "count": {"op": "eq", "value": 3}}, version=2)
    world.follow()
    changes = [c for c in world.sink.changes[before:] if c["kind"] == "membership"]
    assert {(c["contact_id"], c["member"]) for c in changes} == {
        (contact_of("external_id", "ann"), False),
        (contact_of("external_id", "eve"), False),
    }


def test_a_changed_list_tells_only_the_difference_and_counts_history_anew() -> None:
    world = Past(s={"event": "seen", "where": [{"property": "n", "op": "in", "value": {"list": "plans"}}]})
    for n, user in enumerate(("ann", "bob", "eve")):
        world.send(event(user=user, event_id=user, properties={"n": n + 1}))
    assert [world.segments_of(user) for user in ("ann", "bob", "eve")] == [{"s"}, {"s"}, set()]
    before = len(world.sink.changes)
    world.enlist("plans", 2, 3, version=2)
    assert world.standing("s") == "backfilling"
    world.follow()
    assert world.standing("s") == "live"
    changes = [c for c in world.sink.changes[before:] if c["kind"] == "membership"]
    assert {(c["contact_id"], c["member"], c["reason"]) for c in changes} == {
        (contact_of("external_id", "ann"), False, "rule"),
        (contact_of("external_id", "eve"), True, "rule"),
    }


def test_what_was_dropped_with_a_rule_is_fed_again_with_the_next() -> None:
    world = Past(s=TWICE)
    world.send(event(at=NOW - 5, event_id="e1"), event(at=NOW - 4, event_id="e2"))
    world.remove("s")
    world.follow()
    assert not world.contact().counts
    world.send(event(at=NOW - 3, event_id="e3"))
    world.define("again", {"event": "seen", "count": {"op": "eq", "value": 3}})
    world.follow()
    assert world.segments_of() == {"again"}


def test_a_wider_window_and_a_higher_count_need_history_and_a_narrower_one_does_not() -> None:
    rule = {"event": "seen", "count": {"op": "gte", "value": 2}, "within": "10m"}
    world = Past(s=rule)
    world.send(*(event(at=NOW - n * HOUR, event_id=f"e{n}") for n in range(5)))
    world.define("s", {**rule, "within": "3h", "count": {"op": "gte", "value": 4}}, version=2)
    world.stage.has_work(0)
    assert world.queue.requests
    world.follow()
    assert world.segments_of() == {"s"}
    world.define("s", {**rule, "within": "2h", "count": {"op": "gte", "value": 2}}, version=3)
    assert world.stage.has_work(0)
    assert not world.queue.requests
    world.follow()
    assert world.segments_of() == {"s"}


# --- splits


def split(version: int, *parts: list[tuple[str, str]], at: int = NOW) -> list[Merge]:
    """What the resolver sends: the first part keeps the name of its first identifier, each other one gets its own."""
    made = [
        Rebuild(winner=contact_of(*part[0]), members=[Identifier(type=t, value=v) for t, v in part]) for part in parts
    ]
    first = merge(parts[0][0], parts[0][0], version=version, at=at)
    first["rebuilds"] = made
    return [first, *(merge(absorbed, part[0], version=version, at=at) for part in parts[1:] for absorbed in part)]


@given(
    st.lists(rules, min_size=1, max_size=3).map(lambda drawn: {f"s{n}": r for n, r in enumerate(drawn)}),
    st.lists(events((ANN, ANON)), min_size=1, max_size=10, unique_by=lambda e: e["event_id"]),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_a_split_contact_is_as_if_it_had_never_been_merged(
    by_name: dict[str, Any], sent: list[Event], data: st.DataObject
) -> None:
    world, plain = Past(**by_name), Past(**by_name)
    plain.send(*sent)
    merged, parted = sorted(data.draw(st.tuples(*[st.integers(0, len(sent))] * 2)))
    world.send(*sent[:merged])
    world.merge(merge(ANON, ANN, version=1))
    for event_sent in sent[merged:parted]:
        world.send(_as_resolved(event_sent, data))
    for record in split(2, [ANN], [ANON]):
        world.publish_merge(record)
    for event_sent in sent[parted:]:
        if data.draw(st.booleans()):
            world.settle()
        _something(world, data)
        world.publish(_as_resolved(event_sent, data))
    world.settle()
    world.follow()
    world.now = plain.now = max(world.now, plain.now)
    world.fire()
    plain.fire()
    mine, theirs = dict(world.rows()), dict(plain.rows())
    for contact_id, row in theirs.items():
        other = mine[contact_id]
        assert isinstance(row, Contact)
        assert isinstance(other, Contact)
        assert not other.pending
        assert set(other.members) == set(row.members)
        assert (other.attributes, other.consents, other.counts) == (row.attributes, row.consents, row.counts)
        assert {(k, v) for k, vs in other.identifiers.items() for v in vs} == {
            (k, v) for k, vs in row.identifiers.items() for v in vs
        }
    assert world.sink.members == world.members()


def _as_resolved(event: Event, data: st.DataObject) -> Event:
    """Identity may not have heard of the merge, or of the split, yet."""
    if event["contact_id"] == contact_of(*ANON) and data.draw(st.booleans()):
        return {**event, "contact_id": contact_of(*ANN)}
    return event


def test_a_split_flaps_nothing_and_tells_the_difference() -> None:
    world = Past(twice=TWICE, never=NEVER_SEEN)
    world.send(event(at=NOW - 9, event_id="e1"), event(at=NOW - 8, event_id="e2"))
    world.send(event("other", user="a1", by="anonymous_id", at=NOW - 7, event_id="e3"))
    world.merge(merge(ANON, ANN, version=1))
    assert world.segments_of() == {"twice"}
    before = len(world.sink.changes)
    world.merge(*split(2, [ANN], [ANON]))
    assert told(world.sink.changes[before:]) == []
    world.follow()
    assert world.segments_of() == {"twice"}
    assert world.segments_of(*reversed(ANON)) == {"never"}
    assert told(world.sink.changes[before:]) == [("never", True, "merged")]


def test_who_was_split_off_and_comes_back_is_no_stranger() -> None:
    world = Past(twice=TWICE)
    world.send(event(at=NOW - 9, event_id="e1"), event(user="a1", by="anonymous_id", at=NOW - 7, event_id="e3"))
    world.merge(merge(ANON, ANN, version=1))
    assert world.segments_of() == {"twice"}
    world.merge(*split(2, [ANN], [ANON]))
    world.follow()
    assert world.segments_of() == set()
    assert world.contact().foreign
    world.merge(merge(ANON, ANN, version=3))
    world.follow()
    assert world.segments_of() == {"twice"}
    assert not world.contact().foreign
    world.send({**event(user="a1", by="anonymous_id", at=NOW - 6, event_id="e4"), "contact_id": contact_of(*ANN)})
    assert not any(log for log in world.logs.values())
    assert isinstance(dict(world.rows())[contact_of(*ANON)], Redirect)


def test_a_contact_that_loses_while_it_waits_takes_its_wait_along() -> None:
    world = Past(twice=TWICE)
    world.send(event(at=NOW - 9, event_id="e1"), event(user="bob", at=NOW - 8, event_id="e2"))
    world.send(event(user="a1", by="anonymous_id", at=NOW - 7, event_id="e3"))
    world.merge(merge(ANON, ANN, version=1))
    world.merge(*split(2, [ANN], [ANON]))
    world.merge(merge(ANN, BOB, version=3))
    world.restart()
    world.follow()
    assert world.segments_of("bob") == {"twice"}
    assert not world.contact("bob").pending


def test_a_state_that_was_on_its_way_when_the_split_came_is_left_behind() -> None:
    world = Past(twice=TWICE)
    world.send(event(at=NOW - 9, event_id="e1"), event(user="a1", by="anonymous_id", at=NOW - 7, event_id="e3"))
    world.publish_merge(merge(ANON, ANN, version=1))
    world.process(topics.MERGES.name, partition_of(contact_of(*ANON)))
    held_back = {place: log for place, log in world.logs.items() if place[0] == topics.ABSORBS.name and log}
    assert held_back
    for place in held_back:
        world.logs[place] = []
    world.merge(*split(2, [ANN], [ANON]))
    for place, log in held_back.items():
        world.logs[place] = [*log, *world.logs[place]]
    world.settle()
    world.follow()
    assert world.segments_of() == set()
    assert set(world.contact().identifiers) == {"external_id"}
