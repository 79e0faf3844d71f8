"""Laws of a split: what is taken back never was, wherever its retraction stands, and a crash in it heals."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.identity import resolver
from processors.runtime.stage import PartitionState
from schemas import topics
from schemas.records.records import Link, Merge
from tests.property.test_identity_graph import NODES, components, groups
from tests.support.builders import NOW_MS, MemoryTables, cid, link

USERS = [f"external_id:{n}" for n in range(1, 4)] + [f"anonymous_id:{n}" for n in range(1, 5)]
Pairs = list[tuple[str, str]]


def facts(nodes: list[str], most: int = 14) -> st.SearchStrategy[list[tuple[str, str, int]]]:
    """Two identifiers and the number of the event that names them; an event may name several pairs."""
    pair = st.tuples(st.sampled_from(nodes), st.sampled_from(nodes), st.integers(0, most))
    return st.lists(pair.filter(lambda fact: fact[0] != fact[1]), max_size=most)


def taught(a: str, b: str, n: int, *, explicit: bool = False) -> Link:
    return link(a, b, event=f"evt_{n}", at_ms=NOW_MS + n, explicit=explicit)


def back(a: str, b: str, n: int | None, at: int = 1000) -> Link:
    """A retraction; without a number of all that an event ever said of the pair."""
    return link(a, b, event="" if n is None else f"evt_{n}", at_ms=NOW_MS + at, kind="split", retract=True)


def lift(a: str, b: str, at: int) -> Link:
    return link(a, b, event="", at_ms=NOW_MS + at, kind="lift", retract=True)


@dataclass
class World:
    """A partition's rows, and the map that its merges make."""

    tables: MemoryTables = field(default_factory=MemoryTables)
    merged: dict[str, tuple[int, str]] = field(default_factory=dict)
    offset: int = 0
    last: list[Merge] = field(default_factory=list)

    def take(self, merges: list[Merge]) -> None:
        self.last = merges
        for merge in merges:
            existing = self.merged.get(merge["loser"], (0, ""))
            if merge["version"] >= existing[0]:
                self.merged[merge["loser"]] = (merge["version"], merge["winner"])

    def feed(self, links: list[Link], torn: random.Random | None = None) -> None:
        """A record; where it is torn its step is done once with any half of its rows kept, and then again."""
        for is_torn in (True, False) if torn else (False,):
            state = PartitionState(0, self.tables)
            self.take(resolver.resolve([(self.offset, links)], state)[0])
            rows = list(state.writes.get(topics.RESOLVER_GRAPH, {}).items())
            if is_torn and torn:
                torn.shuffle(rows)
                rows = rows[: torn.randrange(len(rows) + 1)]
            self.tables.apply(0, {topics.RESOLVER_GRAPH: dict(rows)})
        self.offset += 1

    def groups(self, nodes: list[str]) -> set[frozenset[str]]:
        return groups([(n, n) for n in nodes], {loser: winner for loser, (_, winner) in self.merged.items()})


def cut(rng: random.Random, links: list[Link]) -> list[list[Link]]:
    """The same links as records of one to four."""
    groups = []
    while links:
        size = rng.randint(1, 4)
        groups.append(links[:size])
        links = links[size:]
    return groups


