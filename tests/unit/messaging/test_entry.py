"""How a group enters its transaction: one statement claims keys, makes and locks rows, whoever else is there."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from messaging.database import Database
from messaging.entry import Wanted, enter
from messaging.inbox import Key
from messaging.transaction import lent, opened
from messaging.writes import Write, write_all
from shipping.models import Shipment
from tests.broker.rabbit import until
from tests.statements import statements_of

pytestmark = pytest.mark.database

QUEUE = "shipping.inventory.reserved"


@pytest_asyncio.fixture
async def database(service_database: Callable[[str], Awaitable[Database]]) -> Database:
    """Shipping's database, empty."""
    return await service_database("shipping")


def key_of(event_id: UUID | None = None) -> Key:
    """The key of an event, a new one if none is given."""
    return Key(event_id or uuid4(), QUEUE, 0)


async def a_row(database: Database, order_id: UUID) -> None:
    """Make an order's row."""
    async with opened(database) as transaction:
        await transaction.driver.execute("INSERT INTO shipments (order_id) VALUES ($1)", order_id)
        await transaction.commit()


async def waits_for_a_lock(database: Database) -> None:
    """Return when some statement of this database waits for another transaction."""
    async with lent(database) as driver:
        await until(lambda: driver.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"), 5)


async def test_one_statement_claims_makes_and_locks(database: Database) -> None:
    """Keys that are new come back, with rows that were there or that are made; of a known key there is no row."""
    known, kept, made, absent = key_of(), key_of(), key_of(), key_of()
    orders = {key: uuid4() for key in (known, kept, made, absent)}
    await a_row(database, orders[kept])
    async with opened(database) as transaction:
        await enter(transaction.driver, {known: Wanted()}, None)
        await transaction.commit()
    statements = statements_of(database)
    wanted = {key: Wanted(orders[key], is_made=key is not absent) for key in orders}
    nothing = key_of()
    async with opened(database) as transaction:
        entered = await enter(transaction.driver, {**wanted, nothing: Wanted()}, Shipment)
        locked = await transaction.driver.fetchval(
            "SELECT count(*) FROM shipments WHERE xmin = pg_current_xact_id()::xid"
        )
        await transaction.commit()
    assert entered.fresh == {kept, made, absent, nothing}
    assert {order_id: row.state for order_id, row in entered.rows.items()} == {
        orders[kept]: "new",
        orders[made]: "new",
    }
    assert locked == 1
    assert abs((entered.began - datetime.now(UTC)).total_seconds()) < 60
    looked_again = [each for each in statements if each.startswith("SELECT") and "shipments" in each]
    assert len([each for each in statements if "INSERT INTO inbox" in each]) == 1
    assert len(looked_again) == 2  # for `absent`, which nobody made; and our own


async def test_many_messages_of_an_order_share_its_row(database: Database) -> None:
    """The handlers of two messages of one order are given one and the same row."""
    order_id = uuid4()
    async with opened(database) as transaction:
        wanted = {key_of(): Wanted(order_id, is_made=number == 0) for number in range(2)}
        entered = await enter(transaction.driver, wanted, Shipment)
    assert len(entered.fresh) == 2
    assert list(entered.rows) == [order_id]


async def test_a_row_that_changes_meanwhile_is_read_as_it_is_then(database: Database) -> None:
    """Whoever waits for a row's lock sees what its holder committed."""
    order_id = uuid4()
    await a_row(database, order_id)
    async with opened(database) as holder, opened(database) as waiter:
        await holder.driver.execute("UPDATE shipments SET state = 'ready' WHERE order_id = $1", order_id)
        entering = asyncio.create_task(enter(waiter.driver, {key_of(): Wanted(order_id, is_made=True)}, Shipment))
        await waits_for_a_lock(database)
        await holder.commit()
        entered = await entering
    assert entered.rows[order_id].state == "ready"


async def test_a_row_that_is_made_meanwhile_is_locked_too(database: Database) -> None:
    """A statement does not see rows that were made since it began: they are looked for again."""
    order_id = uuid4()
    async with opened(database) as maker, opened(database) as waiter:
        await maker.driver.execute("INSERT INTO shipments (order_id, state) VALUES ($1, 'ready')", order_id)
        entering = asyncio.create_task(enter(waiter.driver, {key_of(): Wanted(order_id, is_made=True)}, Shipment))
        await waits_for_a_lock(database)
        await maker.commit()
        entered = await entering
    assert entered.rows[order_id].state == "ready"


@pytest.mark.parametrize("is_committed", [True, False])
async def test_a_key_is_claimed_by_one_of_two(database: Database, *, is_committed: bool) -> None:
    """The second waits for the first, and has the key only if the first gives up."""
    key, order_id = key_of(), uuid4()
    async with opened(database) as first, opened(database) as second:
        await enter(first.driver, {key: Wanted(order_id, is_made=True)}, Shipment)
        entering = asyncio.create_task(enter(second.driver, {key: Wanted(order_id, is_made=True)}, Shipment))
        await waits_for_a_lock(database)
        await (first.commit() if is_committed else first.driver.execute("ROLLBACK"))
        entered = await entering
    assert (entered.fresh, set(entered.rows)) == ((set(), set()) if is_committed else ({key}, {order_id}))


async def test_what_is_written_to_several_tables_is_one_statement(database: Database) -> None:
    """Twice to the same table, it is two: parts of a statement do not see each other's rows."""
    order_id = uuid4()
    insert = Write("shipments", "INSERT INTO shipments (order_id, state) VALUES ($1, $2)", (order_id, "new"))
    booking = Write(
        "carrier_bookings", "INSERT INTO carrier_bookings (key, status, attempts) VALUES ($1, 'booked', $2)", ("k", 1)
    )
    update = Write("shipments", "UPDATE shipments SET state = $2 WHERE order_id = $1", (order_id, "ready"))
    statements = statements_of(database)
    async with opened(database) as transaction:
        await write_all(transaction.driver, [insert, booking, update])
        await transaction.commit()
    assert len([each for each in statements if "shipments" in each]) == 2
    async with database.session() as db:
        assert (await db.get_one(Shipment, order_id)).state == "ready"
