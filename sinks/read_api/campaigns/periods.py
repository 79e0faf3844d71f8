"""An interval, a time zone and a span in; where each minute, hour, day, week or month of it begins there out; pure.

Days, weeks (from Monday on) and months begin at midnight in the zone, so a day has 23 or 25 hours where clocks change;
hours are counted from midnight. A day that a zone left out has no period.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from difflib import get_close_matches

from schemas.calendar_days import start_of_day, today_in, zones
from schemas.errors import ApiError
from schemas.limits import STEPS

MAX_POINTS = 10_000
QUARTER_MS = 900_000
"""Zones differ from UTC by multiples of it, so a sum of quarters of an hour is exact for every period."""
_LONGEST_NAME = 80
_DAY = timedelta(days=1)


def zone_of(name: str) -> str:
    """The same; raises ``ApiError`` (422) for a name that no time zone has."""
    if name in zones():
        return name
    alike = get_close_matches(name, zones(), n=1) if len(name) <= _LONGEST_NAME else []
    hint = f"; did you mean {alike[0]}?" if alike else ""
    raise ApiError("invalid_field", f'must be a time zone such as "Europe/Berlin"{hint}', "tz")


def check_points(begin: int, end: int, interval: str) -> None:
    """Raises ``ApiError`` (422) where there would be too many."""
    if (end - begin) // STEPS[interval] > MAX_POINTS:
        raise ApiError(
            "invalid_field", f"more than {MAX_POINTS} points: choose a longer interval or a shorter span", "interval"
        )


def grain(interval: str, zone: str) -> int:
    """Milliseconds of the parts that periods are made of."""
    if zone == "UTC" and interval in ("minute", "hour", "day"):
        return STEPS[interval]
    return min(STEPS[interval], QUARTER_MS)


def starts(interval: str, zone: str, first_ms: int, last_ms: int) -> list[int]:
    """Of all periods from the one that ``first_ms`` is in to that of ``last_ms``, in epoch milliseconds; ascending.

    Raises ``ApiError`` (422) for a span that reaches beyond the years 2 to 9998.
    """
    step = grain(interval, zone)
    if step == STEPS[interval]:
        return list(range(first_ms // step * step, last_ms + 1, step))
    try:
        times = list(_starts(interval, zone, first_ms, last_ms))
    except (OverflowError, ValueError) as error:
        raise ApiError("invalid_field", "a span lies within the years 2 to 9998", "from") from error
    # the first hours of the first day may lie before the span
    return [at for n, at in enumerate(times) if n + 1 == len(times) or times[n + 1] > first_ms]


def _starts(interval: str, zone: str, first_ms: int, last_ms: int) -> Iterator[int]:
    day = _first_day(interval, today_in(zone, first_ms))
    at = start_of_day(zone, day)
    while at <= last_ms:
        day = _next_day(interval, day)
        following = start_of_day(zone, day)
        if interval == "hour":
            yield from range(at, min(following, last_ms + 1), STEPS["hour"])
        elif following > at:
            yield at
        at = following


def _first_day(interval: str, day: date) -> date:
    if interval == "week":
        return day - _DAY * day.weekday()
    return day.replace(day=1) if interval == "month" else day


def _next_day(interval: str, day: date) -> date:
    if interval == "week":
        return day + 7 * _DAY
    return (day.replace(day=1) + 32 * _DAY).replace(day=1) if interval == "month" else day + _DAY
