"""The order API on a database of its own, with its products, and a client that speaks to it in memory."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
import pytest_asyncio
from fastapi import FastAPI
from faststream.rabbit import TestRabbitBroker

from messaging.service import Service
from order_api.app import build, create_api
from order_api.seed import listings, seed
from order_api.settings import Settings
from rest import keys
from rest.callers import Scope

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


@asynccontextmanager
async def speaking_as(
    service: Service, *scopes: Scope, client: str = "storefront"
) -> AsyncGenerator[httpx2.AsyncClient]:
    """Make a client of the REST application, with a key; an exception in a route is a 500, as on a real server."""
    async with speaking_to(
        create_api(service, Settings()), await keys.create(service.database, client, scopes)
    ) as made:
        yield made


@asynccontextmanager
async def speaking_to(api: FastAPI, key: str | None) -> AsyncGenerator[httpx2.AsyncClient]:
    """Make a client of a REST application, with that key."""
    transport = httpx2.ASGITransport(app=api, raise_app_exceptions=False)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers) as made:
        yield made


@pytest_asyncio.fixture
async def client(service: Service) -> AsyncGenerator[httpx2.AsyncClient]:
    """Make a storefront's client, which may read and write."""
    async with speaking_as(service, Scope.READ, Scope.WRITE) as made:
        yield made


@pytest_asyncio.fixture
async def operator(service: Service) -> AsyncGenerator[httpx2.AsyncClient]:
    """Make an operator's client, which may do everything."""
    async with speaking_as(service, *Scope, client="operations") as made:
        yield made
