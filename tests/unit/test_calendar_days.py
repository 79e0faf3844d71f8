"""Days and anniversaries where they are odd: leap days, midnights that clocks leave out or repeat, the date line."""

from datetime import date
from typing import Any

import pytest

from schemas import calendar_days
from schemas.times import parse_iso


def ms(text: str) -> int:
    result = parse_iso(text)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1990-05-12", 512),
        ("1990-05-12T23:30:00-08:00", 512),
        ("2000-02-29", 229),
        ("1999-02-29", None),
        ("0001-01-01T00:00:00+02:00", None),
        (0, 101),
        (-1, 1231),
        (1_780_000_000_000, 528),
        ("12 May", None),
        ("1990-05-12" + " " * 10_000, None),
        (True, None),
        (None, None),
        ([], None),
    ],
)
def test_the_month_and_day_of_a_value(value: Any, expected: int | None) -> None:
    assert calendar_days.month_day(value) == expected


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("UTC", date(2026, 5, 28), "2026-05-28T00:00:00Z"),
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00:00Z"),
        ("Pacific/Kiritimati", date(2026, 5, 28), "2026-05-27T10:00:00Z"),
        # midnight is left out
        ("Africa/Cairo", date(2026, 4, 24), "2026-04-23T22:00:00Z"),
        ("Asia/Beirut", date(2026, 3, 29), "2026-03-28T22:00:00Z"),
        # midnight comes twice
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00:00Z"),
    ],
)
def test_a_day_begins_with_its_first_moment(zone: str, day: date, begins: str) -> None:
    start = calendar_days.start_of_day(zone, day)
    assert start == ms(begins)
    assert calendar_days.today_in(zone, start) == day
    assert calendar_days.today_in(zone, start - 1) < day


@pytest.mark.parametrize("zone", sorted(calendar_days.zones()))
def test_days_of_every_zone_follow_each_other(zone: str) -> None:
    for day in range(738_900, 738_900 + 1500, 7):
        start = calendar_days.start_of_day(zone, date.fromordinal(day))
        assert calendar_days.today_in(zone, start) == date.fromordinal(day)
        assert calendar_days.today_in(zone, start - 1) < date.fromordinal(day)


def test_a_leap_days_anniversary_is_the_28th_where_there_is_none() -> None:
    assert calendar_days.next_anniversary(229, date(2026, 1, 1)) == date(2026, 2, 28)
    assert calendar_days.next_anniversary(229, date(2026, 3, 1)) == date(2027, 2, 28)
    assert calendar_days.next_anniversary(229, date(2028, 2, 1)) == date(2028, 2, 29)
    assert calendar_days.celebrated_on(date(2026, 2, 28)) == (228, 229)
    assert calendar_days.celebrated_on(date(2028, 2, 28)) == (228,)
    assert calendar_days.celebrated_on(date(2028, 2, 29)) == (229,)
