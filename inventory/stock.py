"""The rows that a group of messages shares: receipts and stock, locked once, in one order, before any handler runs."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Event, PaymentAuthorized, StockReceived
from inventory.domain import pieces
from inventory.models import Reservation, Stock, StockReceipt
from messaging.order_row import OrderRow

_HELD = "inventory.locked"


async def preload(db: AsyncSession, batch: Sequence[tuple[Event, OrderRow | None]]) -> None:
    """Create the rows of goods received, and lock every row that the batch can touch: receipts, then stock, by key."""
    received = {event.event_id: event for event, _ in batch if isinstance(event, StockReceived)}
    skus = {event.sku for event in received.values()}
    for event, row in batch:
        if isinstance(event, PaymentAuthorized):
            skus |= pieces(event.items).keys()
        elif isinstance(row, Reservation):
            skus |= pieces(row.lines).keys()
    receipts = await _lock_receipts(db, received)
    stock = await _lock_stock(db, skus, {event.sku for event in received.values()})
    # The identity map holds rows weakly: kept with the session, they need no second query.
    db.info[_HELD] = (receipts, stock)


async def stock_of(db: AsyncSession, skus: Iterable[str]) -> dict[str, Stock]:
    """Return the stock rows, locked by `preload`, of those skus that are stocked at all."""
    found = {sku: await db.get(Stock, sku) for sku in skus}
    return {sku: stock for sku, stock in found.items() if stock is not None}


async def _lock_receipts(db: AsyncSession, received: dict[UUID, StockReceived]) -> Sequence[StockReceipt]:
    if not received:
        return ()
    ids = sorted(received)
    rows = [{"event_id": key, "sku": received[key].sku, "quantity": received[key].quantity} for key in ids]
    await db.exec(insert(StockReceipt).values(rows).on_conflict_do_nothing())
    wanted = select(StockReceipt).where(col(StockReceipt.event_id).in_(ids)).order_by(col(StockReceipt.event_id))
    return (await db.exec(wanted.with_for_update().execution_options(populate_existing=True))).all()


async def _lock_stock(db: AsyncSession, skus: set[str], arriving: set[str]) -> Sequence[Stock]:
    if arriving:
        rows = [
            {"sku": sku, "on_hand": 0, "reserved": 0, "initial": 0, "received": 0, "shipped": 0}
            for sku in sorted(arriving)
        ]
        await db.exec(insert(Stock).values(rows).on_conflict_do_nothing())
    if not skus:
        return ()
    wanted = select(Stock).where(col(Stock.sku).in_(sorted(skus))).order_by(col(Stock.sku))
    return (await db.exec(wanted.with_for_update().execution_options(populate_existing=True))).all()
