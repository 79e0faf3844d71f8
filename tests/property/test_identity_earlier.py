"""Laws of an earlier id: what was stored under it comes along in any order; somebody identified never does."""

import random
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.identity import graph
from processors.membership import contact_state, profile
from processors.membership.contact_state import Contact
from schemas import topics
from schemas.records.records import Event
from tests.property.world_identity import CRASHES, INPUTS, PARTITIONS, IdentityWorld
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, event

RANDOM = st.randoms(use_true_random=False)
USERS = ("u1", "u2", "u3")


class Said:
    """Events as the dialects make them, each with an id of its own."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def _say(self, *names: str, **more: Any) -> None:
        n = len(self.events)
        more |= {"event_id": f"evt_{n}", "received_ms": NOW_MS + n, "timestamp_ms": NOW_MS + n}
        self.events.append(event(*names, **more))

    def captured(self, value: str, kind: str = "external_id") -> None:
        self._say(f"{kind}:{value}")

    def identified(self, user: str, earlier: str | None = None) -> None:
        self._say(f"external_id:{user}", *named(earlier), kind="identify", type="$identify")

    def aliased(self, user: str, earlier: str) -> None:
        self._say(f"external_id:{user}", *named(earlier), kind="identify", type="$alias")

    def merged(self, user: str, earlier: str) -> None:
        self._say(f"external_id:{user}", *named(earlier), kind="alias", type="$alias")


def named(earlier: str | None) -> list[str]:
    return [] if earlier is None else [f"external_id:{earlier}", f"anonymous_id:{earlier}"]


def world_of(events: list[Event], rng: random.Random | None = None) -> IdentityWorld:
    """Each event worked off alone, or some at once with crashes in between."""
    world = IdentityWorld()
    for arrived in events:
        world.deliver(arrived)
        if rng is None:
            world.settle()
            continue
        for _ in range(rng.randrange(4)):
            topic, crash = rng.choice(INPUTS), rng.choice(CRASHES)
            world.work(topic, rng.randrange(PARTITIONS), rng.randint(1, 4), crash, rng)
    world.settle()
    return world


def contact_of(world: IdentityWorld, value: str, kind: str = "external_id") -> str:
    return world.winner(f"{kind}:{value}")


EARLIER = st.lists(st.tuples(st.sampled_from(USERS), st.sampled_from(["alias", "identify"])), min_size=1, max_size=3)
"""A device each: whose it is, and which call says so."""


@given(EARLIER, st.sets(st.sampled_from(USERS)), st.data(), RANDOM)
@settings(max_examples=150, deadline=None)
def test_what_was_stored_under_an_earlier_id_comes_along_before_or_after(
    devices: list[tuple[str, str]], identified: set[str], data: st.DataObject, rng: random.Random
) -> None:
    """Stored as either type, on either side of the call; users stay apart; the order of all of it does not matter."""
    sender = Said()
    for n, (user, call) in enumerate(devices):
        device = f"device-{n}"
        (sender.aliased if call == "alias" else sender.identified)(user, device)
        for kind in data.draw(st.lists(st.sampled_from(["external_id", "anonymous_id"]), max_size=3)):
            sender.captured(device, kind)
        sender.captured(user)
    for user in sorted(identified):
        sender.identified(user)
    events = list(sender.events)
    rng.shuffle(events)
    world = world_of(events, rng)
    owners = {user: contact_of(world, user) for user, _ in devices}
    assert len(set(owners.values())) == len(owners)
    for n, (user, _) in enumerate(devices):
        for kind in ("external_id", "anonymous_id"):
            assert contact_of(world, f"device-{n}", kind) == owners[user], (n, kind)


def test_an_alias_of_two_who_are_identified_is_refused_and_kept() -> None:
    sender = Said()
    sender.identified("u1", "a")
    sender.identified("u2", "b")
    sender.aliased("u1", "u2")
    world = world_of(sender.events)
    assert contact_of(world, "u1") == contact_of(world, "a") != contact_of(world, "u2") == contact_of(world, "b")
    assert {(r.type, r.value) for r in refusals(world)} >= {("external_id", "u2"), ("external_id", "u1")}
    sender.merged("u1", "u2")
    world = world_of(sender.events)
    assert len({contact_of(world, name) for name in ("u1", "u2", "a", "b")}) == 1


def refusals(world: IdentityWorld) -> list[Any]:
    rows = [
        row
        for (table, _), some in world.changelog.rows.items()
        if table == topics.RESOLVER_GRAPH
        for key, row in some.items()
        if key.startswith(b"c/")
    ]
    return [refusal for row in rows for refusal in graph.load(row).refused]


def test_an_identify_does_not_take_somebody_identified_along() -> None:
    """A page that identifies a second user without a reset, or names the first one as the earlier id."""
    sender = Said()
    sender.identified("u1", "device")
    sender.identified("u2", "device")
    sender.identified("u3", "u1")
    world = world_of(sender.events)
    assert contact_of(world, "u1") == contact_of(world, "device")
    assert len({contact_of(world, user) for user in USERS}) == 3


def test_a_second_user_of_a_device_never_takes_the_first_ones_history() -> None:
    """Also where neither was ever identified by a call of their own."""
    sender = Said()
    sender.captured("device")
    sender.aliased("u1", "device")
    sender.aliased("u2", "device")
    world = world_of(sender.events)
    assert contact_of(world, "u1") == contact_of(world, "device")
    assert contact_of(world, "u2") != contact_of(world, "u1")


def test_a_stranger_and_a_user_may_be_named_the_other_way_round() -> None:
    sender = Said()
    sender.captured("device")
    sender.identified("u1")
    sender.aliased("device", "u1")
    world = world_of(sender.events)
    assert contact_of(world, "u1") == contact_of(world, "device")


def test_a_user_keeps_the_contact_id_that_the_edge_answered_with() -> None:
    """Two external ids that are new in one event: the sender's own gives the contact its id."""
    for n in range(20):
        sender = Said()
        sender.aliased(f"u{n}", f"device-{n}")
        world = world_of(sender.events)
        assert contact_of(world, f"device-{n}") == sender.events[0]["contact_id"]


@given(RANDOM)
@settings(max_examples=60, deadline=None)
def test_the_shown_id_is_never_the_one_that_was_given_up(rng: random.Random) -> None:
    """Whatever was seen first, in whatever order it is learnt, in one state or in several that are joined."""
    world = Said()
    world.captured("old")
    world.captured("device")
    world.aliased("user", "device")
    world.merged("user", "old")
    world.captured("device")
    events = list(world.events)
    rng.shuffle(events)
    parts = [Contact(WORKSPACE, ENVIRONMENT) for _ in range(3)]
    for arrived in events:
        contact = rng.choice(parts)
        profile.learn_standing(contact, arrived)
        for named_too in arrived["identifiers"]:  # their own events and the merges bring them
            contact_state.identify(contact, named_too["type"], named_too["value"], *profile.stamp_of(arrived))
    whole = parts[0]
    for part in parts[1:]:
        contact_state.join(whole, part)
    assert orjson.loads(profile.snapshot(whole))["external_id"] == "user"
