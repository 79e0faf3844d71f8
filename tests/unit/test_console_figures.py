"""Intervals hold the true share as often as they say, and bars are in proportion."""

import random

import pytest

from sinks.console.pages.figures import FUNNEL, funnel, share


@pytest.mark.parametrize(("hits", "tries"), [(0, 0), (0, -1)])
def test_without_tries_there_is_no_share(hits: int, tries: int) -> None:
    assert share(hits, tries) is None


@pytest.mark.parametrize(
    ("hits", "tries", "low", "high"), [(0, 10, 0, 0.278), (5, 10, 0.237, 0.763), (10, 10, 0.722, 1)]
)
def test_the_bounds_are_wilsons(hits: int, tries: int, low: float, high: float) -> None:
    result = share(hits, tries)
    assert result is not None
    assert [result.low, result.high] == pytest.approx([low, high], abs=0.001)


@pytest.mark.parametrize("true", [0.01, 0.2, 0.5])
def test_the_interval_holds_the_true_share_in_about_95_of_100(true: float) -> None:
    dice, held = random.Random(7), 0
    for _ in range(2000):
        result = share(sum(dice.random() < true for _ in range(80)), 80)
        assert result is not None
        held += result.low <= true <= result.high
    assert held / 2000 > 0.92


def test_a_funnel_begins_with_what_there_is() -> None:
    stats = dict.fromkeys(FUNNEL, 0) | {"sent": 200, "opened": 50}
    assert [(bar.name, bar.total, bar.width) for bar in funnel(stats)] == [
        ("sent", 200, 1.0),
        ("delivered", 0, 0.0),
        ("opened", 50, 0.25),
    ]
