"""Takes orders over HTTP and follows what becomes of them: FastAPI with FastStream's router."""

import os
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException
from faststream.rabbit.fastapi import RabbitRouter
from pydantic import BaseModel, Field
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from benchmarks.peers.tutorial import events
from benchmarks.peers.tutorial.tables import RANKS, Order, Product, now, session

Session = Annotated[AsyncSession, Depends(session)]

router = RabbitRouter(os.environ["AMQP_URL"], default_channel=events.CHANNEL, logger=None)


class WantedItem(BaseModel):
    sku: str
    quantity: Annotated[int, Field(ge=1)]


class PlaceOrder(BaseModel):
    customer_id: str
    currency: str
    items: Annotated[list[WantedItem], Field(min_length=1)]
    payment_token: str
    shipping_address: events.Address


class OrderView(BaseModel):
    order_id: UUID
    status: str
    total: int
    currency: str


@router.post("/orders", status_code=201)
async def place_order(wish: PlaceOrder, db: Session) -> OrderView:
    found = await db.exec(select(Product).where(col(Product.sku).in_([item.sku for item in wish.items])))
    prices = {product.sku: product.price for product in found}
    if any(item.sku not in prices for item in wish.items):
        raise HTTPException(422, "there is no such product")
    items = [events.Item(sku=item.sku, quantity=item.quantity, unit_price=prices[item.sku]) for item in wish.items]
    order = Order(
        order_id=uuid7(),
        customer_id=wish.customer_id,
        currency=wish.currency,
        total=sum(item.quantity * item.unit_price for item in items),
        items=[item.model_dump() for item in items],
    )
    db.add(order)
    await db.commit()
    event = events.OrderCreated(
        order_id=order.order_id,
        customer_id=order.customer_id,
        items=items,
        total=order.total,
        currency=order.currency,
        payment_token=wish.payment_token,
        shipping_address=wish.shipping_address,
    )
    await router.broker.publish(event, exchange=events.EXCHANGE, routing_key="order.created", persist=True)
    return OrderView(order_id=order.order_id, status=order.status, total=order.total, currency=order.currency)


@router.get("/health")
async def health() -> dict[str, bool]:
    return {"ok": await router.broker.ping(timeout=5)}


@router.subscriber(events.queue("api", "payment.authorized"), events.EXCHANGE)
async def payment_authorized(event: events.PaymentAuthorized, db: Session) -> None:
    await _advance(db, event.order_id, "authorized")


@router.subscriber(events.queue("api", "inventory.reserved"), events.EXCHANGE)
async def inventory_reserved(event: events.InventoryReserved, db: Session) -> None:
    await _advance(db, event.order_id, "reserved")


@router.subscriber(events.queue("api", "shipping.ready"), events.EXCHANGE)
async def shipping_ready(event: events.ShippingReady, db: Session) -> None:
    await _advance(db, event.order_id, "ready")


async def _advance(db: AsyncSession, order_id: UUID, status: str) -> None:
    order = await db.get_one(Order, order_id, with_for_update=True)
    if RANKS.index(status) > RANKS.index(order.status):
        order.status, order.updated_at = status, now()
        await db.commit()


app = FastAPI()
app.include_router(router)
