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
    ledger = OffsetTracker(base)
    open_, taken, committed = list(offsets), [], base
    ledger.fetched((offset, 10) for offset in offsets)
    while open_:
        untaken = [offset for offset in offsets if offset not in taken and offset in open_]
        if untaken and chance.random() < 0.5:  # type: ignore[attr-defined]  # a random.Random
            assert ledger.take(untaken[0]) is OffsetOrder.NEXT
            taken.append(untaken[0])
        elif running := [offset for offset in taken if offset in open_]:
            done = chance.choice(running)  # type: ignore[attr-defined]
            ledger.done(done)
            open_.remove(done)
        assert committed <= ledger.committable
        assert ledger.committable == (min(open_) if open_ else offsets[-1] + 1)
        assert ledger.pending >= len(open_)
        committed = ledger.committable
    assert (ledger.pending, ledger.bytes) == (0, 0)


def test_a_turn_is_next_stale_or_a_hole() -> None:
    ledger = OffsetTracker(5)
    assert ledger.take(5) is OffsetOrder.STALE, "not fetched since the rewind"
    ledger.fetched([(5, 1), (8, 1), (9, 1)])
    assert ledger.take(5) is OffsetOrder.NEXT
    assert ledger.take(5) is OffsetOrder.STALE
    assert ledger.take(9) is OffsetOrder.HOLE
    assert ledger.take(8) is OffsetOrder.NEXT


def test_what_was_never_taken_cannot_be_done() -> None:
    ledger = OffsetTracker(5)
    ledger.fetched([(5, 1), (6, 1)])
    ledger.done(5)
    assert ledger.committable == 5
    ledger.take(5)
    ledger.done(5)
    ledger.done(5)
    assert ledger.committable == 6
