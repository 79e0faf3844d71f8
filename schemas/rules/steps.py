"""The series of a sequence's steps, or of an absence, in; the verdict and the time of its next change out.

1. Event time counts, not arrival: a late event counts as if it had come in time, and a future event counts from its
   time on. The newest ``MOST_EVENTS`` past events of each step are known.
2. A sequence holds if its steps have events t1 < t2 < ..., each less than the step's ``within`` after the preceding
   one. Events of the same millisecond do not follow each other. A step with a ``count`` is complete at the last of that
   many events, all of which follow the preceding step. ``within`` bounds the last of them; in a first step it bounds
   the time from the first to the last.
3. An absence holds from ``t + for`` on, where ``t`` is an event of ``after`` and no other event of ``absent`` lies in
   [t, t + for); one such ``t`` is enough. With ``within`` it ends ``within`` after the last such ``t``, inclusive. If
   the series of ``absent`` is full, events of ``after`` older than all of it do not count: their answers may be
   forgotten.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from schemas.rules.nodes import Absent, Step
from schemas.rules.windows import MOST_EVENTS, NEVER, Series, newest_range

Entry = tuple[int, str]
"""Time and event id."""


def chain(some: Sequence[Series | None], steps: Sequence[Step], now_ms: int) -> list[list[Entry]]:
    """Returns, for each step, the events (future ones too) that can complete the sequence up to that step."""
    reached: list[list[Entry]] = []
    for series, step in zip(some, steps, strict=True):
        entries = _entries(series, now_ms)
        reached.append(_after(reached[-1], entries, step) if reached else _repeated(entries, step))
    return reached


def _repeated(entries: list[Entry], step: Step) -> list[Entry]:
    """The last event of each run of ``count`` events."""
    lasts = entries[step.count - 1 :]
    if step.count == 1 or step.within_ms is None:
        return lasts
    limit_ms = step.within_ms
    return [last for (first_ms, _), last in zip(entries, lasts, strict=False) if last[0] - first_ms < limit_ms]


def _after(before: list[Entry], entries: list[Entry], step: Step) -> list[Entry]:
    following, at, limit_ms = [], 0, step.within_ms
    for (first_ms, _), (time_ms, event_id) in zip(entries, entries[step.count - 1 :], strict=False):
        while at < len(before) and before[at][0] < first_ms:
            at += 1
        # the latest preceding event is the nearest
        if at and (limit_ms is None or time_ms - before[at - 1][0] < limit_ms):
            following.append((time_ms, event_id))
    return following


def sequence(some: Sequence[Series | None], steps: Sequence[Step], now_ms: int) -> tuple[bool, int]:
    """Whether the sequence holds, and the earliest time at which time alone may change that."""
    first_ms = _first_end(some, steps, now_ms)
    held = first_ms <= now_ms
    return held, min(NEVER if held else first_ms, _forgets(some, now_ms))


def _first_end(some: Sequence[Series | None], steps: Sequence[Step], now_ms: int) -> int:
    """The first time at which ``chain`` completes the last step, or ``NEVER``; reads only times, which is faster.

    A step with too few events ends the search early.
    """
    for series, step in zip(some, steps, strict=True):
        if series is None or len(series[0]) < step.count:
            return NEVER
    reached: list[int] = []
    for series, step in zip(some, steps, strict=True):
        times = series[0]  # type: ignore[index]  # none of them is missing here
        if len(times) > MOST_EVENTS:
            times = times[newest_range(series, now_ms)[0] :]
        lasts = times[step.count - 1 :] if step.count > 1 else times
        if reached:
            reached = _following(reached, times, lasts, step.within_ms)
        elif step.count == 1 or step.within_ms is None:
            reached = lasts
        else:
            limit_ms = step.within_ms
            reached = [last for first, last in zip(times, lasts, strict=False) if last - first < limit_ms]
        if not reached:
            return NEVER
    return reached[0]


def _following(before: list[int], times: list[int], lasts: list[int], limit_ms: int | None) -> list[int]:
    """Selects from ``lasts``: its first event, in ``times``, follows one of ``before``, and the last is soon enough."""
    if limit_ms is None:
        return lasts[bisect_right(times, before[0]) :]
    following, at, end = [], 0, len(before)
    for first, last in zip(times, lasts, strict=False):
        while at < end and before[at] < first:
            at += 1
        # the latest preceding event is the nearest
        if at and last - before[at - 1] < limit_ms:
            following.append(last)
    return following


def witness(some: Sequence[Series | None], steps: Sequence[Step], now_ms: int) -> list[list[Entry]]:
    """Per step, the events of the furthest sequence that completed first; empty before the first step."""
    reached = [[e for e in those if e[0] <= now_ms] for those in chain(some, steps, now_ms)]
    length = sum(map(bool, reached))
    if not length:
        return []
    matched: list[list[Entry]] = []
    last = reached[length - 1][0]
    for at in reversed(range(length)):
        entries = _entries(some[at], now_ms)
        end = bisect_left(entries, last) + 1
        matched.append(entries[end - steps[at].count : end])
        if at:
            before = reached[at - 1]
            last = before[bisect_left(before, (matched[-1][0][0], "")) - 1]
    return matched[::-1]


def unanswered(missing: Series | None, after: Series | None, leaf: Absent, now_ms: int) -> list[Entry]:
    """Events of ``after``, future ones too, without a known answer; their deadline may be yet to come."""
    answers = _entries(missing, now_ms)
    is_cut = newest_range(missing, now_ms)[2]
    entries, at = [], 0
    for entry in _repeated(_entries(after, now_ms), leaf.after):
        if is_cut and entry < answers[0]:
            continue
        at = bisect_left(answers, (entry[0], ""), at)
        first = at + (at < len(answers) and answers[at] == entry)
        if first >= len(answers) or answers[first][0] >= entry[0] + leaf.for_ms:
            entries.append(entry)
    return entries


def absence(missing: Series | None, after: Series | None, leaf: Absent, now_ms: int) -> tuple[bool, int]:
    """Whether the absence holds, and the earliest time at which time alone may change that."""
    waiting = [time_ms for time_ms, _ in unanswered(missing, after, leaf, now_ms)]
    forgets_ms = _forgets((missing, after), now_ms)
    ripe = bisect_right(waiting, now_ms - leaf.for_ms)
    ends_ms = NEVER if leaf.within_ms is None else leaf.within_ms + 1
    if ripe and now_ms < waiting[ripe - 1] + ends_ms:
        return True, min(NEVER if leaf.within_ms is None else waiting[ripe - 1] + ends_ms, forgets_ms)
    return False, min(waiting[ripe] + leaf.for_ms if ripe < len(waiting) else NEVER, forgets_ms)


def _entries(series: Series | None, now_ms: int) -> list[Entry]:
    if series is None:
        return []
    start = newest_range(series, now_ms)[0]
    return list(zip(series[0][start:], series[1][start:], strict=True))


def _forgets(some: Sequence[Series | None], now_ms: int) -> int:
    """The time at which a future event displaces a past event."""
    due = NEVER
    for series in some:
        if series is not None and len(series[0]) >= MOST_EVENTS:
            end = newest_range(series, now_ms)[1]
            due = min(due, series[0][end] if end < len(series[0]) else NEVER)
    return due
