"""Laws of the stage: what a contact is follows from its events and the time, not from how they came."""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.membership import contact_state
from processors.membership.contact_state import Contact
from schemas.records.records import Event
from tests.property.oracle_segments import is_member
from tests.property.strategies_segments import events, rules
from tests.property.world_segments import HOUR, NOW, SegmentsWorld, contact_of, merge

ANN, BOB, ANON = ("external_id", "ann"), ("external_id", "bob"), ("anonymous_id", "a1")
some_rules = st.lists(rules, min_size=1, max_size=4).map(lambda drawn: {f"s{n}": r for n, r in enumerate(drawn)})


def some(*users: tuple[str, str], most: int = 12) -> st.SearchStrategy[list[Event]]:
    return st.lists(events(users), min_size=1, max_size=most, unique_by=lambda e: e["event_id"])


def followed(world: SegmentsWorld) -> dict[str, Any]:
    """What follows from what was learnt: memberships and due times."""
    return {key: (set(row.members), row.dues) for key, row in world.rows() if isinstance(row, Contact)}


def check_sink(world: SegmentsWorld) -> None:
    """A reader of the changes knows what the state knows."""
    assert world.sink.members == world.members()
    for key, row in world.rows():
        change = world.sink.profiles[key][1]
        if isinstance(row, Contact):
            assert not change["merged_into"]
        else:
            assert change["merged_into"] == row.winner


@given(some_rules, some(ANN, BOB), st.data())
def test_any_order_repetition_and_batching_gives_the_same(
    by_name: dict[str, Any], sent: list[Event], data: st.DataObject
) -> None:
    first, other = SegmentsWorld(**by_name), SegmentsWorld(**by_name)
    first.send(*sent)
    again = data.draw(st.permutations(sent + data.draw(st.lists(st.sampled_from(sent)))))
    for event in again:
        other.send(event)
    third = SegmentsWorld(**by_name)
    third.send(*again, batch=data.draw(st.integers(1, 5)))
    assert first.learnt() == other.learnt() == third.learnt()
    assert followed(first) == followed(other) == followed(third)
    check_sink(other)
    check_sink(third)


@given(some_rules, some(ANN, most=15), st.integers(0, 3 * HOUR))
def test_membership_is_what_the_rule_says(by_name: dict[str, Any], sent: list[Event], later: int) -> None:
    """Now, and later by time alone, to the millisecond before and after each change."""
    world = SegmentsWorld(**by_name)
    world.send(*sent)
    expected = {name: is_member(rule, sent, world.now, is_known=True) for name, rule in by_name.items()}
    assert world.segments_of() == {name for name, member in expected.items() if member}
    due = world.next_timer()
    if due is not None:
        world.pass_time(due - 1 - world.now)
        assert world.segments_of() == {n for n, r in by_name.items() if is_member(r, sent, due - 1, is_known=True)}
        world.pass_time(1)
        assert world.segments_of() == {n for n, r in by_name.items() if is_member(r, sent, due, is_known=True)}
    world.pass_time(later)
    assert world.segments_of() == {n for n, r in by_name.items() if is_member(r, sent, world.now, is_known=True)}
    check_sink(world)


