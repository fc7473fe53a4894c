"""Orders in the order API's database, what is told about them, and what it said of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from faststream.rabbit import TestRabbitBroker
from sqlmodel import col, select

from contracts import EVENTS, OrderCreated, OrderEvent
from messaging.service import Service
from messaging.tables import OUTBOX
from messaging.testing import envelope
from order_api.facts import Facts
from order_api.models import WITH_FACTS, Order
from rest.callers import Caller, Scope

Run = Callable[..., Awaitable[Service]]
STOREFRONT = Caller("storefront", "0123456789ab", frozenset(Scope))
NEVER = 3600.0
"""Seconds; longer than any test."""


class Said(NamedTuple):
    """A row of the outbox."""

    name: str
    redrive: int
    event_id: UUID
    body: str
    headers: dict[str, Any]


def fact(name: str, order_id: UUID) -> OrderEvent:
    """Make an event that another service says, by name, about this order."""
    example = EVENTS[name].example()
    assert isinstance(example, OrderEvent)
    return type(example).about(order_id, **example.carried(type(example).model_fields.keys() - OrderEvent.model_fields))


async def deliver(service: Service, order_id: UUID, *names: str) -> None:
    """Let the service hear these events."""
    async with TestRabbitBroker(service.broker) as broker:
        for name in names:
            event = fact(name, order_id)
            await broker.publish(event, **envelope(event))


async def store(service: Service, count: int = 1, *, age: timedelta = timedelta(seconds=1)) -> list[UUID]:
    """Store orders that were accepted that long ago and are overdue since."""
    moment = datetime.now(UTC) - age
    created = [OrderCreated.example().model_copy(update={"order_id": uuid4()}) for _ in range(count)]
    events = [
        event.model_copy(update={"event_id": event.id_for(event.order_id), "occurred_at": moment}) for event in created
    ]
    async with service.database.session() as db, db.begin():
        for event in events:
            Facts.of(db).place(event, STOREFRONT, moment)
    return sorted(event.order_id for event in events)


async def load(service: Service, order_id: UUID) -> Order:
    """Read an order."""
    async with service.database.session() as db:
        return (await db.exec(select(Order).options(WITH_FACTS).where(col(Order.order_id) == order_id))).one()


async def said_of(service: Service, order_id: UUID) -> list[Said]:
    """Read what the service said of an order, in that order."""
    columns = (OUTBOX.c.name, OUTBOX.c.redrive, OUTBOX.c.event_id, OUTBOX.c.body, OUTBOX.c.headers)
    async with service.database.session() as db:
        connection = await db.connection()
        rows = await connection.execute(
            OUTBOX.select().with_only_columns(*columns).where(OUTBOX.c.order_id == order_id).order_by(OUTBOX.c.id)
        )
        return [Said(*row) for row in rows]
