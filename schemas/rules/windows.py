"""Events of one condition in; the newest few by time out: exact counts for every threshold up to ``keep.most``.

A series is ``[times, event ids]``, or with values ``[times, event ids, values]``: parallel arrays, ordered by (time,
id). As a set of events it is a join-semilattice: an event id counts once, at its latest time, and only the newest
``keep.most`` past events stay. A dropped event stays behind that many others for ever, so neither order nor repetition
nor the place of a join matters. Future events wait behind ``now``, and displace no event before their time.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any, Final, cast

Series = list[list[Any]]
NEVER: Final = 1 << 62
"""Later than every due time."""
MOST_EVENTS: Final = 1000
"""Past events, per contact and condition, that a sum, an extreme, a sequence or an absence looks at: the newest."""
MOST_FUTURE: Final = 100
"""The most future events kept per condition: the nearest ones (``keep.most`` of them if that is more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The number of past events to keep, and their maximum age (``None``: no limit)."""

    most: int
    ms: int | None


def parts(series: Series) -> tuple[list[int], list[str]]:
    return cast("list[int]", series[0]), cast("list[str]", series[1])


def add(series: Series, time_ms: int, event_id: str, keep: Retention, now_ms: int, *value: int) -> bool:
    """Adds an event, with its ``value`` in a series with values; returns whether anything changed."""
    times, ids = parts(series)
    if keep.ms is not None and time_ms < now_ms - keep.ms:
        return False
    if len(times) >= keep.most and time_ms < times[0] and times[keep.most - 1] <= now_ms:
        return False  # older than ``keep.most`` kept events
    if event_id in ids:
        at = ids.index(event_id)
        if (time_ms, *value) <= tuple(column[at] for column in (times, *series[2:])):
            return False
        for column in series:
            del column[at]
    at = bisect_left(times, time_ms)
    while at < len(times) and times[at] == time_ms and ids[at] < event_id:
        at += 1
    for column, item in zip(series, (time_ms, event_id, *value), strict=True):
        column.insert(at, item)
    prune(series, keep, now_ms)
    return True


def prune(series: Series, keep: Retention, now_ms: int) -> bool:
    """Drops entries that can never count again; returns whether it dropped any."""
    times, _ = parts(series)
    past = bisect_right(times, now_ms)
    cut = max(past - keep.most, 0)
    if keep.ms is not None:
        cut = max(cut, bisect_left(times, now_ms - keep.ms, 0, past))
    end = past + max(MOST_FUTURE, keep.most)
    if not cut and end >= len(times):
        return False
    for column in series:
        del column[end:], column[:cut]
    return True


def union(left: Series, right: Series) -> Series:
    """Joins both series; the caller prunes the result, as it has the retention."""
    latest: dict[str, tuple[int, ...]] = {}
    for series in (left, right):
        for time_ms, event_id, *value in zip(*series, strict=True):
            entry = (time_ms, *value)
            latest[event_id] = max(entry, latest.get(event_id, entry))
    ordered = sorted((entry[0], event_id, *entry[1:]) for event_id, entry in latest.items())
    return [[entry[n] for entry in ordered] for n in range(len(left))]


def newest_range(series: Series | None, now_ms: int) -> tuple[int, int, bool]:
    """The range of the newest ``MOST_EVENTS`` past events, and whether older ones may be missing."""
    if series is None:
        return 0, 0, False
    end = bisect_right(series[0], now_ms)
    return max(end - MOST_EVENTS, 0), end, end >= MOST_EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """At least, or exactly, ``count`` events; or the negation."""

    exactly: bool
    count: int
    negated: bool

    @property
    def keeps(self) -> int:
        """The number of events to keep to tell all relevant counts apart."""
        return max(self.count + self.exactly, 1)

    def holds(self, count: int) -> bool:
        return ((count == self.count) if self.exactly else (count >= self.count)) != self.negated


def threshold(op: str, value: int) -> Threshold:
    """Builds the threshold of a rule's ``count``."""
    if op in ("eq", "ne"):
        return Threshold(exactly=True, count=value, negated=op == "ne")
    return Threshold(exactly=False, count=value + (op in ("gt", "lte")), negated=op in ("lt", "lte"))


def judge(series: Series | None, limit: Threshold, within_ms: int | None, now_ms: int) -> tuple[bool, int]:
    """Whether the count meets the threshold now, and the earliest time at which time alone may change that.

    An event at ``t`` counts from ``t`` to ``t + within_ms``, inclusive.
    """
    if series is None:
        return limit.holds(0), NEVER
    times, _ = parts(series)
    end = bisect_right(times, now_ms)
    start = 0 if within_ms is None else bisect_left(times, now_ms - within_ms, 0, end)
    count = end - start
    held = limit.holds(count)
    if limit.exactly or end < len(times):
        return held, _next_change(times, start, end, limit, within_ms)
    if within_ms is None or not 0 < limit.count <= count:
        return held, NEVER
    return held, times[end - limit.count] + within_ms + 1


def _next_change(times: list[int], start: int, end: int, limit: Threshold, within_ms: int | None) -> int:
    """Walks over the times at which events enter or leave the window."""
    held = limit.holds(end - start)
    while True:
        due = times[end] if end < len(times) else NEVER
        if within_ms is not None and start < end:
            due = min(due, times[start] + within_ms + 1)
        if due == NEVER:
            return NEVER
        end = bisect_right(times, due, end)
        start = 0 if within_ms is None else bisect_left(times, due - within_ms, start, end)
        if limit.holds(end - start) != held:
            return due
