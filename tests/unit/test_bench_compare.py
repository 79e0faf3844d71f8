"""What the comparison of two runs complains of."""

from typing import Any

import pytest

from tests.bench import compare


def figures(*, cost: float, events: int = 100, rows: int = 100) -> dict[str, Any]:
    figure = {
        "events": events,
        "rows": rows,
        "unit_us": 1000,
        "cpu_us_each": {"all": round(cost * 1000), "sink": round(cost * 400)},
        "units_each": {"all": cost, "sink": cost * 0.4},
    }
    return {"environment": {"commit": "abc"}, "event of a batch": figure}


@pytest.mark.parametrize("cost", [0.05, 0.1, 0.114])
def test_a_run_that_costs_about_as_much_is_accepted(cost: float) -> None:
    assert compare.complaints(figures(cost=cost), figures(cost=0.1)) == []


def test_a_run_that_costs_more_is_not() -> None:
    (complaint,) = compare.complaints(figures(cost=0.116), figures(cost=0.1))
    assert complaint == "event of a batch: 1.16 times the accepted CPU, at most 1.15"


def test_a_run_that_lost_rows_or_a_kind_is_not_compared_by_what_it_saved() -> None:
    (complaint,) = compare.complaints(figures(cost=0.05, rows=99), figures(cost=0.1))
    assert complaint == "event of a batch: 99 of 100 can be read"
    assert compare.complaints({"environment": {}}, figures(cost=0.1)) == ["event of a batch: not measured"]


def test_the_table_shows_each_process_beside_what_was_accepted() -> None:
    lines = compare.table(figures(cost=0.2), figures(cost=0.1)).splitlines()
    assert [line.split() for line in lines[1:]] == [["all", "200", "0.200", "2.00"], ["sink", "80", "0.080", "2.00"]]
    first = compare.table(figures(cost=0.2), {}).splitlines()
    assert first[1].split() == ["all", "200", "0.200", "-"]
    assert compare.complaints(figures(cost=0.2), {}) == []
