"""The order API on a database of its own, with its products, and a client that speaks to it in memory."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx2
import pytest
import pytest_asyncio
from faststream.rabbit import TestRabbitBroker

from messaging.service import Service
from order_api.app import build, create_api
from order_api.seed import listings, seed
from order_api.settings import Settings

WISH = {
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


@pytest.fixture
def wish() -> dict[str, object]:
    """Make the body of a good order."""
    return json.loads(json.dumps(WISH))


@pytest_asyncio.fixture
async def service(run_in_memory: Callable[..., Awaitable[Service]]) -> AsyncGenerator[Service]:
    """Run the service; what it publishes has no listener."""
    made = await run_in_memory(build, Settings)
    await seed(made.database, listings())
    async with TestRabbitBroker(made.broker):
        yield made


@pytest_asyncio.fixture
async def client(service: Service) -> AsyncGenerator[httpx2.AsyncClient]:
    """Make a client of the REST application; an exception in a route is a 500, as on a real server."""
    transport = httpx2.ASGITransport(app=create_api(service, Settings()), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made
