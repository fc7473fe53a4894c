"""A small service whose handler does as the test says, on the real kernel."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Integer
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from contracts import Event, OrderCreated, PaymentAuthorized
from messaging.order_row import OrderRow
from messaging.outcome import Retry
from messaging.retry import RetryPolicy
from messaging.service import Service
from messaging.settings import ServiceSettings
from messaging.tables import attach


class Model(SQLModel, registry=registry()):
    """Base of the probe's tables."""


class Tally(OrderRow, Model, table=True):
    """How often an order was counted."""

    __tablename__: ClassVar[Any] = "tallies"

    count: int = Field(default=0, sa_type=Integer, sa_column_kwargs={"server_default": "0"})


attach(Model.metadata)


class Passing(Retry):
    """A failure that passes."""


@dataclass
class Probe:
    """What the handler was given, and what it shall do."""

    handled: list[UUID] = field(default_factory=list)
    failures: dict[UUID, list[Exception]] = field(default_factory=dict)
    """Per order: what to raise, one after another; the last one is raised for ever if `forever` holds the order."""
    forever: set[UUID] = field(default_factory=set)
    before: Callable[[OrderCreated], Awaitable[None]] | None = None

    async def prepare(self, event: OrderCreated) -> str:
        """The remote call."""
        if self.before is not None:
            await self.before(event)
        return "prepared"

    async def count(self, event: OrderCreated, prepared: str, tally: Tally) -> PaymentAuthorized | None:
        """Count the order and say so."""
        self.handled.append(event.order_id)
        failures = self.failures.get(event.order_id, [])
        tally.count += 1
        if failures:
            raise failures[0] if event.order_id in self.forever else failures.pop(0)
        return PaymentAuthorized.of(event, payment_id=prepared, amount=event.total)

    def build(self, settings: ServiceSettings, policy: RetryPolicy | None = None) -> Service:
        """The service around the handler."""
        service = Service("probe", settings, row=Tally)
        service.handle(self.count, prepare=self.prepare, retry=policy)
        return service


def order(number: int) -> OrderCreated:
    """The example order under another id."""
    order_id = UUID(int=number, version=4)
    example = OrderCreated.example()
    return example.model_copy(update={"order_id": order_id, "event_id": OrderCreated.id_for(order_id)})


def orders(count: int, start: int = 1) -> Sequence[OrderCreated]:
    """That many different orders."""
    return [order(number) for number in range(start, start + count)]


def body(event: Event) -> bytes:
    """The event as it travels."""
    return event.model_dump_json().encode()


def options(event: Event) -> dict[str, Any]:
    """Its AMQP properties, for aio-pika's Message."""
    return {
        "message_id": str(event.event_id),
        "type": event.message_type(),
        "content_type": "application/json",
        "delivery_mode": 2,
    }
