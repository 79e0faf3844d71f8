"""Whatever came before an erasure, and however often it is read again: the rest is as if it had never been."""

from hypothesis import given
from hypothesis import strategies as st

from processors.identity import resolve
from processors.runtime.stage import PartitionState
from schemas.records.records import Event
from tests.support.builders import NOW_MS, cid, event
from tests.unit.test_erasure_decisions import Identity, erased

NAMES = ("external_id:u1", "external_id:u2", "email:e1", "email:e2", "anonymous_id:a1", "anonymous_id:a2")
Said = list[tuple[str, ...]]

event_lists = st.lists(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(
        lambda some: tuple(sorted(some, key=_rank))
    ),
    max_size=8,
)


def _rank(name: str) -> int:
    return ("external_id", "email", "anonymous_id").index(name.partition(":")[0])


def events(some: Said, at_ms: int) -> list[Event]:
    return [event(*names, event_id=f"evt_{at_ms + n}", received_ms=at_ms + n) for n, names in enumerate(some)]


def world_of(events: list[Event]) -> Identity:
    world = Identity()
    for sent_event in events:
        world.event(
            *(f"{i['type']}:{i['value']}" for i in sent_event["identifiers"]),
            at_ms=sent_event["received_ms"],
            event_id=sent_event["event_id"],
        )
    return world


def contacts(world: Identity) -> dict[str, str]:
    state = PartitionState(0, world.tables)
    return {name: resolve.winner(state, cid(name)) for name in NAMES}


@given(event_lists, event_lists, st.sampled_from(NAMES), st.sampled_from([(a, b) for a in (0, 1) for b in (0, 1)]))
def test_an_erased_contact_begins_anew(before: Said, after: Said, who: str, flags: tuple[int, int]) -> None:
    is_told_first, is_replayed = flags
    first, later = events(before, NOW_MS), events(after, NOW_MS + 1000)
    world = world_of(first)
    existing = contacts(world)
    gone = {name for name in NAMES if existing[name] == existing[who]}
    sample = erased(*sorted(gone), at_ms=NOW_MS + 500)
    world.erase(sample)
    if is_told_first:
        world.idle()
        world.idle()
    past = list(world.log)
    if is_replayed:
        for topic, value in past:
            world.feed(topic, value)
    for e in later:
        world.event(
            *(f"{i['type']}:{i['value']}" for i in e["identifiers"]), at_ms=e["received_ms"], event_id=e["event_id"]
        )
    world.idle()
    # what others said stays, without the names of the erased; how early they were named may stand
    kept = [tuple(name for name in names if name not in gone) for names in before if names[0] not in gone]
    fresh = world_of(events(kept, NOW_MS) + later)
    assert together(world) == together(fresh)


def together(world: Identity) -> set[frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for name, winner in contacts(world).items():
        groups.setdefault(winner, set()).add(name)
    return {frozenset(names) for names in groups.values()}
