"""Stock on a real database: locked in one order, never oversold, received once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select, update

from contracts import Event, OrderLine, PaymentAuthorized, StockReceived
from inventory import handlers
from inventory.models import Reservation, Stock, StockReceipt
from inventory.seed import read, seed
from inventory.stock import preload
from messaging.database import Database
from messaging.outcome import Reject

pytestmark = pytest.mark.database


@pytest_asyncio.fixture
async def database(service_database: Callable[[str], Awaitable[Database]]) -> Database:
    """Inventory's database after the first stocktaking."""
    database = await service_database("inventory")
    await seed(database, {"MUG-01": 100, "TEE-01": 100, "CAP-01": 100, "RARE-01": 3})
    return database


async def stock(database: Database, sku: str) -> Stock:
    """Read a stock row."""
    async with database.session() as db:
        return await db.get_one(Stock, sku)


def paid(*quantities: tuple[str, int]) -> PaymentAuthorized:
    """Make the event of another order, paid, for these pieces."""
    lines = tuple(OrderLine(sku=sku, quantity=quantity, unit_price=100) for sku, quantity in quantities)
    order_id = uuid4()
    changes = {"order_id": order_id, "event_id": PaymentAuthorized.id_for(order_id), "items": lines}
    return PaymentAuthorized.example().model_copy(update=changes)


async def reserve(database: Database, *orders: PaymentAuthorized) -> list[Event]:
    """Handle the orders in one group, as the unit of work would."""
    said: list[Event] = []
    async with database.session() as db, db.begin():
        rows = [Reservation(order_id=order.order_id) for order in orders]
        db.add_all(rows)
        await preload(db, list(zip(orders, rows, strict=True)))
        for order, row in zip(orders, rows, strict=True):
            said.extend(await handlers.reserve_stock(order, row, db))
    return said


async def receive(database: Database, event: StockReceived) -> Event:
    """Handle a receipt as the unit of work would."""
    async with database.session() as db, db.begin():
        await preload(db, [(event, None)])
        return await handlers.record_receipt(event, db)


def names(events: Sequence[Event]) -> list[str]:
    """Name the events."""
    return [event.name for event in events]


async def test_the_last_pieces_go_to_the_first_comers(database: Database) -> None:
    """In one group, each order sees what the ones before it have taken."""
    said = await reserve(database, *(paid(("RARE-01", 1)) for _ in range(5)))
    assert names(said) == ["inventory.reserved"] * 3 + ["inventory.rejected"] * 2
    assert (await stock(database, "RARE-01")).available == 0


async def test_an_order_is_reserved_whole_or_not_at_all(database: Database) -> None:
    """One line out of stock leaves the other lines on the shelf."""
    [rejected] = await reserve(database, paid(("MUG-01", 2), ("RARE-01", 4), ("NOPE-01", 1)))
    assert rejected.model_dump(include={"shortages"})["shortages"] == (
        {"sku": "NOPE-01", "requested": 1, "available": 0},
        {"sku": "RARE-01", "requested": 4, "available": 3},
    )
    assert (await stock(database, "MUG-01")).reserved == 0


async def test_groups_that_share_stock_neither_deadlock_nor_oversell(database: Database) -> None:
    """Concurrent groups lock stock in one order, whatever order their lines name it in."""
    choice = random.Random(7)  # noqa: S311 - variety, no secret
    groups = [
        [paid(*((sku, 1) for sku in choice.sample(["MUG-01", "TEE-01", "CAP-01", "RARE-01"], 3))) for _ in range(4)]
        for _ in range(8)
    ]
    said = await asyncio.gather(*(reserve(database, *group) for group in groups))
    reserved = names([event for events in said for event in events]).count("inventory.reserved")
    rows = [await stock(database, sku) for sku in ("MUG-01", "TEE-01", "CAP-01", "RARE-01")]
    assert sum(row.reserved for row in rows) == 3 * reserved
    assert all(row.available >= 0 for row in rows)


@pytest.mark.parametrize(
    "change", [{"reserved": 4}, {"reserved": -1}, {"on_hand": -1}, {"on_hand": 4}, {"shipped": 1}, {"received": 1}]
)
async def test_the_database_refuses_stock_that_does_not_add_up(database: Database, change: dict[str, int]) -> None:
    """More reserved than there is, or pieces that came from nowhere, cannot be stored."""
    async with database.session() as db:
        with pytest.raises(IntegrityError):
            await db.exec(update(Stock).where(col(Stock.sku) == "RARE-01").values(**change))


async def test_goods_are_received_once(database: Database) -> None:
    """A receipt that comes again is answered by the same message and adds nothing, however much was sold since."""
    event = StockReceived.example()
    first = await receive(database, event)
    await reserve(database, paid(("MUG-01", 5)))
    assert await receive(database, event) == first
    assert first.model_dump(include={"on_hand", "available"}) == {"on_hand": 124, "available": 124}
    mugs = await stock(database, "MUG-01")
    assert (mugs.on_hand, mugs.received, mugs.reserved) == (124, 24, 5)


async def test_goods_nobody_has_seen_before_can_be_received(database: Database) -> None:
    """A receipt of a new sku makes its stock row; nothing of it was there at first."""
    await receive(database, StockReceived.example().model_copy(update={"sku": "NEW-01"}))
    row = await stock(database, "NEW-01")
    assert (row.initial, row.received, row.available) == (0, 24, 24)


async def test_a_receipt_id_with_other_goods_is_rejected(database: Database) -> None:
    """One event id stands for one receipt: the same id with other goods is parked, and nothing is booked."""
    event = StockReceived.example()
    await receive(database, event)
    with pytest.raises(Reject):
        await receive(database, event.model_copy(update={"quantity": 1}))
    async with database.session() as db:
        receipts = (await db.exec(select(StockReceipt.event_id, StockReceipt.quantity))).all()
    assert receipts == [(UUID(str(event.event_id)), 24)]


async def test_seeding_twice_adds_nothing(database: Database) -> None:
    """The first stocktaking can be run before every start: skus that are there keep their stock."""
    await reserve(database, paid(("RARE-01", 1)))
    assert await seed(database, {"RARE-01": 50, "LAMP-01": 500}) == ["LAMP-01"]
    assert await seed(database, {"RARE-01": 50, "LAMP-01": 500}) == []
    assert (await stock(database, "RARE-01")).available == 2


def test_the_stocktaking_file_is_readable() -> None:
    """The data file that ships with the service holds whole numbers, among them scarce and sold-out goods."""
    on_hand = read()
    assert (on_hand["MUG-01"], on_hand["RARE-01"], on_hand["SOLD-01"]) == (100_000, 3, 0)
    assert all(pieces >= 0 for pieces in on_hand.values())
