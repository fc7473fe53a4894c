"""The four services chained in memory, from REST to shipped: real tables, no broker."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
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
from messaging.service import Service
from rest import keys
from rest.callers import Scope

ORDER: dict[str, Any] = {
    "customer_id": "c-42",
    "currency": "EUR",
    "items": [{"sku": "MUG-01", "quantity": 2}],
    "payment_token": "tok_ok",
    "shipping_address": {
        "name": "Ada",
        "line1": "1 Main St",
        "city": "Berlin",
        "postal_code": "10115",
        "country": "DE",
    },
}
"""The order of the README."""

HAPPY = ["order.created", "payment.authorized", "inventory.reserved", "shipping.ready"]


def order(**changes: Any) -> dict[str, Any]:
    """The README's order with changes."""
    return {**ORDER, **changes}


@pytest.mark.parametrize(
    ("wish", "status", "facts"),
    [
        (order(), "ready", [*HAPPY, "inventory.shipped", "payment.captured"]),
        (order(payment_token="tok_declined"), "rejected", ["order.created", "payment.declined"]),
        (
            order(items=[{"sku": "SOLD-01", "quantity": 1}]),
            "cancelled",
            ["order.created", "payment.authorized", "inventory.rejected", "payment.voided"],
        ),
        (
            order(shipping_address={**ORDER["shipping_address"], "postal_code": "00000"}),
            "cancelled",
            [*HAPPY[:3], "shipping.failed", "inventory.released", "payment.voided"],
        ),
        (order(payment_token="tok_capture_refused"), "ready", [*HAPPY, "inventory.shipped", "payment.capture_failed"]),
    ],
    ids=["good card", "declined", "out of stock", "undeliverable", "capture refused"],
)
async def test_an_order_reaches_its_end(
    run_in_memory: Callable[..., Awaitable[Service]], wish: dict[str, Any], status: str, facts: list[str]
) -> None:
    """Placed over REST, an order goes through payment, inventory and shipping and comes back with its timeline."""
    settings = order_api.settings.Settings
    shop = await run_in_memory(order_api.app.build, settings)
    services = [
        shop,
        await run_in_memory(payment.app.build, payment.settings.Settings, gateway_latency=0),
        await run_in_memory(inventory.app.build, inventory.settings.Settings),
        await run_in_memory(shipping.app.build, shipping.settings.Settings, carrier_latency=0),
    ]
    await order_api.seed.seed(shop.database, order_api.seed.listings())
    await inventory.seed.seed(services[2].database, inventory.seed.read())
    api = order_api.app.create_api(shop, settings())
    key = {"Authorization": f"Bearer {await keys.create(shop.database, 'storefront', set(Scope))}"}
    async with (
        TestRabbitBroker(*(service.broker for service in services)),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(api), base_url="http://test", headers=key) as http,
    ):
        placed = await http.post("/orders", json=wish)
        assert placed.status_code == 201, placed.text
        await shop.sent()
        timeline = (await http.get(f"{placed.headers['location']}/timeline")).json()
    assert timeline["status"] == status
    assert sorted(entry["event"] for entry in timeline["entries"]) == sorted(facts)
