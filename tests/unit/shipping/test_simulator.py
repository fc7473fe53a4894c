"""The simulated carrier, on a real database."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio

from contracts import Address, CancelReason, OrderCreated
from messaging.database import Database
from shipping.domain import Verdict
from shipping.gateway import CarrierUnavailable
from shipping.simulator import DOWN_CITY, FLAKY_CITY, UNDELIVERABLE_POSTAL_CODE, SimulatedCarrier

pytestmark = pytest.mark.database

KEY = str(OrderCreated.example().order_id)
BERLIN = Address.example()
NOWHERE = BERLIN.model_copy(update={"postal_code": UNDELIVERABLE_POSTAL_CODE})
FLAKY = BERLIN.model_copy(update={"city": FLAKY_CITY})
DOWN = BERLIN.model_copy(update={"city": DOWN_CITY})
CUSTOMER = CancelReason.CUSTOMER


@pytest_asyncio.fixture
async def database(service_database: Callable[[str], Awaitable[Database]]) -> Database:
    """Shipping's database, fresh."""
    return await service_database("shipping")


@pytest.fixture
def carrier(database: Database) -> SimulatedCarrier:
    """Make a carrier that answers at once."""
    return SimulatedCarrier(database, latency=0)


async def test_a_parcel_is_booked_with_a_tracking_number(carrier: SimulatedCarrier) -> None:
    """A good address gets a tracking number of its own, and the same one when it is asked again."""
    booking = await carrier.book(KEY, BERLIN)
    assert (booking.verdict, booking.tracking_number) == (Verdict.BOOKED, "SIM" + KEY.replace("-", "").upper())
    assert await carrier.book(KEY, BERLIN) == booking
    assert await carrier.find(KEY) == booking


async def test_an_address_that_does_not_exist_is_undeliverable(carrier: SimulatedCarrier) -> None:
    """An undeliverable parcel stays undeliverable, also when it is cancelled."""
    assert (await carrier.book(KEY, NOWHERE)).verdict == Verdict.UNDELIVERABLE
    assert (await carrier.cancel(KEY, CUSTOMER)).verdict == Verdict.UNDELIVERABLE
    assert (await carrier.book(KEY, NOWHERE)).verdict == Verdict.UNDELIVERABLE


@pytest.mark.parametrize("booked_before", [True, False])
async def test_a_cancellation_is_a_fence(carrier: SimulatedCarrier, *, booked_before: bool) -> None:
    """After a cancellation, of a booking or of nothing, no parcel is ever booked; the first reason is told."""
    if booked_before:
        await carrier.book(KEY, BERLIN)
    assert (await carrier.cancel(KEY, CUSTOMER)).verdict == Verdict.FENCED
    await carrier.cancel(KEY, CancelReason.DEADLINE)
    booking = await carrier.book(KEY, BERLIN)
    assert (booking.verdict, booking.cancel_reason) == (Verdict.FENCED, CUSTOMER)


async def test_a_flaky_carrier_counts_its_errors_across_restarts(database: Database) -> None:
    """Two errors, then fine, even when each attempt is made by another process."""
    for _ in range(2):
        with pytest.raises(CarrierUnavailable):
            await SimulatedCarrier(database, 0).book(KEY, FLAKY)
    assert (await SimulatedCarrier(database, 0).book(KEY, FLAKY)).verdict == Verdict.BOOKED


async def test_a_carrier_that_is_down_can_still_be_fenced(carrier: SimulatedCarrier) -> None:
    """An order whose booking always fails is unknown to the carrier, and can be cancelled there."""
    for _ in range(4):
        with pytest.raises(CarrierUnavailable):
            await carrier.book(KEY, DOWN)
    assert await carrier.find(KEY) is None
    assert (await carrier.cancel(KEY, CUSTOMER)).verdict == Verdict.FENCED
    assert (await carrier.book(KEY, DOWN)).verdict == Verdict.FENCED


async def test_a_booking_and_a_cancellation_that_race_end_fenced(database: Database) -> None:
    """Whichever of two workers comes first, nothing is booked in the end."""
    one, other = SimulatedCarrier(database, 0), SimulatedCarrier(database, 0)
    for number in range(10):
        key = f"race-{number}"
        await asyncio.gather(one.book(key, BERLIN), other.cancel(key, CUSTOMER))
        assert (await one.book(key, BERLIN)).verdict == Verdict.FENCED
