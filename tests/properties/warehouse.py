"""Several instances of inventory on one database, what they are told, and what its books say."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from uuid import uuid4

from faststream.rabbit import TestRabbitBroker
from sqlalchemy import text
from sqlmodel import select

from contracts import Event, OrderEvent, OrderLine, PaymentAuthorized, StockReceived
from devstack.servers import PostgresServer
from inventory.app import build
from inventory.domain import State, pieces
from inventory.models import Reservation, Stock, StockReceipt
from inventory.seed import seed
from inventory.settings import Settings
from messaging.database import Database
from messaging.service import Service
from messaging.testing import InMemoryCourier, envelope

GROUP = 7
"""Messages in a transaction: small, so that many transactions want the same rows at once."""


def paid(*lines: tuple[str, int]) -> PaymentAuthorized:
    """Make the event of another order, paid, for these pieces."""
    order_id = uuid4()
    items = tuple(OrderLine(sku=sku, quantity=quantity, unit_price=100) for sku, quantity in lines)
    changes = {"order_id": order_id, "event_id": PaymentAuthorized.id_for(order_id), "items": items}
    return PaymentAuthorized.example().model_copy(update=changes)


def about(order: OrderEvent, kind: type[OrderEvent]) -> OrderEvent:
    """Make what another service says about that order."""
    return kind.example().model_copy(update={"order_id": order.order_id, "event_id": kind.id_for(order.order_id)})


def received(sku: str, quantity: int) -> StockReceived:
    """Make the event of goods that arrived."""
    return StockReceived.example().model_copy(update={"event_id": uuid4(), "sku": sku, "quantity": quantity})


@dataclass(frozen=True)
class Warehouse:
    """Instances that share the work, as replicas of a deployment do."""

    services: Sequence[Service]

    async def stocked(self, on_hand: Mapping[str, int]) -> None:
        """Take stock of skus for the first time."""
        await seed(self.services[0].database, on_hand)

    async def hear(self, events: Iterable[Event]) -> None:
        """Tell every event to one of the instances, all at once; return when each has had its effect."""
        instances = cycle(self.services)
        await asyncio.gather(*(next(instances).broker.publish(event, **envelope(event)) for event in events))

    async def stock(self, skus: Iterable[str]) -> dict[str, Stock]:
        """Read the rows of these skus."""
        async with self.services[0].database.session() as db:
            return {sku: await db.get_one(Stock, sku) for sku in skus}

    async def ended(self, orders: Iterable[OrderEvent]) -> Counter[str]:
        """Count the states of these orders' reservations."""
        async with self.services[0].database.session() as db:
            return Counter([(await db.get_one(Reservation, order.order_id)).state for order in orders])

    async def faults(self) -> list[str]:
        """What does not add up: each sku's counters against orders and receipts; events that cannot happen."""
        async with self.services[0].database.session() as db:
            rows = (await db.exec(select(Stock))).all()
            orders = (await db.exec(select(Reservation))).all()
            receipts = (await db.exec(select(StockReceipt))).all()
        held, gone, come = Counter[str](), Counter[str](), Counter[str]()
        for order in orders:
            {State.RESERVED: held, State.SHIPPED: gone}.get(State(order.state), Counter[str]()).update(
                pieces(order.lines)
            )
        for receipt in receipts:
            come[receipt.sku] += receipt.quantity
        found = [f"order {order.order_id}: {order.anomalies}" for order in orders if order.anomalies]
        for row in rows:
            counted = (row.reserved, row.shipped, row.received, row.on_hand)
            wanted = (held[row.sku], gone[row.sku], come[row.sku], row.initial + come[row.sku] - gone[row.sku])
            if counted != wanted or row.available < 0:
                found.append(f"{row.sku}: reserved, shipped, received, on hand are {counted}, explained are {wanted}")
        return found


@asynccontextmanager
async def warehouse(
    url: str, instances: int = 3, build: Callable[[Settings], Service] = build
) -> AsyncGenerator[Warehouse]:
    """Run inventory's instances on a database; only the broker is in memory."""
    async with AsyncExitStack() as stack:
        settings = Settings.model_validate({"database_url": url, "group_size": GROUP})
        services = [build(settings) for _ in range(instances)]
        for service in services:
            await stack.enter_async_context(service.running(InMemoryCourier(service)))
            await stack.enter_async_context(TestRabbitBroker(service.broker))
        yield Warehouse(services)


async def deadlocks(server: PostgresServer, url: str) -> int:
    """How many deadlocks the server broke in a database. Waits for its sessions to end: then they have counted."""
    name = url.rpartition("/")[2]
    admin = Database(server.url(), name="admin")
    try:
        async with asyncio.timeout(30), admin.engine.connect() as connection:
            still = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
            while (await connection.execute(still, {"name": name})).scalar_one():
                await connection.rollback()
            counted = text("SELECT deadlocks FROM pg_stat_database WHERE datname = :name")
            return int((await connection.execute(counted, {"name": name})).scalar_one())
    finally:
        await admin.close()
