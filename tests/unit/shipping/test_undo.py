"""The undo of bookings that came too late, on a real database."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Address, CancelReason
from messaging.database import Database
from shipping.domain import State, Verdict
from shipping.gateway import Booking, Carrier, CarrierUnavailable
from shipping.models import Shipment
from shipping.simulator import SimulatedCarrier
from shipping.undo import UndoWorker

pytestmark = pytest.mark.database

BOOKED, ALSO_BOOKED, CALM = (UUID(int=number) for number in (1, 2, 3))


class PartlyDown(SimulatedCarrier):
    """A carrier that cannot cancel one of the orders."""

    async def cancel(self, key: str, reason: CancelReason) -> Booking:
        if key == str(BOOKED):
            raise CarrierUnavailable("503 Service Unavailable")
        return await super().cancel(key, reason)


@pytest_asyncio.fixture
async def database(service_database: Callable[[str], Awaitable[Database]]) -> Database:
    """Shipping's database with two cancelled orders whose parcels were booked, and one that was not."""
    database = await service_database("shipping")
    simulated = SimulatedCarrier(database, 0)
    async with database.session() as db, db.begin():
        for order_id in (BOOKED, ALSO_BOOKED, CALM):
            undo = order_id != CALM
            db.add(Shipment(order_id=order_id, state=State.CANCELLED, cancel_reason=CancelReason.CUSTOMER, undo=undo))
    for order_id in (BOOKED, ALSO_BOOKED):
        await simulated.book(str(order_id), Address.example())
    return database


def worker_of(database: Database, carrier: Carrier) -> UndoWorker:
    """Make a worker whose transactions are its own."""

    async def execute(work: Callable[[AsyncSession], Awaitable[object]]) -> None:
        async with database.session() as db, db.begin():
            await work(db)

    return UndoWorker(database, execute, carrier, interval=1)


async def flags(database: Database) -> list[bool]:
    """Read whether each order is still to be undone."""
    async with database.session() as db:
        return [(await db.get_one(Shipment, order_id)).undo for order_id in (BOOKED, ALSO_BOOKED, CALM)]


async def test_the_carrier_is_fenced_and_the_flag_cleared(database: Database) -> None:
    """A booking that met a cancellation is cancelled at the carrier, for the order's reason, once."""
    simulated = SimulatedCarrier(database, 0)
    worker = worker_of(database, Carrier(simulated, 1))
    assert await worker.work() == 2
    assert await flags(database) == [False, False, False]
    found = await simulated.find(str(BOOKED))
    assert found is not None
    assert (found.verdict, found.cancel_reason) == (Verdict.FENCED, CancelReason.CUSTOMER)
    assert await simulated.find(str(CALM)) is None
    assert await worker.work() == 0


async def test_one_failing_order_does_not_hold_up_the_others(database: Database) -> None:
    """What cannot be undone now stays flagged for the next round; the rest is done."""
    assert await worker_of(database, Carrier(PartlyDown(database, 0), 1)).work() == 1
    assert await flags(database) == [True, False, False]
    assert await worker_of(database, Carrier(SimulatedCarrier(database, 0), 1)).work() == 1


@pytest.mark.parametrize(
    ("state", "reason", "undo"),
    [
        (State.READY, None, True),
        (State.CANCELLED, None, False),
        (State.READY, CancelReason.CUSTOMER, False),
        ("lost", None, False),
    ],
)
async def test_the_database_refuses_impossible_shipments(
    database: Database, state: str, reason: CancelReason | None, *, undo: bool
) -> None:
    """Only a cancelled order has a reason, and only it can be undone; unknown states are not stored."""
    async with database.session() as db:
        db.add(Shipment(order_id=UUID(int=9), state=state, cancel_reason=reason, undo=undo))
        with pytest.raises(IntegrityError):
            await db.flush()
