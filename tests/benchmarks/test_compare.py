"""Whether we got slower, by ratios that are kept in the repository."""

from pathlib import Path

from benchmarks import compare
from benchmarks.figures import Spread
from tests.benchmarks.made_up import loop, results, turn

RATE, TIME = "orders finished", "Python's processor time"


def test_worse_is_what_lies_beyond_the_spread_of_both() -> None:
    """Fewer orders, more processor time; ranges that touch say nothing."""
    kept = {RATE: Spread(0.7, 0.8, 0.9), TIME: Spread(1.4, 1.5, 1.6)}
    assert not compare.worse({RATE: Spread(0.5, 0.6, 0.7), TIME: Spread(1.6, 1.7, 1.8)}, kept)
    said = compare.worse({RATE: Spread(0.5, 0.6, 0.69), TIME: Spread(1.61, 1.7, 1.8)}, kept)
    assert [line.partition(":")[0] for line in said] == [RATE, TIME]


def test_better_is_not_worse() -> None:
    """More orders and less processor time are nothing to tell of."""
    kept = {RATE: Spread(0.7, 0.8, 0.9), TIME: Spread(1.4, 1.5, 1.6)}
    assert not compare.worse({RATE: Spread(1, 1, 1), TIME: Spread(1, 1, 1)}, kept)


def test_ratios_are_read_back_as_they_were_kept(tmp_path: Path) -> None:
    """A run is never worse than itself; without a file there is nothing to compare with."""
    file = tmp_path / "ratios.json"
    assert not compare.kept(file)
    now = compare.measured(results(turn("ours", loop(rate=80), loop()), turn("limit", loop(rate=100), loop())))
    assert now[RATE] == Spread(0.8, 0.8, 0.8)
    compare.keep(now, file)
    assert compare.kept(file) == now
    assert not compare.worse(now, compare.kept(file))
