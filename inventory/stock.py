"""The rows that a group of messages shares: receipts and stock, locked once, in one order, before any handler runs."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Event, PaymentAuthorized, StockReceived
from inventory.domain import pieces
from inventory.models import Reservation, Stock, StockReceipt
from messaging.order_row import OrderRow
from messaging.rows import locked

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
    hold(db, receipts, await _lock_stock(db, skus, {event.sku for event in received.values()}))


def hold(db: AsyncSession, receipts: dict[UUID, StockReceipt], stock: dict[str, Stock]) -> None:
    """Let the transaction's handlers find these rows."""
    db.info[_HELD] = (receipts, stock)


def stock_of(db: AsyncSession, skus: Iterable[str]) -> dict[str, Stock]:
    """Return the stock rows, locked by `preload`, of those skus that are stocked at all."""
    _, stock = _held(db)
    return {sku: stock[sku] for sku in skus if sku in stock}


def receipt_of(db: AsyncSession, receipt_id: UUID) -> StockReceipt:
    """Return the row of goods that arrived, made and locked by `preload`."""
    receipts, _ = _held(db)
    return receipts[receipt_id]


def _held(db: AsyncSession) -> tuple[dict[UUID, StockReceipt], dict[str, Stock]]:
    held: tuple[dict[UUID, StockReceipt], dict[str, Stock]] = db.info[_HELD]
    return held


async def _lock_receipts(db: AsyncSession, received: dict[UUID, StockReceived]) -> dict[UUID, StockReceipt]:
    if not received:
        return {}
    ids = sorted(received)
    rows = [{"event_id": key, "sku": received[key].sku, "quantity": received[key].quantity} for key in ids]
    await db.exec(insert(StockReceipt).values(rows).on_conflict_do_nothing())
    return await locked(db, StockReceipt, ids)


async def _lock_stock(db: AsyncSession, skus: set[str], arriving: set[str]) -> dict[str, Stock]:
    if arriving:
        rows = [
            {"sku": sku, "on_hand": 0, "reserved": 0, "initial": 0, "received": 0, "shipped": 0}
            for sku in sorted(arriving)
        ]
        await db.exec(insert(Stock).values(rows).on_conflict_do_nothing())
    return await locked(db, Stock, skus) if skus else {}
