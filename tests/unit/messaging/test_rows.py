"""Rows of a group: locked in order, stored by one statement, and only what was assigned."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import ARRAY, Text
from sqlalchemy.orm import registry
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlmodel import Field, SQLModel, select

from contracts import CancelReason
from messaging.database import Database
from messaging.rows import add, driver_of, locked, mapped, store_all
from messaging.transaction import opened
from order_api.models import Kept, Order
from shipping.domain import State
from shipping.models import BookingStatus, CarrierBooking, Shipment
from tests.statements import statements_of

ServiceDatabase = Callable[[str], Awaitable[Database]]


@pytest_asyncio.fixture
async def database(service_database: ServiceDatabase) -> Database:
    """Shipping's database, empty."""
    return await service_database("shipping")


async def stored(database: Database) -> dict[UUID, Shipment]:
    """Read all shipments as SQLAlchemy does."""
    async with database.session() as db:
        return {row.order_id: row for row in (await db.exec(select(Shipment))).all()}


async def place(database: Database, *order_ids: UUID) -> None:
    """Make new shipments."""
    async with opened(database) as transaction:
        await transaction.driver.execute("INSERT INTO shipments (order_id) SELECT unnest($1::uuid[])", list(order_ids))
        await transaction.commit()


async def test_what_is_assigned_is_stored(database: Database) -> None:
    """Text, JSON, booleans, enums and NULL come back as they were assigned; other rows and columns stay."""
    first, second, third = sorted(uuid4() for _ in range(3))
    await place(database, first, second, third)
    async with opened(database) as transaction:
        rows = await locked(transaction.session, Shipment, [third, first, second, uuid4()])
        assert list(rows) == [first, second, third]
        rows[first].state, rows[first].said = State.READY, {"shipping.ready": {"ä": [1, None]}}
        rows[third].state, rows[third].cancel_reason, rows[third].undo = "cancelled", CancelReason.CUSTOMER, True
        await store_all(transaction.session)
        await transaction.commit()
    found = await stored(database)
    assert (found[first].state, found[first].said) == ("ready", {"shipping.ready": {"ä": [1, None]}})
    assert (found[first].undo, found[first].cancel_reason) == (False, None)
    assert (found[second].state, found[second].said) == ("new", {})
    assert (found[third].state, found[third].cancel_reason, found[third].undo) == (
        "cancelled",
        CancelReason.CUSTOMER,
        True,
    )
    async with opened(database) as transaction:
        again = (await locked(transaction.session, Shipment, [third]))[third]
        assert (again.cancel_reason, again.undo) == (CancelReason.CUSTOMER, True)
        again.state, again.cancel_reason, again.undo = "new", None, False
        await store_all(transaction.session)
        await transaction.commit()
    assert (await stored(database))[third].cancel_reason is None


async def test_a_group_costs_two_statements(database: Database) -> None:
    """One locks many rows, one stores them; rows that nobody touched are not written at all."""
    order_ids = [uuid4() for _ in range(20)]
    await place(database, *order_ids)
    statements = statements_of(database)
    async with opened(database) as transaction:
        rows = await locked(transaction.session, Shipment, order_ids)
        for order_id in order_ids[:10]:
            rows[order_id].tracking_number = str(order_id)
        await store_all(transaction.session)
        await store_all(transaction.session)
        await transaction.commit()
    assert [statement.split(maxsplit=1)[0] for statement in statements if "shipments" in statement] == [
        "SELECT",
        "UPDATE",
    ]
    numbers = [row.tracking_number for row in (await stored(database)).values()]
    assert sorted(filter(None, numbers)) == sorted(map(str, order_ids[:10]))


async def test_what_is_not_committed_is_undone(database: Database) -> None:
    """By the driver and by the session, whichever was first; the connection serves the next transaction."""
    order_id = uuid4()
    await place(database, order_id)
    async with opened(database) as transaction:
        rows = await locked(transaction.session, Shipment, [order_id])
        rows[order_id].tracking_number = "1"
        transaction.session.add(CarrierBooking(key="k"))
        await store_all(transaction.session)
    assert (await stored(database))[order_id].tracking_number is None
    async with database.session() as db:
        assert await db.get(CarrierBooking, "k") is None


async def test_a_session_is_part_of_the_transaction(database: Database) -> None:
    """What it adds is committed with what the driver did, and seen by it before."""
    async with opened(database) as transaction:
        transaction.session.add(CarrierBooking(key="k", status=BookingStatus.BOOKED))
        await store_all(transaction.session)
        assert await transaction.driver.fetchval("SELECT status FROM carrier_bookings WHERE key = 'k'") == "booked"
        await transaction.commit()
    async with database.session() as db:
        booking = await db.get_one(CarrierBooking, "k")
    assert booking.status is BookingStatus.BOOKED


async def test_a_session_of_its_own_stores_rows_when_it_commits(database: Database) -> None:
    """Without a unit of work around it, SQLAlchemy's commit is what stores them."""
    order_id = uuid4()
    await place(database, order_id)
    async with database.session() as db:
        assert not (await driver_of(db)).is_closed()
        (await locked(db, Shipment, [order_id]))[order_id].tracking_number = "2"
        await db.commit()
    assert (await stored(database))[order_id].tracking_number == "2"


async def test_new_rows_of_a_model_are_written_together(service_database: ServiceDatabase) -> None:
    """Many, by one statement before the commit; their key may have several columns."""
    database = await service_database("order_api")
    statements = statements_of(database)
    async with opened(database) as transaction:
        for key in ("a", "b"):
            columns = {"client_id": "c", "key": key, "fingerprint": b"\0", "answer": {"of": key}}
            add(transaction.session, Kept, {**columns, "created_at": datetime.now(UTC)})
        await store_all(transaction.session)
        await transaction.commit()
    assert len([statement for statement in statements if "idempotency_keys" in statement]) == 1
    async with database.session() as db:
        assert (await db.get_one(Kept, ("c", "b"))).answer == {"of": "b"}


async def test_what_is_not_needed_is_not_read(service_database: ServiceDatabase) -> None:
    """A handler that looks at such a column all the same fails, instead of taking it for empty."""
    database = await service_database("order_api")
    statements = statements_of(database)
    async with opened(database) as transaction:
        await locked(transaction.session, Order, [uuid4()])
    assert not any("said" in statement or "items" in statement for statement in statements)
    table = mapped(Order)
    row = table.instance(["x" for _ in table.columns])
    assert row.customer_id == "x"
    with pytest.raises(DetachedInstanceError):
        assert row.said
    row.said = {"order.created": {}}
    assert [write.arguments[1:] for write in table.changes([row])] == [[['{"order.created":{}}']]]


def test_a_model_with_arrays_is_refused() -> None:
    """Its rows cannot be passed as one array a column."""

    class Model(SQLModel, registry=registry()):
        pass

    class Tagged(Model, table=True):
        name: str = Field(primary_key=True)
        tags: list[str] = Field(sa_type=ARRAY(Text))  # pyright: ignore[reportArgumentType]

    with pytest.raises(TypeError, match="Tagged: no arrays"):
        mapped(Tagged)
