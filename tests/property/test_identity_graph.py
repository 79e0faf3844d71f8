"""Laws of identity: who belongs together does not depend on order, repetition, batching or crashes."""

import random
from collections import defaultdict

from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.identity import guard, resolver
from processors.runtime.stage import PartitionState
from schemas import topics
from schemas.records.records import Link
from tests.support.builders import MemoryTables, cid, link

# one external_id a component at most: without a conflict every order must give the same contacts
FREE = ["email", "phone", "custom_id", "anonymous_id"]
NODES = [f"{kind}:{n}" for kind in FREE for n in range(1, 5)]
PAIRS = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=25)


def as_links(pairs: list[tuple[str, str]]) -> list[Link]:
    return [link(a, b, event=f"evt_{i}") for i, (a, b) in enumerate(pairs)]


def run(batches: list[list[Link]], tables: MemoryTables, first: int = 0) -> dict[str, str]:
    """Resolve batches as records of the log; the answer is the map that its merges make, versions obeyed."""
    seen: dict[str, tuple[int, str]] = {}
    for offset, links in enumerate(batches, first):
        state = PartitionState(0, tables)
        for merge in resolver.resolve([(offset, links)], state)[0]:
            assert merge["version"] > seen.get(merge["loser"], (0, ""))[0]
            seen[merge["loser"]] = (merge["version"], merge["winner"])
        tables.apply(0, state.writes)
    return {loser: winner for loser, (_, winner) in seen.items()}


def groups(pairs: list[tuple[str, str]], merged: dict[str, str]) -> set[frozenset[str]]:
    """The contacts that the map makes of the identifiers in these pairs."""
    groups: dict[str, set[str]] = defaultdict(set)
    for node in {n for pair in pairs for n in pair}:
        groups[merged.get(cid(node), cid(node))].add(node)
    return {frozenset(group) for group in groups.values()}


def components(pairs: list[tuple[str, str]]) -> set[frozenset[str]]:
    """The oracle: naive connected components."""
    parts = {n: {n} for pair in pairs for n in pair}
    for a, b in pairs:
        if parts[a] is not parts[b]:
            parts[a] |= parts[b]
            for node in parts[b]:
                parts[node] = parts[a]
    return {frozenset(part) for part in parts.values()}


def unlimited() -> None:
    """The default limits allow what these strategies make: at most four of a type."""
    assert all(guard.DEFAULT.of(kind) >= 4 for kind in FREE)


@given(PAIRS, st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
@example([("email:1", "anonymous_id:1"), ("anonymous_id:1", "phone:1")], random.Random(0))
def test_contacts_are_the_connected_components_in_any_order(pairs: list[tuple[str, str]], rng: random.Random) -> None:
    """Commutative, idempotent, associative, and equal to the oracle."""
    unlimited()
    expected = components(pairs)
    one_batch = run([as_links(pairs)], MemoryTables())
    assert groups(pairs, one_batch) == expected
    again = pairs + pairs[: len(pairs) // 2]
    rng.shuffle(again)
    cut = rng.randrange(len(again) + 1)
    batches = [as_links(again[:cut]), as_links(again[cut:])]
    assert groups(pairs, run([b for b in batches if b], MemoryTables())) == expected


HALF_A_UNION = [("email:3", "email:1"), ("email:1", "phone:2"), ("email:2", "email:4"), ("email:1", "email:2")]
"""Four e-mail addresses, two on each side: counted twice they are over the limit, and a repeat was refused."""


@given(PAIRS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
@example([*HALF_A_UNION, ("email:2", "phone:1")], random.Random(10))
def test_a_crash_between_two_rows_changes_nothing(pairs: list[tuple[str, str]], rng: random.Random) -> None:
    """Any part of a step's rows may be durable when the step is repeated: the map is the same after it."""
    tables, merged = MemoryTables(), {}
    for offset, made_link in enumerate(as_links(pairs)):
        torn = PartitionState(0, tables)
        for merge in resolver.resolve([(offset, [made_link])], torn)[0]:
            merged[merge["loser"]] = merge["winner"]
        rows = list(torn.writes.get(topics.RESOLVER_GRAPH, {}).items())
        rng.shuffle(rows)
        tables.apply(0, {topics.RESOLVER_GRAPH: dict(rows[: rng.randrange(len(rows) + 1)])})
        whole = PartitionState(0, tables)
        for merge in resolver.resolve([(offset, [made_link])], whole)[0]:
            merged[merge["loser"]] = merge["winner"]
        tables.apply(0, whole.writes)
    assert groups(pairs, merged) == components(pairs)


@given(PAIRS)
@settings(max_examples=200, deadline=None)
def test_every_loser_points_straight_at_its_contact(pairs: list[tuple[str, str]]) -> None:
    """Following the map once ends at the contact; a known identifier beats an anonymous one."""
    merged = run([as_links(pairs)], MemoryTables())
    for group in components(pairs):
        winners = {merged.get(cid(node), cid(node)) for node in group}
        assert len(winners) == 1
        existing = {cid(n) for n in group if not n.startswith("anonymous_id:")}
        assert not existing or winners <= existing


USERS = [f"external_id:{n}" for n in range(1, 4)] + [f"anonymous_id:{n}" for n in range(1, 4)]


@given(st.lists(st.tuples(st.sampled_from(USERS), st.sampled_from(USERS)), max_size=25))
@settings(max_examples=300, deadline=None)
def test_two_external_ids_never_meet_by_a_weaker_identifier(pairs: list[tuple[str, str]]) -> None:
    """The guard: whatever surrounds them, and whatever the order."""
    weak = [(a, b) for a, b in pairs if not (a.startswith("external_id") and b.startswith("external_id"))]
    merged = run([as_links(weak)], MemoryTables())
    for group in groups(weak, merged):
        assert sum(node.startswith("external_id:") for node in group) <= 1


@given(PAIRS, PAIRS, PAIRS, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_workspaces_and_environments_never_meet(
    mine: list[tuple[str, str]], theirs: list[tuple[str, str]], staging: list[tuple[str, str]], rng: random.Random
) -> None:
    """The same identifiers in one log: each home's merges are those that it has alone."""
    homes = [{}, {"workspace": "other"}, {"environment": "staging"}]
    logs = [
        [link(a, b, event=f"evt_{n}", **home) for n, (a, b) in enumerate(pairs)]  # type: ignore[arg-type]
        for home, pairs in zip(homes, (mine, theirs, staging), strict=True)
    ]
    order = [n for n, log in enumerate(logs) for _ in log]
    rng.shuffle(order)
    rest = [list(log) for log in logs]
    together = run([[rest[n].pop(0)] for n in order], MemoryTables())
    alone: dict[str, str] = {}
    for log in logs:
        alone |= run([[link] for link in log], MemoryTables())
    assert together == alone
