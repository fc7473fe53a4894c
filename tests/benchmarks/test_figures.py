"""What the benchmark makes of numbers."""

import math

import pytest

from benchmarks.figures import Spread, percentile, ratios


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.001, 1), (1, 100)])
def test_a_percentile_is_the_smallest_value_that_enough_of_them_do_not_exceed(share: float, expected: float) -> None:
    """It is one of the values, by nearest rank, whatever their order."""
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_the_percentile_of_nothing_is_no_number() -> None:
    """A loop in which nothing was finished has no latency."""
    assert math.isnan(percentile([], 0.5))


def test_a_spread_says_the_median_and_how_far_rounds_lay_apart() -> None:
    """What is no number is left out; one value has no spread."""
    assert Spread.of([4, 1, math.nan, 2]) == Spread(1, 2, 4)
    assert Spread.of([1234.56]).text(1) == "1,234.6"
    assert Spread.of([1, 2, 4]).text() == "2 (1 to 4)"
    assert Spread.of([]).text() == "-"


def test_ratios_are_made_round_by_round() -> None:
    """A machine that is half as fast in the second round changes no ratio."""
    assert ratios([100, 50], [200, 100]) == Spread(0.5, 0.5, 0.5)