@given(some_rules, some(ANN, most=10), st.integers(1, HOUR))
def test_an_event_of_the_future_counts_when_its_time_comes(
    by_name: dict[str, Any], sent: list[Event], ahead: int
) -> None:
    for event in sent:
        event["timestamp_ms"] += ahead
    world = SegmentsWorld(**by_name)
    world.send(*sent)
    for _ in range(6):
        assert world.segments_of() == {n for n, r in by_name.items() if is_member(r, sent, world.now, is_known=True)}
        world.pass_time(HOUR // 3)


@given(some_rules, some(ANN, ANON), st.data())
def test_a_merge_may_come_before_between_or_after_the_events(
    by_name: dict[str, Any], sent: list[Event], data: st.DataObject
) -> None:
    first, between = SegmentsWorld(**by_name), SegmentsWorld(**by_name)
    first.merge(merge(ANON, ANN))
    first.send(*sent)
    at = data.draw(st.integers(0, len(sent)))
    between.send(*sent[:at])
    between.merge(merge(ANON, ANN))
    between.send(*sent[at:])
    direct = SegmentsWorld(**by_name)  # identity knew it from the start
    direct.merge(merge(ANON, ANN))
    known_events: list[Event] = [{**e, "contact_id": contact_of(*ANN)} for e in sent]
    direct.send(*known_events)
    assert first.learnt() == between.learnt() == direct.learnt()
    assert followed(first) == followed(between) == followed(direct)
    assert set(first.learnt()) == {contact_of(*ANN)}
    check_sink(between)


@given(some_rules, some(ANN, ANON, BOB), st.data())
def test_chains_of_merges_end_at_the_last_winner(
    by_name: dict[str, Any], sent: list[Event], data: st.DataObject
) -> None:
    """The loser's second merge, its winner's own, and absorbs under way may overtake each other."""
    chain = [merge(ANON, ANN, version=1), merge(ANN, BOB, version=2), merge(ANON, BOB, version=3)]
    expected = SegmentsWorld(**by_name)
    for merged in chain:
        expected.merge(merged)
    expected.send(*sent)
    world = SegmentsWorld(**by_name)
    to_send = list(sent)
    own = [[chain[0], chain[2]], [chain[1]]]  # each loser's in order, as its partition has them
    while True:
        actions: list[Callable[[], None]] = [partial(world.process, *place, 1) for place in world.waiting()]
        actions += [partial(lambda queue: world.publish_merge(queue.pop(0)), queue) for queue in own if queue]
        if to_send:
            actions.append(lambda: world.publish(to_send.pop()))
        if not actions:
            break
        data.draw(st.sampled_from(actions))()
    assert world.learnt() == expected.learnt()
    assert followed(world) == followed(expected)
    check_sink(world)


@given(some(ANN), some(ANN), some(ANN))
def test_join_is_commutative_associative_and_idempotent(a: list[Event], b: list[Event], c: list[Event]) -> None:
    by_name = {"s": {"event": "seen", "count": {"op": "gte", "value": 2}}, "t": {"event": "bought"}}

    def contact(sent: list[Event]) -> Contact:
        world = SegmentsWorld(**by_name)
        world.send(*sent)
        return world.contact()

    def joined(*parts: list[Event]) -> dict[str, Any]:
        whole = contact(parts[0])
        for part in parts[1:]:
            contact_state.join(whole, contact(part))
        contact_state.prune(whole, SegmentsWorld(**by_name).stage_plan().keeps, list(whole.counts), NOW)
        return whole.learnt()

    assert joined(a, b) == joined(b, a)
    assert joined(a, a) == joined(a)
    left = contact(a)
    contact_state.join(left, contact(b))
    contact_state.join(left, contact(c))
    right_part, right = contact(b), contact(a)
    contact_state.join(right_part, contact(c))
    contact_state.join(right, right_part)
    assert left.learnt() == right.learnt()
    assert joined(a, b, c) == joined(c, b, a)


@given(some(ANN), some_rules)
def test_a_row_survives_its_bytes(sent: list[Event], by_name: dict[str, Any]) -> None:
    world = SegmentsWorld(**by_name)
    world.send(*sent)
    for row in world.store.rows.values():
        for key, value in row.items():
            if key.startswith(b"cnt_"):
                contact = contact_state.load(value)
                assert contact_state.dump(contact) == value
                assert isinstance(contact, Contact)
                assert contact_state.due_of(value) == contact.due
                assert contact_state.plan_of(value) == contact.plan.encode()


@settings(max_examples=50)
@given(some_rules, some_rules, some(ANN, BOB))
def test_new_rules_over_old_contacts(old: dict[str, Any], new: dict[str, Any], sent: list[Event]) -> None:
    """Exact where the events were counted already or none need be; what is told is only the difference."""
    world = SegmentsWorld(**old)
    world.send(*sent)
    for name in old:
        world.remove(name)
    without_events = {name: rule for name, rule in new.items() if b'"event"' not in orjson.dumps(rule)}
    for name, rule in (old | without_events).items():
        world.define(name, rule, version=2)
    told_before = dict(world.sink.memberships)
    before = world.sink.members
    world.follow()
    for user in {e["identifiers"][0]["value"] for e in sent}:
        mine = [e for e in sent if e["identifiers"][0]["value"] == user]
        for name, rule in (old | without_events).items():
            assert (name in world.segments_of(user)) == is_member(rule, mine, world.now, is_known=True)
    check_sink(world)
    changed = {key for key, value in world.sink.memberships.items() if told_before.get(key) != value}
    assert changed == before ^ world.sink.members
