"""Moments, time zones and the values of attributes in; calendar days and anniversaries out.

Zones are those of the package ``tzdata``, so that every process and host knows the same ones.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from schemas.times import value_ms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
LEAP_DAY = 229
"""29 February as ``month_day`` gives it: in other years its anniversary is the 28th."""


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The IANA names of all time zones, such as ``Europe/Berlin``."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """``name`` is one of ``zones``."""
    with resources.files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def today_in(zone: str, now_ms: int) -> date:
    """Returns the present date in the zone."""
    return (_EPOCH + timedelta(milliseconds=now_ms)).astimezone(zone_named(zone)).date()


@lru_cache(maxsize=16_384)
def start_of_day(zone: str, day: date) -> int:
    """Epoch ms at which a day begins there, where midnight is left out: the first moment after it."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone_named(zone))
    return (midnight.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


def local_ms(zone: str, ms: int) -> int:
    """Epoch ms of the wall clock time there that would be ``ms`` in UTC; raises ``OverflowError`` beyond 1 to 9999."""
    local = (_EPOCH + timedelta(milliseconds=ms)).replace(tzinfo=zone_named(zone))
    return (local.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)


def month_day(value: Any) -> int | None:
    """Returns month * 100 + day: of a text as written, of a number in UTC; ``None`` if the value is not a time."""
    if isinstance(value, str):
        return _month_day_of(value) if len(value) <= _LONGEST else None
    ms = value_ms(value)
    if ms is None:
        return None
    day = _EPOCH + timedelta(milliseconds=ms)
    return day.month * 100 + day.day


_LONGEST = 40
"""Characters of a time."""


@lru_cache(maxsize=16_384)
def _month_day_of(text: str) -> int | None:
    return None if value_ms(text) is None else int(text[5:7]) * 100 + int(text[8:10])


def celebrated_on(day: date) -> tuple[int, ...]:
    """The month and day, as ``month_day`` gives them, of which a day is the anniversary."""
    month_day = day.month * 100 + day.day
    return (month_day, LEAP_DAY) if month_day == LEAP_DAY - 1 and (day + _DAY).day == 1 else (month_day,)


def next_anniversary(of: int, day: date) -> date:
    """The first one from ``day`` on; ``of`` as ``month_day`` gives it."""
    for year in (day.year, day.year + 1):
        anniversary = _in_year(of, year)
        if anniversary >= day:
            return anniversary
    raise ValueError(of)


def _in_year(of: int, year: int) -> date:
    try:
        return date(year, of // 100, of % 100)
    except ValueError:
        return date(year, 2, 28)
