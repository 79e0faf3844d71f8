"""A series with values in; its sum, maximum or minimum in a window, and the time of the next change, out.

1. Values are whole millionths: sums are exact, in any order, and 0.1 + 0.2 is 0.3. A value that is not a number, or
   that exceeds ``schemas.rules.parse_parts.LARGEST``, is missing, and its event does not count.
2. The newest ``MOST_EVENTS`` past events count. The sum of no events is 0. The maximum of no events is missing, and
   only ``ne`` matches it.
"""

import operator
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from schemas.rules.compare import number_of
from schemas.rules.nodes import Measure
from schemas.rules.parse_parts import LARGEST
from schemas.rules.windows import MOST_EVENTS, NEVER, Series

SCALE: Final = 1_000_000
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def units_of(value: Any) -> int | None:
    """Returns the millionths of a JSON number, or of a string that spells one."""
    number = number_of(value)
    return None if number is None or abs(number) > LARGEST else round(float(number) * SCALE)


def shown(units: int | None) -> int | float | None:
    """Converts millionths to a JSON number."""
    if units is None:
        return None
    # the compiled form of `/` rounds twice above 2**53
    return units // SCALE if units % SCALE == 0 else operator.truediv(units, SCALE)


@dataclass(frozen=True, slots=True)
class Limit:
    """The comparison of a rule with a total."""

    op: str
    units: int

    @staticmethod
    def of(measure: Measure) -> "Limit":
        return Limit(measure.op, round(float(measure.value) * SCALE))

    def holds(self, total: int | None) -> bool:
        return self.op == "ne" if total is None else _COMPARE[self.op](total, self.units)


def total(kind: str, values: list[int]) -> int | None:
    """Returns the total of the window's events."""
    if kind == "sum":
        return sum(values)
    return (max if kind == "max" else min)(values, default=None)


def span(times: list[int], within_ms: int | None, now_ms: int) -> tuple[int, int]:
    """Returns the range of the events that count now."""
    end = bisect_right(times, now_ms)
    start = max(end - MOST_EVENTS, 0)
    return (start if within_ms is None else bisect_left(times, now_ms - within_ms, start, end)), end


def judge(series: Series | None, kind: str, limit: Limit, within_ms: int | None, now_ms: int) -> tuple[bool, int]:
    """Whether the total meets the limit now, and the earliest time at which time alone changes that."""
    if series is None:
        return limit.holds(total(kind, [])), NEVER
    times, _, values = series
    start, end = span(times, within_ms, now_ms)
    held = limit.holds(total(kind, values[start:end]))
    if end == len(times) and (within_ms is None or start == end):
        return held, NEVER
    running = _Running(kind, values[start:end])
    while True:
        due = times[end] if end < len(times) else NEVER
        if within_ms is not None and start < end:
            due = min(due, times[start] + within_ms + 1)
        if due == NEVER:
            return held, NEVER
        first, last = span(times, within_ms, due)
        for value in values[end:last]:
            running.add(value)
        for value in values[start:first]:
            running.remove(value)
        start, end = first, last
        if limit.holds(running.total()) != held:
            return held, due


class _Running:
    """A total that adds and removes values."""

    def __init__(self, kind: str, values: list[int]) -> None:
        self._kind = kind
        self._sum = sum(values) if kind == "sum" else 0
        self._ordered = [] if kind == "sum" else sorted(values)

    def add(self, value: int) -> None:
        if self._kind == "sum":
            self._sum += value
        else:
            insort(self._ordered, value)

    def remove(self, value: int) -> None:
        if self._kind == "sum":
            self._sum -= value
        else:
            del self._ordered[bisect_left(self._ordered, value)]

    def total(self) -> int | None:
        if self._kind == "sum":
            return self._sum
        return (self._ordered[-1 if self._kind == "max" else 0]) if self._ordered else None
