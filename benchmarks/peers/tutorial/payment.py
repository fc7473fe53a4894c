"""Authorizes payments."""

import os
from typing import Annotated

from faststream import Depends, FastStream
from faststream.rabbit import RabbitBroker
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.peers.tutorial import events
from benchmarks.peers.tutorial.tables import Payment, session

broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=events.CHANNEL, logger=None)
app = FastStream(broker)


@broker.subscriber(events.queue("payment", "order.created"), events.EXCHANGE)
async def authorize(event: events.OrderCreated, db: Annotated[AsyncSession, Depends(session)]) -> None:
    payment = Payment(
        order_id=event.order_id,
        payment_id=f"pay_{event.order_id.hex}",
        amount=event.total,
        currency=event.currency,
        status="authorized",
    )
    db.add(payment)
    await db.commit()
    authorized = events.PaymentAuthorized(
        order_id=event.order_id,
        payment_id=payment.payment_id,
        amount=payment.amount,
        currency=payment.currency,
        items=event.items,
        shipping_address=event.shipping_address,
    )
    await broker.publish(authorized, exchange=events.EXCHANGE, routing_key="payment.authorized", persist=True)
