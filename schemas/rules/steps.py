"""The series of a sequence's steps, or of an absence, in; whether it holds, since when, and when that changes, out.

1. All goes by event time, not by arrival: a late event counts as if it had come in time, one of the future when
   its time comes. Of each step the newest ``MOST_EVENTS`` past events are known.
2. A sequence holds once there are events t1 < t2 < ... of its steps, each less than the step's ``within`` after the
   one before it. Events of the same millisecond do not follow each other. A step with a ``count`` is reached at the
   last of that many of its events, all of which follow the step before it; ``within`` bounds the last of them, and
   that of a first step the time from the first of them to the last.
3. An absence holds from ``t + for`` on, where ``t`` is an event of ``after`` and no other event of ``absent`` lies in
   [t, t + for); of several such ``t`` one is enough. With ``within`` it ends ``within`` after the last such ``t``,
   which still counts. Where as many events of ``absent`` are known as can be, those of
   ``after`` that are older than all of them are left out, as theirs may be forgotten.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from schemas.rules.nodes import Absent, Step
from schemas.rules.windows import MOST_EVENTS, NEVER, Series, known

Entry = tuple[int, str]
"""Time and event id."""


def chain(some: Sequence[Series | None], steps: Sequence[Step], now_ms: int) -> list[list[Entry]]:
    """For each step, the events (future ones too) at which a sequence may have got that far."""
    reached: list[list[Entry]] = []
    for series, step in zip(some, steps, strict=True):
        entries = _entries(series, now_ms)
        reached.append(_after(reached[-1], entries, step) if reached else _repeated(entries, step))
    return reached


def _repeated(entries: list[Entry], step: Step) -> list[Entry]:
    """The last ones of as many events as the step asks for."""
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
        # the latest one before it is the one to which it is nearest
        if at and (limit_ms is None or time_ms - before[at - 1][0] < limit_ms):
            following.append((time_ms, event_id))
    return following


def sequence(some: Sequence[Series | None], steps: Sequence[Step], now_ms: int) -> tuple[bool, int]:
    """Whether it holds, and the earliest moment at which that may change by itself."""
    first_ms = _first_end(some, steps, now_ms)
    held = first_ms <= now_ms
    return held, min(NEVER if held else first_ms, _forgets(some, now_ms))


def _first_end(some: Sequence[Series | None], steps: Sequence[Step], now_ms: int) -> int:
    """The first time of the last step that ``chain`` reaches, ``NEVER``: none; by times alone, which most calls need.

    A step that has too few events ends it before anything is looked at.
    """
    for series, step in zip(some, steps, strict=True):
        if series is None or len(series[0]) < step.count:
            return NEVER
    reached: list[int] = []
    for series, step in zip(some, steps, strict=True):
        times = series[0]  # type: ignore[index]  # none of them is missing here
        if len(times) > MOST_EVENTS:
            times = times[known(series, now_ms)[0] :]
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
    """Of ``lasts`` those whose first event, in ``times``, comes after one of ``before``, and the last soon enough."""
    if limit_ms is None:
        return lasts[bisect_right(times, before[0]) :]
    following, at, end = [], 0, len(before)
    for first, last in zip(times, lasts, strict=False):
        while at < end and before[at] < first:
            at += 1
        # the latest one before it is the one to which it is nearest
        if at and last - before[at - 1] < limit_ms:
            following.append(last)
    return following


def witness(some: Sequence[Series | None], steps: Sequence[Step], now_ms: int) -> list[list[Entry]]:
    """Per step the events of the sequence that got furthest by now and ended first; empty: it has not begun."""
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
    """Events of ``after``, future ones too, without an answer as far as is known; their time need not be up yet."""
    answers = _entries(missing, now_ms)
    is_cut = known(missing, now_ms)[2]
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
    """Whether it holds, and the earliest moment at which that may change by itself."""
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
    start = known(series, now_ms)[0]
    return list(zip(series[0][start:], series[1][start:], strict=True))


def _forgets(some: Sequence[Series | None], now_ms: int) -> int:
    """When an event of the future will make one of the past forgotten."""
    due = NEVER
    for series in some:
        if series is not None and len(series[0]) >= MOST_EVENTS:
            end = known(series, now_ms)[1]
            due = min(due, series[0][end] if end < len(series[0]) else NEVER)
    return due
