"""The model can fail: plausible wrong systems are each caught."""

from collections.abc import Set as AbstractSet

import pytest

from order_api.domain import status_of
from tests.model.network import Network
from tests.model.remote import EVERY_ENVIRONMENT, Environment
from tests.model.system import System
from tests.model.variants import NO_RESAY, VARIANTS, Variant
from tests.model.waves import Waves

ALL_GOES_WELL = Environment(approved=True, in_stock=True, deliverable=True)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_wrong_system_is_caught(variant: Variant) -> None:
    """Each variant shows its fault, with the history that leads to it."""
    found: dict[str, str] = {}
    for environment in EVERY_ENVIRONMENT:
        found |= Network(environment, inbox=True, system=variant.system).explore().violations
    histories = [history for wrong, history in found.items() if variant.fault in wrong]
    assert histories, found
    assert all(histories)


def test_an_inbox_that_ignores_the_number_of_the_wave_is_caught() -> None:
    """If a re-driven copy were a mere duplicate, an order would be stuck wherever the wipe found it."""
    report = Waves(ALL_GOES_WELL, wipes=1, numbered=False).explore()
    assert "not final at rest: pending" in report.violations
    assert "not final at rest: reserved" in report.violations


def test_a_redrive_that_stops_at_a_final_status_is_caught() -> None:
    """Ready is not settled: a capture and a shipment may be lost with the broker."""

    def is_final(facts: AbstractSet[str]) -> bool:
        return status_of(facts).final

    report = Waves(ALL_GOES_WELL, wipes=1, is_over=is_final).explore()
    assert "ready, but money is still held" in report.violations
    assert "ready, but the goods did not leave" in report.violations


def test_a_service_that_breaks_the_wave_is_caught() -> None:
    """A shipped order must say again that it is reserved, or the wave never reaches shipping and payment."""
    report = Waves(ALL_GOES_WELL, wipes=1, system=System(inventory=NO_RESAY)).explore()
    assert "ready, but money is still held" in report.violations


def test_a_booking_that_nobody_saw_is_caught() -> None:
    """The carrier's booking outlives a crash, a wipe and the order, when shipping tells only of bookings it saw."""
    report = Waves(ALL_GOES_WELL, wipes=1, crashes=True, system=System(cancel_fences=False)).explore()
    assert "cancelled, but the carrier has a booking" in report.violations
