"""Days, weeks and months of a time zone, where clocks change and where days are left out."""

import itertools
from datetime import UTC, datetime

import pytest

from schemas.errors import ApiError
from schemas.limits import STEPS
from sinks.read_api.campaigns.periods import MAX_POINTS, check_points, starts, zone_of

HOUR = 3_600_000


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]


def hours(rows: list[int]) -> list[float]:
    return [(b - a) / HOUR for a, b in itertools.pairwise(rows)]


def test_a_day_has_23_or_25_hours_where_clocks_change() -> None:
    spring = starts("day", "Europe/Berlin", ms(2026, 3, 28, 12), ms(2026, 3, 30, 12))
    assert spring[0] == ms(2026, 3, 27, 23)
    assert hours(spring) == [24, 23]
    autumn = starts("day", "Europe/Berlin", ms(2026, 10, 24, 12), ms(2026, 10, 26, 12))
    assert hours(autumn) == [24, 25]
    assert len(starts("hour", "Europe/Berlin", ms(2026, 10, 24, 22), ms(2026, 10, 25, 22, 59))) == 25
    assert len(starts("hour", "Europe/Berlin", ms(2026, 3, 28, 23), ms(2026, 3, 29, 21, 59))) == 23


def test_weeks_begin_on_monday_and_months_on_their_first() -> None:
    assert starts("week", "UTC", ms(2026, 1, 1), ms(2026, 1, 5)) == [ms(2025, 12, 29), ms(2026, 1, 5)]
    assert hours(starts("week", "America/New_York", ms(2026, 3, 2, 5), ms(2026, 3, 16, 5))) == [167, 168]
    berlin = starts("month", "Europe/Berlin", ms(2026, 1, 31, 23), ms(2026, 4, 1))
    assert berlin == [ms(2026, 1, 31, 23), ms(2026, 2, 28, 23), ms(2026, 3, 31, 22)]


def test_hours_of_a_zone_between_ours_begin_where_they_do_there() -> None:
    assert starts("hour", "Asia/Kathmandu", ms(2026, 1, 1, 0, 20), ms(2026, 1, 1, 1, 20)) == [
        ms(2026, 1, 1, 0, 15),
        ms(2026, 1, 1, 1, 15),
    ]


def test_a_midnight_or_a_day_that_is_left_out_is_passed_over() -> None:
    beirut = starts("day", "Asia/Beirut", ms(2024, 3, 30), ms(2024, 4, 1))
    assert hours(beirut) == [24, 23, 24][: len(beirut) - 1]
    apia = starts("day", "Pacific/Apia", ms(2011, 12, 29, 12), ms(2012, 1, 1, 12))
    assert hours(apia) == [24.0] * (len(apia) - 1), "30 December 2011 was not"
    lord_howe = starts("hour", "Australia/Lord_Howe", ms(2026, 4, 4, 13), ms(2026, 4, 5, 14))
    assert 0.5 in hours(lord_howe), "clocks change by half an hour there"
    assert set(hours(lord_howe)) == {0.5, 1.0}


@pytest.mark.parametrize("interval", STEPS)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Apia", "Africa/Monrovia"])
def test_periods_cover_the_span_without_a_gap(interval: str, zone: str) -> None:
    for first in (ms(1969, 12, 31, 22), ms(1972, 1, 6, 23, 50), ms(2011, 12, 30, 9), ms(2026, 10, 25, 0, 59)):
        last = first + 3 * HOUR
        result = starts(interval, zone, first, last)
        assert result == sorted(set(result))
        assert result[0] <= first
        assert len(result) == 1 or (result[1] > first and result[-1] <= last)


def test_a_wrong_zone_or_too_long_a_span_is_refused() -> None:
    for name in ("Europe/Berlni", "", "../etc", "utc" * 5000):
        with pytest.raises(ApiError) as refused:
            zone_of(name)
        assert (refused.value.status, refused.value.param) == (422, "tz")
    with pytest.raises(ApiError, match="did you mean Europe/Berlin"):
        zone_of("Europe/Berlni")
    with pytest.raises(ApiError, match="points"):
        check_points(0, STEPS["week"] * (MAX_POINTS + 1), "week")
