"""A service in memory: real tables, FastStream's test broker."""

from collections.abc import Awaitable, Callable

from faststream.rabbit import TestRabbitBroker

from contracts import OrderCreated
from messaging.service import Service
from messaging.testing import envelope
from payment.app import build
from payment.models import Payment
from payment.settings import Settings


async def test_a_good_card_is_authorized(run_in_memory: Callable[..., Awaitable[Service]]) -> None:
    """An accepted order with a good card ends with its money held and the event said."""
    service = await run_in_memory(build, Settings)
    order = OrderCreated.example()
    async with TestRabbitBroker(service.broker) as br:
        await br.publish(order, **envelope(order))
    async with service.database.session() as db:
        payment = await db.get_one(Payment, order.order_id)
    assert payment.state == "authorized"
    assert list(payment.said) == ["payment.authorized"]
