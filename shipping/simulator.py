"""A simulated carrier, the remote end of `shipping.gateway`.

Its bookings are kept in shipping's database, so that they survive a crash of the service as a real carrier's would. It
decides by test addresses.
"""

import asyncio
from collections.abc import Callable

from contracts import Address, CancelReason
from messaging.database import Database
from messaging.ledger import Ledger
from shipping.domain import Verdict
from shipping.gateway import Booking, CarrierUnavailable
from shipping.models import BookingStatus, CarrierBooking

NAME = "simulated"
UNDELIVERABLE_POSTAL_CODE = "00000"
FLAKY_CITY = "Flaky"
"""Errors (5xx) at first, then fine."""
DOWN_CITY = "Down"
"""Always an error (5xx) when asked to book."""
FLAKY_FAILURES = 2
"""Errors that FLAKY_CITY gives before it works."""

_STANDING = {
    BookingStatus.BOOKED: Verdict.BOOKED,
    BookingStatus.UNDELIVERABLE: Verdict.UNDELIVERABLE,
    BookingStatus.CANCELLED: Verdict.FENCED,
}


class SimulatedCarrier:
    """Answers after `latency` seconds. One key is worked on by one call at a time, whoever calls."""

    def __init__(self, database: Database, latency: float) -> None:
        self._latency = latency
        self._bookings = Ledger[CarrierBooking, Booking | None](database, CarrierBooking)

    async def book(self, key: str, address: Address) -> Booking:
        """Book a parcel, once; every later call gives the first one's answer."""

        def decide(booking: CarrierBooking) -> Booking | None:
            if booking.status == BookingStatus.UNKNOWN:
                _consider(booking, address)
            return _standing(booking)

        return await self._call(key, decide)

    async def cancel(self, key: str, reason: CancelReason) -> Booking:
        """Cancel the booking, or fence a key that has none; the first reason stays."""

        def decide(booking: CarrierBooking) -> Booking | None:
            if booking.status in {BookingStatus.UNKNOWN, BookingStatus.BOOKED}:
                booking.status, booking.cancel_reason = BookingStatus.CANCELLED, reason
            return _standing(booking)

        return await self._call(key, decide)

    async def find(self, key: str) -> Booking | None:
        """Say what stands under the key."""
        await asyncio.sleep(self._latency)
        booking = await self._bookings.find(key)
        return None if booking is None else _standing(booking)

    async def _call(self, key: str, decide: Callable[[CarrierBooking], Booking | None]) -> Booking:
        await asyncio.sleep(self._latency)
        booking = await self._bookings.settle(key, decide)
        if booking is None:  # nothing is decided yet
            raise CarrierUnavailable("503 Service Unavailable")
        return booking


def _consider(booking: CarrierBooking, address: Address) -> None:
    """Decide by the address; a booking that stays unknown was answered with an error."""
    booking.attempts += 1
    if address.city == DOWN_CITY or (address.city == FLAKY_CITY and booking.attempts <= FLAKY_FAILURES):
        return
    undeliverable = address.postal_code == UNDELIVERABLE_POSTAL_CODE
    booking.status = BookingStatus.UNDELIVERABLE if undeliverable else BookingStatus.BOOKED


def _standing(booking: CarrierBooking) -> Booking | None:
    if booking.status == BookingStatus.UNKNOWN:
        return None
    tracking_number = f"SIM{booking.key.replace('-', '').upper()}"
    return Booking(_STANDING[booking.status], NAME, tracking_number, booking.cancel_reason)
