"""`order.created.v2` beside `v1`, and a payment that hears both."""

from __future__ import annotations

import functools
from typing import Annotated, ClassVar, Self

from pydantic import Field

from contracts import (
    Address,
    Money,
    OrderCreated,
    OrderEvent,
    OrderLine,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentVoided,
)
from messaging.service import Service
from messaging.settings import ServiceSettings
from payment import app, handlers
from payment.gateway import Charge
from payment.models import Payment


class OrderCreatedV2(OrderEvent):
    """A customer's order was accepted; the delivery has a price of its own, so the total is no field any more."""

    name: ClassVar[str] = "order.created.v2"
    schema_version: ClassVar[int] = 2

    version: int = Field(default=2, ge=2)
    customer_id: str
    items: Annotated[tuple[OrderLine, ...], Field(min_length=1)]
    goods: Money
    delivery: Money
    payment_token: str
    shipping_address: Address

    @classmethod
    def example(cls) -> Self:
        """The order of version 1, delivered for 4.90."""
        order = OrderCreated.example()
        delivery = Money(amount=490, currency=order.total.currency)
        return cls.of(order, goods=order.total, delivery=delivery, occurred_at=order.occurred_at)


def as_v1(event: OrderCreatedV2) -> OrderCreated:
    """The same order as version 1 says it."""
    total = Money(amount=event.goods.amount + event.delivery.amount, currency=event.goods.currency)
    return OrderCreated.of(event, total=total, occurred_at=event.occurred_at)


async def authorize_payment_v2(
    event: OrderCreatedV2, charge: Charge, payment: Payment
) -> list[PaymentAuthorized | PaymentDeclined | PaymentVoided | PaymentCaptured | PaymentCaptureFailed]:
    """Hold the money of an order, whichever version says it."""
    return await handlers.authorize_payment(as_v1(event), charge, payment)


@functools.wraps(app.build)
def upgraded(settings: ServiceSettings) -> Service:
    """Payment's next release."""
    service = app.build(settings)  # pyright: ignore[reportArgumentType]
    ask = service.routes["payment.order.created"].prepare
    assert ask

    async def prepare(event: OrderCreatedV2) -> Charge:
        return await ask(as_v1(event))

    service.handle(authorize_payment_v2, prepare=prepare)
    return service
