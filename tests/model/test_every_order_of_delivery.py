"""One order through all services, exhaustively: nothing unsafe on the way, nothing left undone at rest."""

import pytest

from tests.model.network import Network
from tests.model.remote import EVERY_ENVIRONMENT, Environment


@pytest.mark.parametrize("environment", EVERY_ENVIRONMENT, ids=str)
def test_every_order_of_delivery_ends_well(environment: Environment) -> None:
    """With an inbox that keeps everything: any order of delivery, crashes, two workers, cancel, expiry, at any time."""
    report = Network(environment, inbox=True).explore()
    assert not report.violations, str(report)
    assert report.at_rest


@pytest.mark.parametrize("environment", EVERY_ENVIRONMENT, ids=str)
def test_any_replay_at_any_time_is_harmless(environment: Environment) -> None:
    """With an inbox that is pruned at once: anything ever said may come again, in any order, any number of times."""
    report = Network(environment, inbox=False).explore()
    assert not report.violations, str(report)
    assert report.at_rest
