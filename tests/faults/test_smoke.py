"""The smoke form of `./run faults`, as part of the suite: the whole system, killed and cut off under load."""

from dataclasses import replace
from functools import partial

import pytest

from messaging.edge import Step
from tests.e2e.mix import SEED
from tests.faults.cases.crashes import CRASH_POINTS, crash_points
from tests.faults.catalogue import chosen
from tests.faults.points import Kill
from tests.faults.suite import run

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.broker,
    pytest.mark.database,
    pytest.mark.timeout(400),
    pytest.mark.private("has servers of its own, which it kills"),
]


NEVER = Kill("payment", Step.PREPARE, "after", nth=1_000_000)
MISSED = replace(CRASH_POINTS, name="missed", inject=partial(crash_points, only=[NEVER], patience=2))
"""Planted: a point that nobody comes by."""


async def test_nothing_is_lost_and_nothing_happens_twice() -> None:
    """Each fault of the smoke form can be done, every accepted order ends, and no invariant is broken.

    A crash point that nobody was killed at is no success.
    """
    found = await run([*chosen("smoke"), MISSED], "smoke", SEED, lambda _, outcome: print(outcome or ""))  # noqa: T201 - if it fails
    *done, missed = found.outcomes
    assert len(done) == len(chosen("smoke"))
    assert [(outcome.name, outcome.violations, outcome.error) for outcome in done if not outcome.safe] == []
    assert all(outcome.accepted >= 60 and outcome.recovery for outcome in done)
    assert (missed.violations, missed.error) == ([], f"{NEVER} was not killed")
    assert not found.safe
