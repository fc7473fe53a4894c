"""Contenders and their turns."""

import io

import pytest
from rich.console import Console

from benchmarks.results import FINISHED
from benchmarks.run import available, chosen, measure
from benchmarks.turn import Plan
from devstack.errors import StackError


def test_every_contender_says_what_it_is() -> None:
    """Each is named as its folder is, has databases, and says what it does not guarantee; ours guarantees all."""
    contenders = chosen("")
    assert [each.name for each in contenders] == available()
    for each in contenders:
        assert each.what
        assert each.databases
        assert bool(each.not_guaranteed) == (each.name != "ours")


def test_another_name_is_refused_with_those_that_there_are() -> None:
    """A typing error ends the run before anything starts."""
    with pytest.raises(StackError, match=r"no contender rust; there are ours, limit, tutorial"):
        chosen("ours,rust")


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.private("it measures servers of its own")
def test_a_turn_finishes_every_order() -> None:
    """Started, loaded, measured and stopped: no order is lost, and there is a number for everything."""
    said = io.StringIO()
    plan = Plan(warm_up=20, seconds=0.5, fractions=(0.5,))
    results = measure([(each, plan) for each in chosen("ours")], 1, Console(file=said))
    assert not results.failures, said.getvalue()
    assert FINISHED.of(results.turns[0]) > 0
    assert [loop.unfinished for loop in (results.turns[0].closed, *results.turns[0].opened.values())] == [0, 0]
    assert "round 1 of 1, ours:" in said.getvalue()
