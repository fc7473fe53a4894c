"""What the real services store is read as the auditor's rules mean it."""

from collections.abc import Awaitable, Callable

import pytest
from faststream.rabbit import TestRabbitBroker

import inventory.app
import inventory.seed
import inventory.settings
import order_api.app
import order_api.seed
import order_api.settings
import payment.app
import payment.settings
import shipping.app
import shipping.settings
from contracts import CancelReason
from messaging.asyncapi.reading import read_topology
from messaging.service import Service
from operations.audit.balance import Audit
from operations.audit.kinds import Kind
from operations.audit.settings import AuditSettings
from operations.audit.sources import Sources
from order_api.app import open_shop
from order_api.schemas import PlaceOrder
from rest.callers import Caller, Scope
from tests.unit.operations.audit.conftest import none_parked

pytestmark = pytest.mark.database

ADDRESS = {"name": "Ada", "line1": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"}
WISHES: tuple[dict[str, object], ...] = (
    {},
    {"payment_token": "tok_declined"},
    {"items": [{"sku": "SOLD-01", "quantity": 1}]},
    {"shipping_address": {**ADDRESS, "postal_code": "00000"}},
    {"payment_token": "tok_capture_refused"},
)
"""Shipped, declined, out of stock, undeliverable, capture refused."""
STOREFRONT = Caller("storefront", "0123456789ab", frozenset(Scope))


async def test_real_orders_add_up(run_in_memory: Callable[..., Awaitable[Service]]) -> None:
    """Orders of every end, goods that arrive and a late cancellation: the audit agrees to the last piece and cent.

    The one whose capture was refused is overdue once the grace is over, and nothing else is wrong even without one.
    """
    settings = order_api.settings.Settings()
    services = [
        await run_in_memory(order_api.app.build, order_api.settings.Settings),
        await run_in_memory(payment.app.build, payment.settings.Settings, gateway_latency=0),
        await run_in_memory(inventory.app.build, inventory.settings.Settings),
        await run_in_memory(shipping.app.build, shipping.settings.Settings, carrier_latency=0),
    ]
    await order_api.seed.seed(services[0].database, order_api.seed.listings())
    await inventory.seed.seed(services[2].database, inventory.seed.read())
    shop = open_shop(services[0], settings)
    audit = Audit(
        Sources({service.name: service.database for service in services}),
        AuditSettings(lag=0, grace=1e-6),
        read_topology(),
        none_parked,
    )
    async with TestRabbitBroker(*(service.broker for service in services)):
        for change in WISHES:
            wish = {
                "customer_id": "c-42",
                "currency": "EUR",
                "items": [{"sku": "MUG-01", "quantity": 2}],
                "payment_token": "tok_ok",
                "shipping_address": ADDRESS,
                **change,
            }
            placed = (await shop.place(PlaceOrder.model_validate(wish), STOREFRONT)).body
            await services[0].sent()
            await shop.cancel(placed.order_id, STOREFRONT, reason=CancelReason.CUSTOMER)
        await shop.receive("MUG-01", 7, STOREFRONT)
        await services[0].sent()
    balance = await audit.look()
    while balance.suspected or any(each.kind == Kind.MESSAGE_UNSENT for each in balance.violations):
        balance = await audit.look()  # what was sent is marked a moment later
    assert [each.kind for each in balance.violations] == [Kind.PAYMENT_OVERDUE]
    assert balance.orders == {"cancelled": 2, "ready": 2, "rejected": 1}
    money = balance.money["EUR"]
    assert (money.authorized - money.captured - money.voided, money.open) == (2580, 2580)
    (mugs,) = [stock for stock in balance.stock if stock.sku == "MUG-01"]
    assert (mugs.received, mugs.shipped, mugs.reserved) == (7, 4, 0)
    assert {tally.in_flight + tally.missing for tally in balance.messages.values()} == {0}
