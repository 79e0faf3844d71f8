"""The series of a sequence's steps, or of an absence, in; whether it holds, since what, and when that changes, out.

1. All goes by event time, not by arrival: a late event counts as if it had come in time, one of the future when
   its time comes. Of each step the newest ``MOST_EVENTS`` past events are known.
2. A sequence holds once there are events t1 < t2 < ... of its steps, each less than the step's ``within`` after the
   one before it. Events of the same millisecond do not follow each other.
3. An absence holds from ``t + for`` on, where ``t`` is an event of ``after`` and no other event of ``absent`` lies in
   [t, t + for); of several such ``t`` one is enough. Where as many events of ``absent`` are known as can be, those of
   ``after`` that are older than all of them are left out, as theirs may be forgotten.
"""

from bisect import bisect_left
from collections.abc import Sequence

from schemas.rules.windows import MOST_EVENTS, NEVER, Series, known

Entry = tuple[int, str]
"""Time and event id."""


def chain(steps: Sequence[Series | None], within: Sequence[int | None], now_ms: int) -> list[list[Entry]]:
    """For each step, the events (future ones too) at which a sequence may have got that far."""
    reached: list[list[Entry]] = []
    for series, limit_ms in zip(steps, within, strict=True):
        entries = _entries(series, now_ms)
        reached.append(_after(reached[-1], entries, limit_ms) if reached else entries)
    return reached


def _after(before: list[Entry], entries: list[Entry], limit_ms: int | None) -> list[Entry]:
    found, at = [], 0
    for time_ms, event_id in entries:
        while at < len(before) and before[at][0] < time_ms:
            at += 1
        # the latest one before it is the one to which it is nearest
        if at and (limit_ms is None or time_ms - before[at - 1][0] < limit_ms):
            found.append((time_ms, event_id))
    return found


def sequence(steps: Sequence[Series | None], within: Sequence[int | None], now_ms: int) -> tuple[bool, int]:
    """Whether it holds, and the earliest moment at which that may change by itself."""
    last = chain(steps, within, now_ms)[-1]
    held = bool(last) and last[0][0] <= now_ms
    due = last[0][0] if last and not held else NEVER
    return held, min(due, _forgets(steps, now_ms))


def witness(steps: Sequence[Series | None], within: Sequence[int | None], now_ms: int) -> list[Entry]:
    """The events of the sequence that got furthest by now, its earliest end first; empty: it has not begun."""
    reached = [[e for e in some if e[0] <= now_ms] for some in chain(steps, within, now_ms)]
    length = sum(map(bool, reached))
    if not length:
        return []
    found = [reached[length - 1][0]]
    for some in reversed(reached[: length - 1]):
        found.append(some[bisect_left(some, (found[-1][0], "")) - 1])
    return found[::-1]


def unanswered(missing: Series | None, after: Series | None, for_ms: int, now_ms: int) -> list[Entry]:
    """Events of ``after``, future ones too, without an answer as far as is known; their time need not be up yet."""
    answers = _entries(missing, now_ms)
    is_cut = known(missing, now_ms)[2]
    found, at = [], 0
    for entry in _entries(after, now_ms):
        if is_cut and entry < answers[0]:
            continue
        at = bisect_left(answers, (entry[0], ""), at)
        first = at + (at < len(answers) and answers[at] == entry)
        if first >= len(answers) or answers[first][0] >= entry[0] + for_ms:
            found.append(entry)
    return found


def absence(missing: Series | None, after: Series | None, for_ms: int, now_ms: int) -> tuple[bool, int]:
    """Whether it holds, and the earliest moment at which that may change by itself."""
    waiting = unanswered(missing, after, for_ms, now_ms)
    forgets_ms = _forgets((missing, after), now_ms)
    if waiting and waiting[0][0] + for_ms <= now_ms:
        return True, forgets_ms
    return False, min(waiting[0][0] + for_ms if waiting else NEVER, forgets_ms)


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
