"""Laws of the counters: exact at any moment with a bounded memory, whatever the order, and due to the millisecond."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.rules import windows
from schemas.rules.windows import NEVER, Retention, Series, Threshold
from tests.property.strategies_segments import COUNT_OPS

SPAN = 60
small_times = st.integers(0, SPAN)
ids = st.integers(0, 12).map(lambda n: f"e{n:02}")
Happenings = list[tuple[int, str]]
happenings = st.lists(st.tuples(small_times, ids), max_size=25)
limits = st.builds(windows.threshold, st.sampled_from(COUNT_OPS), st.integers(0, 6))
spans = st.one_of(st.none(), st.integers(1, SPAN))


def built(events: Happenings, keep: Retention, now: int) -> Series:
    series: Series = [[], []]
    for time, event_id in events:
        windows.add(series, time, event_id, keep, now)
    return series


def naive(events: Happenings, within: int | None, now: int) -> int:
    """Every id counts at its latest time."""
    latest: dict[str, int] = {}
    for time, event_id in events:
        latest[event_id] = max(time, latest.get(event_id, time))
    return sum(time <= now and (within is None or now - within <= time) for time in latest.values())


@given(happenings, limits, spans, st.integers(0, 2 * SPAN))
def test_the_kept_few_answer_like_all_of_them(
    events: Happenings, limit: Threshold, within: int | None, later: int
) -> None:
    """At the time of counting and at any time after."""
    keep = Retention(most=limit.keeps, ms=within)
    series = built(events, keep, SPAN)
    for now in (SPAN, SPAN + later):
        assert windows.judge(series, limit, within, now)[0] == limit.holds(naive(events, within, now))
        windows.prune(series, keep, now)


@given(happenings, limits, limits, spans, spans)
def test_a_condition_serves_several_thresholds_and_windows(
    events: Happenings, threshold: Threshold, other: Threshold, within: int | None, longer: int | None
) -> None:
    spans = (within, longer)
    ms = None if None in spans else max(span for span in spans if span is not None)
    series = built(events, Retention(most=max(threshold.keeps, other.keeps), ms=ms), SPAN)
    for limit, span in ((threshold, within), (other, longer)):
        assert windows.judge(series, limit, span, SPAN)[0] == limit.holds(naive(events, span, SPAN))


unique = st.lists(st.tuples(small_times, ids), max_size=13, unique_by=lambda pair: pair[1])


@given(unique, limits, spans, small_times)
def test_due_is_the_first_moment_at_which_the_answer_changes(
    events: Happenings, limit: Threshold, within: int | None, now: int
) -> None:
    """Events of the future included, which come in their time."""
    series = built(events, Retention(most=limit.keeps, ms=within), now)
    held, due = windows.judge(series, limit, within, now)
    assert held == limit.holds(naive(events, within, now))
    for moment in range(now, min(due, 3 * SPAN)):
        assert limit.holds(naive(events, within, moment)) == held
    if due != NEVER:
        assert limit.holds(naive(events, within, due)) != held


@given(happenings, st.integers(1, 6), spans, st.data())
def test_order_repetition_and_place_do_not_matter(
    events: Happenings, most: int, within: int | None, data: st.DataObject
) -> None:
    keep = Retention(most=most, ms=within)
    expected = built(events, keep, SPAN)
    again = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events)) if events else st.just([]))))
    assert built(again, keep, SPAN) == expected
    cut = data.draw(st.integers(0, len(again)))
    left, right = built(again[:cut], keep, SPAN), built(again[cut:], keep, SPAN)
    joined = windows.union(left, right)
    assert joined == windows.union(right, left)
    windows.prune(joined, keep, SPAN)
    assert joined == expected


@given(happenings, st.integers(1, 6), spans)
def test_no_more_is_kept_than_needed(events: Happenings, most: int, within: int | None) -> None:
    series = built(events, Retention(most=most, ms=within), SPAN)
    times, names = windows.parts(series)
    assert len(times) == len(names) <= most
    assert times == sorted(times)
    assert within is None or all(time >= SPAN - within for time in times)


def test_a_future_that_is_too_long_is_cut_at_its_far_end() -> None:
    keep = Retention(most=1, ms=None)
    series = built([(1000 + n, f"e{n:04}") for n in range(500)], keep, 0)
    assert series[0] == [1000 + n for n in range(windows.MOST_FUTURE)]


@given(st.sampled_from(COUNT_OPS), st.integers(0, 5), st.integers(0, 8))
def test_a_threshold_says_what_its_operator_says(op: str, value: int, count: int) -> None:
    expected: dict[str, Any] = {
        "gte": count >= value,
        "gt": count > value,
        "lte": count <= value,
        "lt": count < value,
        "eq": count == value,
        "ne": count != value,
    }
    limit = windows.threshold(op, value)
    assert limit.holds(count) is expected[op]
    # more than what it keeps makes no difference
    assert limit.holds(min(count, limit.keeps)) is expected[op]
