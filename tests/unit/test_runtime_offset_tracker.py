"""Laws of the ledger: what may be committed never passes what is unfinished and never goes back."""

from hypothesis import given
from hypothesis import strategies as st

from processors.runtime.offset_tracker import OffsetOrder, OffsetTracker

gaps = st.lists(st.integers(min_value=1, max_value=5), min_size=1, max_size=30)


@given(gaps, st.randoms(use_true_random=False), st.integers(min_value=0, max_value=1000))
def test_whatever_the_gaps_and_the_order_of_finishing(steps: list[int], chance: st.DataObject, base: int) -> None:
    offsets, at = [], base
    for step in steps:
        offsets.append(at)
        at += step
    tracker = OffsetTracker(base)
    open_, taken, committed = list(offsets), [], base
    tracker.fetched((offset, 10, offset * 7) for offset in offsets)
    while open_:
        untaken = [offset for offset in offsets if offset not in taken and offset in open_]
        if untaken and chance.random() < 0.5:  # type: ignore[attr-defined]  # a random.Random
            assert tracker.take(untaken[0]) is OffsetOrder.NEXT
            taken.append(untaken[0])
        elif running := [offset for offset in taken if offset in open_]:
            done = chance.choice(running)  # type: ignore[attr-defined]
            tracker.done(done)
            open_.remove(done)
        assert committed <= tracker.committable
        assert tracker.committable == (min(open_) if open_ else offsets[-1] + 1)
        assert tracker.pending >= len(open_)
        assert tracker.oldest_ms == (min(open_) * 7 if open_ else None)
        committed = tracker.committable
    assert (tracker.pending, tracker.bytes) == (0, 0)


def test_a_turn_is_next_stale_or_a_hole() -> None:
    tracker = OffsetTracker(5)
    assert tracker.take(5) is OffsetOrder.STALE, "not fetched since the rewind"
    tracker.fetched([(5, 1, 0), (8, 1, 0), (9, 1, 0)])
    assert tracker.take(5) is OffsetOrder.NEXT
    assert tracker.take(5) is OffsetOrder.STALE
    assert tracker.take(9) is OffsetOrder.GAP
    assert tracker.take(8) is OffsetOrder.NEXT


def test_what_was_never_taken_cannot_be_done() -> None:
    tracker = OffsetTracker(5)
    tracker.fetched([(5, 1, 0), (6, 1, 0)])
    tracker.done(5)
    assert tracker.committable == 5
    tracker.take(5)
    tracker.done(5)
    tracker.done(5)
    assert tracker.committable == 6