@given(facts(NODES), st.sets(st.integers(0, 14), max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
@example([("email:1", "phone:1", 1), ("phone:1", "email:2", 2)], {2}, random.Random(0))
def test_split_of_what_was_merged_is_never_merged(
    pairs: list[tuple[str, str, int]], gone: set[int], rng: random.Random
) -> None:
    """Wherever the retractions stand among the links, repeated or not, torn by a crash or not."""
    links = [taught(*fact) for fact in pairs] + [back(a, b, n) for a, b, n in pairs if n in gone]
    links += links[: len(links) // 2]
    rng.shuffle(links)
    world = World()
    for some in cut(rng, links):
        world.feed(some, rng if rng.random() < 0.5 else None)
    left = [(a, b) for a, b, n in pairs if n not in gone]
    named = sorted({node for a, b, _ in pairs for node in (a, b)})
    assert world.groups(named) == components([*left, *((n, n) for n in named)])


@given(
    facts(USERS, 12),
    facts(USERS, 6),
    st.sets(st.integers(0, 12), max_size=4),
    st.sets(st.integers(0, 12), max_size=3),
    st.randoms(use_true_random=False),
)
@settings(max_examples=800, deadline=None)
@example(
    [("external_id:2", "external_id:1", 1), ("external_id:1", "external_id:3", 1)], [], set(), {1}, random.Random(1)
)
def test_with_refusals_it_is_the_log_without_what_was_taken_back(
    pairs: list[tuple[str, str, int]],
    later: list[tuple[str, str, int]],
    gone: set[int],
    aliases: set[int],
    rng: random.Random,
) -> None:
    """What a guard refused is let through where its reason has gone, and the other way round; aliases count too."""
    later = [(a, b, n + 20) for a, b, n in later]
    first = [taught(*fact, explicit=fact[2] in aliases) for fact in pairs]
    second = [taught(*fact) for fact in later]
    retractions = [back(a, b, n) for a, b, n in pairs if n in gone]
    world, never = World(), World()
    for some in [*cut(rng, first), *([retractions] if retractions else []), *cut(rng, second)]:
        world.feed(some, rng if rng.random() < 0.3 else None)
    kept = [link for link in first if int(link["event_id"][4:]) not in gone] + second
    for some in cut(rng, kept):
        never.feed(some)
    named = sorted({node for a, b, _ in [*pairs, *later] for node in (a, b)})
    assert world.groups(named) == never.groups(named)


@given(facts(NODES, 10), st.data())
@settings(max_examples=150, deadline=None)
def test_a_pair_that_was_taken_apart_stays_apart_until_it_is_lifted(
    pairs: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    """However many events had tied it, whether or not they come again, and whatever events with the pair follow."""
    if not pairs:
        return
    a, b, _ = data.draw(st.sampled_from(pairs))
    pair = {a, b}
    world = World()
    links = [taught(*fact) for fact in pairs] + [taught(a, b, n) for n in range(20, 40)]
    for made_link in [*links, back(a, b, None), *links]:
        world.feed([made_link])
    left = [(x, y) for x, y, _ in pairs if {x, y} != pair]
    named = sorted({node for x, y, _ in pairs for node in (x, y)})
    alone = [(n, n) for n in named]
    assert world.groups(named) == components([*left, *alone])
    world.feed([taught(a, b, 5000)])
    assert world.groups(named) == components([*left, *alone]), "the next event with the pair"
    world.feed([lift(a, b, 6000)])
    assert world.groups(named) == components([*left, *alone]), "a lift ties nothing by itself"
    world.feed([taught(a, b, 5500)])
    assert world.groups(named) == components([*left, *alone]), "an event of before the lift that comes late"
    world.feed([taught(a, b, 7000)])
    assert world.groups(named) == components([*left, (a, b), *alone])


@given(facts(NODES, 8), st.data(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_splits_lifts_and_later_evidence_may_come_in_any_order(
    pairs: list[tuple[str, str, int]], data: st.DataObject, rng: random.Random
) -> None:
    if not pairs:
        return
    a, b, _ = data.draw(st.sampled_from(pairs))
    times = data.draw(st.permutations([100 * n for n in range(1, 9)]))
    markers = [(data.draw(st.booleans()), at) for at in times[: data.draw(st.integers(0, 4))]]
    later = times[4 : 4 + data.draw(st.integers(0, 4))]
    links = [taught(*fact) for fact in pairs]
    links += [taught(a, b, n) for n in later]
    links += [back(a, b, None, at) if is_split else lift(a, b, at) for is_split, at in markers]
    rng.shuffle(links)
    world = World()
    for some in cut(rng, links):
        world.feed(some, rng if rng.random() < 0.5 else None)

    def counts(at: int) -> bool:
        before = [m for m in markers if m[1] < at]
        return not any(is_split and at <= when for is_split, when in markers) and not (
            before and max(before, key=lambda m: m[1])[0]
        )

    evidence = [(x, y) for x, y, n in pairs if {x, y} != {a, b} or counts(n)] + [(a, b) for n in later if counts(n)]
    named = sorted({node for x, y, _ in pairs for node in (x, y)})
    assert world.groups(named) == components([*evidence, *((n, n) for n in named)])


def test_an_explicit_call_after_a_split_ties_and_a_later_split_takes_it_back() -> None:
    world = World()
    together, apart = {frozenset({"email:1", "phone:1"})}, {frozenset({"email:1"}), frozenset({"phone:1"})}
    names = ["email:1", "phone:1"]
    world.feed([taught("email:1", "phone:1", 1), back("email:1", "phone:1", None, 10)])
    assert world.groups(names) == apart
    world.feed([taught("email:1", "phone:1", 20, explicit=True)])
    assert world.groups(names) == together
    world.feed([taught("email:1", "phone:1", 30)])
    assert world.groups(names) == together
    world.feed([back("email:1", "phone:1", None, 40)])
    assert world.groups(names) == apart


def test_a_link_that_a_split_keeps_apart_is_kept_as_refused_on_both_sides() -> None:
    world = World()
    world.feed([taught("email:1", "phone:1", 1), back("email:1", "phone:1", 1)])
    state = PartitionState(0, world.tables)
    merges, refused = resolver.resolve([(world.offset, [taught("email:1", "phone:1", 5000)])], state)
    assert merges == []
    assert {(refusal["contact_id"], refusal["reason"]) for refusal in refused} == {
        (cid("email:1"), "split"),
        (cid("phone:1"), "split"),
    }


def test_any_half_of_a_union_and_a_split_in_one_step_heals() -> None:
    """Every subset of the rows that the step writes is there once when it is repeated."""
    before = [taught("email:1", "phone:1", 1), taught("email:1", "phone:2", 2), taught("custom_id:1", "phone:3", 3)]
    step = [taught("email:1", "phone:3", 4), back("custom_id:1", "phone:3", 3)]
    whole = World()
    whole.feed(before)
    state = PartitionState(0, whole.tables)
    resolver.resolve([(whole.offset, step)], state)
    rows = sorted(state.writes[topics.RESOLVER_GRAPH].items())
    assert len(rows) > 5
    for mask in range(1 << len(rows)):
        world = World()
        world.feed(before)
        world.tables.apply(0, {topics.RESOLVER_GRAPH: dict(r for n, r in enumerate(rows) if mask >> n & 1)})
        world.feed(step)
        world.feed([taught("email:2", "phone:1", 5)])
        named = ["email:1", "email:2", "phone:1", "phone:2", "phone:3", "custom_id:1"]
        assert world.groups(named) == {frozenset(named[:-1]), frozenset(named[-1:])}, mask


def test_the_record_of_the_winner_names_every_part() -> None:
    world = World()
    world.feed([taught("email:1", "email:1", 0), taught("email:1", "anonymous_id:1", 1)])
    world.feed([taught("phone:1", "anonymous_id:2", 2), taught("email:1", "phone:1", 3)])
    world.feed([back("email:1", "phone:1", 3)])
    own = [m for m in world.last if m["loser"] == m["winner"] == cid("email:1")]
    assert len(own) == 1
    parts = {r["winner"]: {i["value"] + i["type"] for i in r["members"]} for r in own[0]["rebuilds"]}
    assert parts == {cid("email:1"): {"1email", "1anonymous_id"}, cid("phone:1"): {"1phone", "2anonymous_id"}}
    moved = {(m["loser"], m["winner"]) for m in world.last if m is not own[0]}
    assert moved == {(cid("phone:1"), cid("phone:1")), (cid("anonymous_id:2"), cid("phone:1"))}
    assert not any(m["rebuilds"] for m in world.last if m is not own[0])


@pytest.mark.parametrize("size", [1000])
def test_a_star_of_a_thousand_loses_one(size: int) -> None:
    world = World()
    names = [f"anonymous_id:{n}" for n in range(size - 1)]
    world.feed([taught("external_id:u", name, n) for n, name in enumerate(names)])
    world.feed([back("external_id:u", names[7], 7)])
    assert {m["loser"] for m in world.last} == {cid("external_id:u"), cid(names[7])}
    world.feed([taught("external_id:u", names[7], 7)])
    again = {(cid(n), cid(n)) for n in ("external_id:u", names[7])}
    assert {(m["loser"], m["winner"]) for m in world.last} == again, "each stands for itself, as before"
    world.feed([taught("external_id:u", names[7], 5000)])
    assert world.last == []
    world.feed([taught("external_id:u", names[7], 5001, explicit=True)])
    assert [(m["loser"], m["winner"]) for m in world.last] == [(cid(names[7]), cid("external_id:u"))]
