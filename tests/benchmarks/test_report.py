"""The report, and what is kept of a run."""

from pathlib import Path

from benchmarks.report import markdown
from benchmarks.results import FINISHED, PYTHON, Results
from tests.benchmarks.made_up import loop, results, turn


def test_results_are_read_back_as_they_were_kept(tmp_path: Path) -> None:
    """JSON holds every number of every turn."""
    made = results(turn("ours", loop(), loop(p99=70)), turn("limit", loop(rate=200)))
    made.save(tmp_path / "results.json")
    assert markdown(Results.load(tmp_path / "results.json")) == markdown(made)


def test_a_ratio_is_of_the_same_round() -> None:
    """Rounds are compared one by one, as the machine may be slower in one of them."""
    rounds = [turn("ours", loop(rate=150)), turn("limit", loop(rate=200))]
    slow = [turn("ours", loop(rate=15)), turn("limit", loop(rate=20))]
    assert results(*rounds, *slow).ratio("ours", "limit", FINISHED).text(2) == "0.75"


def test_the_load_generators_time_is_nobodys() -> None:
    """Python's processor time is that of the contender's own processes."""
    assert PYTHON.of(turn("ours", loop(python=5))) == 5


def test_goals_are_said_to_be_met_or_missed() -> None:
    """Each from the ratio that it speaks of."""
    ours = turn("ours", loop(rate=200, python=3), loop(p99=140))
    said = markdown(results(ours, turn("limit", loop(rate=300, python=1)), turn("tutorial", loop(rate=50))))
    assert "met: finished orders a second are at least 4 times tutorial's: 4.00" in said
    assert "**missed:** finished orders a second are at least 0.75 times limit's: 0.67" in said
    assert "**missed:** Python's processor time is at most 1.5 times limit's: 3.00" in said
    assert "met: p99 end to end is at most 150 ms at half load: 140 ms" in said


def test_the_report_says_what_each_does_not_guarantee_and_what_went_wrong() -> None:
    """Orders that were lost or refused are named with who lost them, and at which load."""
    said = markdown(results(turn("tutorial", loop(refused=3), loop(unfinished=2))))
    assert "What tutorial loses." in said
    assert "turn 1, tutorial at 50%: 2 orders were never finished" in said
    assert "turn 1, tutorial at capacity: 3 requests were answered 503" in said


def test_a_run_without_us_has_no_ratios() -> None:
    """Peers can be measured alone."""
    assert "in proportion" not in markdown(results(turn("limit", loop())))
