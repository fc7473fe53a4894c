"""The smoke form of `./run faults`, as part of the suite: the whole system, killed and cut off under load."""

import pytest

from tests.e2e.mix import SEED
from tests.faults.catalogue import chosen
from tests.faults.suite import run

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.broker,
    pytest.mark.database,
    pytest.mark.timeout(400),
    pytest.mark.private("has servers of its own, which it kills"),
]


async def test_nothing_is_lost_and_nothing_happens_twice() -> None:
    """Each fault of the smoke form can be done, every accepted order ends, and no invariant is broken."""
    found = await run(chosen("smoke"), "smoke", SEED, lambda _, outcome: print(outcome or ""))  # noqa: T201 - if it fails
    assert len(found.outcomes) == len(chosen("smoke"))
    assert [(outcome.name, outcome.violations, outcome.error) for outcome in found.outcomes if not outcome.safe] == []
    assert all(outcome.accepted >= 60 and outcome.recovery for outcome in found.outcomes)
