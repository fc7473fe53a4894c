"""Reserves stock."""

import os
from typing import Annotated

from faststream import Depends, FastStream
from faststream.rabbit import RabbitBroker
from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.peers.tutorial import events
from benchmarks.peers.tutorial.tables import Reservation, Stock, session

broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=events.CHANNEL, logger=None)
app = FastStream(broker)


@broker.subscriber(events.queue("inventory", "payment.authorized"), events.EXCHANGE)
async def reserve(event: events.PaymentAuthorized, db: Annotated[AsyncSession, Depends(session)]) -> None:
    db.add(Reservation(order_id=event.order_id, items=[item.model_dump() for item in event.items]))
    await db.flush()  # ahead of the stock, which other orders wait for
    for item in sorted(event.items, key=lambda item: item.sku):
        enough = (col(Stock.sku) == item.sku, col(Stock.on_hand) - col(Stock.reserved) >= item.quantity)
        done = await db.exec(update(Stock).where(*enough).values(reserved=col(Stock.reserved) + item.quantity))
        if not done.rowcount:
            raise ValueError(f"too few of {item.sku}")
    await db.commit()
    reserved = events.InventoryReserved(
        order_id=event.order_id, items=event.items, shipping_address=event.shipping_address
    )
    await broker.publish(reserved, exchange=events.EXCHANGE, routing_key="inventory.reserved", persist=True)
