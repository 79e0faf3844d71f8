"""A worker that dies between its outputs and its state, again and again, in any order of inputs, time and rules.

What must hold at rest: the state is what the rules say of the events, and a reader of the changes knows just
that, although changes went out that the state never knew of.
"""

from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from processors.membership import profile
from processors.membership.contact_state import Contact
from schemas.records.records import Event
from tests.property.oracle_segments import is_member
from tests.property.strategies_segments import attribute_rules, events, rules
from tests.property.world_segments import HOUR, SegmentsWorld, contact_of, merge

USERS = (("external_id", "ann"), ("anonymous_id", "a1"), ("external_id", "bob"))


class Crashes(RuleBasedStateMachine):
    """Rules that count events are there from the start; those about attributes come, change and go."""

    def __init__(self) -> None:
        super().__init__()
        self.defined: dict[str, Any] = {}
        self.sent: dict[str, Event] = {}
        self.slots: dict[int, str] = {}
        self.version = 1
        self.merged = 0

    @initialize(rules_drawn=st.lists(rules, min_size=1, max_size=3))
    def begin(self, rules_drawn: list[Any]) -> None:
        self.defined = {f"fixed{n}": rule for n, rule in enumerate(rules_drawn)}
        self.world = SegmentsWorld(**self.defined)

    @rule(some=st.lists(events(USERS), min_size=1, max_size=4), batch=st.integers(1, 4))
    def send(self, some: list[Event], batch: int) -> None:
        new = [e for e in {e["event_id"]: e for e in some}.values() if e["event_id"] not in self.sent]
        ahead = self.world.now - max((e["received_ms"] for e in new), default=0)
        for event in new:
            event["timestamp_ms"] += ahead
            event["received_ms"] += ahead
            self.sent[event["event_id"]] = event
        self.world.publish(*new, batch=batch)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        self.world.publish(self.sent[data.draw(st.sampled_from(sorted(self.sent)))])

    @precondition(lambda self: self.merged < 3)
    @rule()
    def merge(self) -> None:
        """In this order, as the resolver's log has it."""
        loser, winner = ((USERS[1], USERS[0]), (USERS[0], USERS[2]), (USERS[1], USERS[2]))[self.merged]
        self.merged += 1
        self.world.publish_merge(merge(loser, winner, version=self.merged, at=self.world.now))

    @precondition(lambda self: self.world.waiting())
    @rule(data=st.data(), most=st.integers(1, 3), lose=st.booleans())
    def process(self, data: st.DataObject, most: int, lose: bool) -> None:
        place = data.draw(st.sampled_from(self.world.waiting()))
        self.world.process(*place, most, lose=lose)

    @rule(ms=st.sampled_from([1, 1000, 600_000, HOUR, 2 * HOUR]), fire=st.booleans(), lose=st.booleans())
    def time(self, ms: int, fire: bool, lose: bool) -> None:
        self.world.jump(ms)
        if fire:
            self.world.fire(lose=lose)

    @rule(slot=st.integers(0, 1), written=attribute_rules)
    def define(self, slot: int, written: Any) -> None:
        """Create, or edit."""
        self.version += 1
        name = self.slots.setdefault(slot, f"changing{self.version}")
        self.defined[name] = written
        self.world.define(name, written, self.version)

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """For good: an id is never used again."""
        name = self.slots.pop(data.draw(st.sampled_from(sorted(self.slots))))
        del self.defined[name]
        self.world.remove(name)

    @rule(partition=st.integers(0, 2), lose=st.booleans())
    def follow(self, partition: int, lose: bool) -> None:
        self.world.idle(partition, lose=lose)

    @rule()
    def restart(self) -> None:
        self.world.restart()

    def teardown(self) -> None:
        world = self.world
        world.settle()
        world.pass_time(2000)  # nothing is behind any more
        world.follow()
        self.check_state(world)
        # what was told of a segment that is gone is for readers to ignore
        assert {(who, name) for who, name in world.sink.members if name in self.defined} == world.members()
        for key, row in world.rows():
            change = world.sink.profiles[key][1]
            if isinstance(row, Contact):
                assert orjson.loads(change["profile"]) == orjson.loads(profile.snapshot(row))
            else:
                assert change["merged_into"] == row.winner

    def check_state(self, world: SegmentsWorld) -> None:
        into = [
            {},
            {USERS[1]: USERS[0]},
            {USERS[1]: USERS[2], USERS[0]: USERS[2]},
            {USERS[1]: USERS[2], USERS[0]: USERS[2]},
        ][self.merged]
        members = set()
        for user in USERS:
            mine = [
                e
                for e in self.sent.values()
                for sender in [(e["identifiers"][0]["type"], e["identifiers"][0]["value"])]
                if into.get(sender, sender) == user
            ]
            exists = any(row for key, row in world.rows() if key == contact_of(*user) and isinstance(row, Contact))
            is_known = user[0] == "external_id" and (
                any(e["identifiers"][0]["type"] == "external_id" for e in mine) or USERS[0] in into
            )
            merged = [loser for loser, winner in into.items() if winner == user]
            if exists:
                members |= {
                    (contact_of(*user), name)
                    for name, written in self.defined.items()
                    if is_member(written, mine, world.now, is_known=is_known, merged=merged)
                }
        assert world.members() == members


Crashes.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestCrashes = Crashes.TestCase
