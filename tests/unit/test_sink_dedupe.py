"""Which events of a partition are new, sent again or repeated: over retries, crashes upstream and a bounded memory."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.caches.recent_keys import RecentKeys
from schemas.records.identity import own_contact_id
from schemas.records.records import Event
from schemas.records.sameness import event_key
from sinks.clickhouse.dedupe import Deduplicator, EventPosition, Verdict, origin_of
from sinks.clickhouse.rows import DUPLICATES, EVENTS, Item
from sinks.clickhouse.streams import STREAMS, Part
from tests.support.builders import event

RESOLVED = next(stream for stream in STREAMS if stream.remembers)


def at(offset: int, event_id: str = "", **more: Any) -> Event:
    return event("external_id:u1", event_id=event_id or f"evt_{offset}", origin_offset=offset, **more)


def verdict_of(seen: Deduplicator, of: Event) -> Verdict:
    return seen.classify(of, own_contact_id(of))


def test_an_event_is_new_once() -> None:
    seen = Deduplicator(10)
    assert [verdict_of(seen, at(n)) for n in (1, 2, 2)] == [Verdict.NEW, Verdict.NEW, Verdict.REPLAYED]


def test_a_retry_of_the_client_is_again() -> None:
    seen = Deduplicator(10)
    assert [verdict_of(seen, at(n, "evt_x")) for n in (1, 2, 3)] == [Verdict.NEW, Verdict.DUPLICATE, Verdict.DUPLICATE]


def test_the_same_id_in_another_environment_is_another_event() -> None:
    seen = Deduplicator(10)
    verdict_of(seen, at(1))
    assert verdict_of(seen, at(2, "evt_1", environment="staging")) is Verdict.NEW
    assert verdict_of(seen, at(3, "evt_1", workspace="other")) is Verdict.NEW


def test_an_unknown_id_at_a_past_place_is_a_suspect() -> None:
    seen = Deduplicator(10)
    seen.reach((0, 5, 3))
    verdicts = [verdict_of(seen, at(5, f"evt_{n}", origin_index=n)) for n in (3, 4)]
    assert verdicts == [Verdict.SUSPECT, Verdict.NEW]
    assert verdict_of(seen, at(1, "evt_p", origin_partition=1)) is Verdict.NEW, "each origin counts for itself"


def test_an_event_without_origin_is_never_a_suspect() -> None:
    seen = Deduplicator(10)
    verdict_of(seen, at(9))
    assert verdict_of(seen, at(-1, "evt_x")) is Verdict.NEW


@given(st.lists(st.integers(0, 50), max_size=300), st.integers(1, 20))
def test_a_window_knows_the_last_ones_and_is_bounded(keys: list[int], size: int) -> None:
    window = RecentKeys(size)
    for key in keys:
        window.add(str(key))
    assert all(str(key) in window for key in keys[-size:])
    assert sum(str(key) in window for key in range(51)) <= 2 * size


class Stored:
    """The rows of `events`, as far as places go."""

    def __init__(self) -> None:
        self.rows: dict[EventPosition, str] = {}

    async def __call__(self, places: Any) -> dict[EventPosition, str]:
        return {place: self.rows[place] for place in places if place in self.rows}


@given(st.data())
async def test_whatever_crashes_upstream_every_event_is_stored_once(data: st.DataObject) -> None:
    """Any runs of repeats with any holes in them, and a window too small to help: nothing is missing or twice."""
    total = data.draw(st.integers(1, 30), label="events")
    deliveries: list[int] = []
    reached, crashes = 0, data.draw(st.integers(0, 6), label="crashes")
    while reached < total:
        begin = data.draw(st.integers(0, reached), label="goes on from")
        # after the last crash everything is sent to the end
        end = data.draw(st.integers(begin + 1, total), label="up to") if crashes else total
        held = data.draw(st.sets(st.integers(begin, end - 1)), label="not sent before the crash") if crashes else set()
        crashes -= 1
        deliveries += [n for n in range(begin, end) if n not in held]
        reached = min(held, default=end)
    stored, part = Stored(), Part(Deduplicator(data.draw(st.integers(1, 40), label="window")))
    kept: list[str] = []
    for offset, number in enumerate(deliveries):
        item = Item(0, offset, 0, at(number))
        work = await RESOLVED.sort([item], {0: part}, stored)
        for group in work.inserts:
            for stored_item in group.get(EVENTS, []):
                stored.rows[origin_of(stored_item.datum)] = stored_item.datum["event_id"]
                kept.append(stored_item.datum["event_id"])
            assert not group.get(DUPLICATES)
    assert sorted(kept) == sorted(f"evt_{n}" for n in range(total))


async def test_a_place_of_a_topic_that_was_made_again_is_no_repeat() -> None:
    stored, part = Stored(), Part(Deduplicator(10))
    stored.rows[0, 3, 0] = "evt_of_before"
    part.seen.reach((0, 9, 0))
    work = await RESOLVED.sort([Item(0, 0, 0, at(3))], {0: part}, stored)
    assert [i.datum["event_id"] for i in work.inserts[-1][EVENTS]] == ["evt_3"]


async def test_what_is_stored_already_is_passed_over_but_receipted() -> None:
    part = Part(Deduplicator(10), {("events", 0): (7, 1)})
    items = [Item(0, 7, n, at(n, reply_to="edge")) for n in range(4)]
    work = await RESOLVED.sort(items, {0: part}, Stored())
    assert [i.nth for i in work.inserts[-1][EVENTS]] == [2, 3]
    assert [r["event_id"] for r in work.receipts["edge"]] == [event_key(i.datum) for i in items]
