"""The broker loses everything, or is merely slow, and order_api says the first messages again until it is settled."""

import pytest

from tests.model.remote import EVERY_ENVIRONMENT, WITH_RENEWAL, Environment
from tests.model.waves import Waves

BOOKED_AND_LOST = Environment(approved=True, in_stock=True, deliverable=True)


@pytest.mark.parametrize("environment", EVERY_ENVIRONMENT, ids=str)
def test_an_order_survives_a_wiped_broker(environment: Environment) -> None:
    """The broker is wiped at any moment, a hold expires at any moment: one wave finishes what is not settled."""
    report = Waves(environment, wipes=1, expiry=True).explore()
    assert not report.violations, str(report)


@pytest.mark.parametrize("environment", WITH_RENEWAL, ids=str)
def test_a_needless_wave_does_no_harm(environment: Environment) -> None:
    """Re-drive that comes too early, with every message still in its queue, changes nothing in the end."""
    report = Waves(environment, wipes=1, late=True).explore()
    assert not report.violations, str(report)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("environment", EVERY_ENVIRONMENT, ids=str)
def test_an_order_survives_two_wipes(environment: Environment) -> None:
    """The broker is wiped twice, the second time in the middle of the wave that heals the first."""
    report = Waves(environment, wipes=2, expiry=True).explore()
    assert not report.violations, str(report)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("environment", EVERY_ENVIRONMENT, ids=str)
def test_a_needless_wave_and_an_expiring_hold_do_no_harm(environment: Environment) -> None:
    """Early re-drive, a wipe and an expiry of the hold at any moment."""
    report = Waves(environment, wipes=1, late=True, expiry=True).explore()
    assert not report.violations, str(report)


@pytest.mark.parametrize("environment", EVERY_ENVIRONMENT, ids=str)
def test_a_crash_after_a_call_and_a_wipe_leave_nothing_behind(environment: Environment) -> None:
    """A process dies after its remote call, and then the message is lost: nothing stays booked or held."""
    report = Waves(environment, wipes=1, crashes=True, expiry=True).explore()
    assert not report.violations, str(report)
