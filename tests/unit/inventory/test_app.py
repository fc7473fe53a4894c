"""Inventory as a whole, in memory: its queues, and a receipt of goods from message to shelf."""

from collections.abc import Awaitable, Callable

import pytest
from faststream.rabbit import TestRabbitBroker
from sqlmodel import select

import inventory.app
from contracts import (
    RECEIPT,
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    InventoryShipped,
    PaymentAuthorized,
    StockReceived,
    StockRecorded,
)
from inventory.models import Stock, StockReceipt
from inventory.seed import seed
from inventory.settings import Settings
from messaging.service import Service
from messaging.testing import envelope


def test_it_hears_and_says_what_the_event_table_lists() -> None:
    """Inventory has one queue for each event that concerns it, and publishes its own five, and receipts."""
    service = inventory.app.build(Settings())
    assert set(service.routes) == {
        "inventory.payment.authorized",
        "inventory.shipping.cancelled",
        "inventory.shipping.failed",
        "inventory.shipping.ready",
        "inventory.stock.received",
    }
    own = (InventoryReserved, InventoryRejected, InventoryReleased, InventoryShipped, StockRecorded)
    assert set(service.publishers) == {event.name for event in (*own, RECEIPT)}


@pytest.mark.database
async def test_goods_can_be_sold_once_they_arrived(run_in_memory: Callable[..., Awaitable[Service]]) -> None:
    """A receipt, delivered twice and re-driven, adds its pieces once; an order can then reserve them."""
    service = await run_in_memory(inventory.app.build, Settings)
    await seed(service.database, {"MUG-01": 0})
    receipt, order = StockReceived.example(), PaymentAuthorized.example()
    async with TestRabbitBroker(service.broker) as br:
        for redrive in (0, 0, 1):
            await br.publish(receipt, **envelope(receipt, redrive))
        await br.publish(order, **envelope(order))
    async with service.database.session() as db:
        mugs = await db.get_one(Stock, "MUG-01")
        receipts = (await db.exec(select(StockReceipt.quantity))).all()
    assert (mugs.on_hand, mugs.received, mugs.reserved, receipts) == (24, 24, 2, [24])
