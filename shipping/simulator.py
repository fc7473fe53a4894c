"""A simulated carrier, the remote end of `shipping.gateway`.

Its bookings are kept in shipping's database, so that they survive a crash of the service as a real carrier's would. It
decides by test addresses.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.dialects.postgresql import insert

from contracts import Address, CancelReason
from messaging.database import Database
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
CONNECTIONS = 2
"""Calls that work on its tables at once: the service's own transactions need the rest of the pool."""

_STANDING = {
    BookingStatus.BOOKED: Verdict.BOOKED,
    BookingStatus.UNDELIVERABLE: Verdict.UNDELIVERABLE,
    BookingStatus.CANCELLED: Verdict.FENCED,
}


class SimulatedCarrier:
    """Answers after `latency` seconds. One key is worked on by one call at a time, whoever calls."""

    def __init__(self, database: Database, latency: float) -> None:
        self._database = database
        self._latency = latency
        self._connections = asyncio.Semaphore(CONNECTIONS)

    async def book(self, key: str, address: Address) -> Booking:
        """Book a parcel, once; every later call gives the first one's answer."""
        async with self._booking(key) as booking:
            if booking.status == BookingStatus.UNKNOWN:
                _consider(booking, address)
        if booking.status == BookingStatus.UNKNOWN:
            raise CarrierUnavailable("503 Service Unavailable")
        return _answer(booking)

    async def cancel(self, key: str, reason: CancelReason) -> Booking:
        """Cancel the booking, or fence a key that has none; the first reason stays."""
        async with self._booking(key) as booking:
            if booking.status in {BookingStatus.UNKNOWN, BookingStatus.BOOKED}:
                booking.status, booking.cancel_reason = BookingStatus.CANCELLED, reason
        return _answer(booking)

    async def find(self, key: str) -> Booking | None:
        """Say what stands under the key."""
        await asyncio.sleep(self._latency)
        async with self._connections, self._database.session() as db:
            booking = await db.get(CarrierBooking, key)
        return None if booking is None or booking.status == BookingStatus.UNKNOWN else _answer(booking)

    @asynccontextmanager
    async def _booking(self, key: str) -> AsyncGenerator[CarrierBooking]:
        """Lock the key's booking, made if it is new; store it when the block ends."""
        await asyncio.sleep(self._latency)
        # An update that changes nothing locks the row that was there; DO NOTHING would return none.
        upsert = insert(CarrierBooking).values(key=key, status=BookingStatus.UNKNOWN, attempts=0)
        locked = upsert.on_conflict_do_update(index_elements=["key"], set_={"key": key}).returning(CarrierBooking)
        async with self._connections, self._database.session() as db, db.begin():
            yield (await db.exec(locked)).scalars().one()


def _consider(booking: CarrierBooking, address: Address) -> None:
    """Decide by the address; a booking that stays unknown was answered with an error."""
    booking.attempts += 1
    if address.city == DOWN_CITY or (address.city == FLAKY_CITY and booking.attempts <= FLAKY_FAILURES):
        return
    undeliverable = address.postal_code == UNDELIVERABLE_POSTAL_CODE
    booking.status = BookingStatus.UNDELIVERABLE if undeliverable else BookingStatus.BOOKED


def _answer(booking: CarrierBooking) -> Booking:
    tracking_number = f"SIM{booking.key.replace('-', '').upper()}"
    return Booking(_STANDING[booking.status], NAME, tracking_number, booking.cancel_reason)
