"""The order API's tables."""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Identity, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry, selectinload
from sqlmodel import Field, Relationship, SQLModel

from contracts import CancelReason, Money, OrderCancelRequested, OrderCreated, OrderEvent
from messaging.order_row import OrderRow
from messaging.outcome import Again
from messaging.tables import PERSONAL_TEXT, attach
from order_api import domain
from order_api.domain import GIVES_REASON, Patience, Status, contradictory, status_of
from rest.callers import Caller
from rest.keys import attach as attach_keys

DEADLINES = "deadlines"
"""The actor where patience is over."""

Moment = DateTime(timezone=True)
_STATUSES = ", ".join(f"'{status}'" for status in Status)


class Model(SQLModel, registry=registry()):
    """Base of the order API's tables: their MetaData is this service's own."""


class Happened(Protocol):
    """What happened to the orders of a transaction; facts.Facts is one."""

    def known(self, order_id: UUID) -> AbstractSet[str]:
        """Return the names of what happened to an order."""
        ...

    def add(self, event: OrderEvent, actor: str, before: str | None, after: str) -> datetime:
        """Add what happened to an order; return the time."""
        ...


class Fact(Model, table=True):
    """Something that happened to an order: who said it, and what the order's status was before and after.

    Written once, by order_api.facts; a trigger refuses every change, so that this is the order's audit, too. It holds
    no personal data.
    """

    __tablename__: ClassVar[Any] = "facts"

    order_id: UUID = Field(primary_key=True, foreign_key="orders.order_id")
    name: str = Field(primary_key=True, sa_type=Text)
    """The event's name; a service says each event at most once an order."""
    event_id: UUID
    occurred_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType] - an instance serves, too
    recorded_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    detail: dict[str, Any] = Field(sa_type=JSONB)
    actor: str = Field(sa_type=Text)
    """The service that said it; for what was asked for here, the client and its key, or `deadlines`."""
    status_before: str | None = Field(default=None, sa_type=Text)
    """None for the creation."""
    status_after: str = Field(sa_type=Text)
    position: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), nullable=False))
    """Rises in the order in which an order's facts were recorded, since that happens under its row's lock."""


def position(fact: Fact) -> int:
    """Where a stored fact stands; every stored one has a position."""
    assert fact.position is not None  # noqa: S101 - the column has no NULL
    return fact.position


class Order(OrderRow, Model, table=True):
    """An accepted order. Its state is the status that its facts give; what it said is kept for a re-drive."""

    __tablename__: ClassVar[Any] = "orders"
    __table_args__ = (
        CheckConstraint(f"state IN ({_STATUSES})", name="state_known"),
        Index("orders_watched", "next_deadline", postgresql_where=text("next_deadline IS NOT NULL")),
        Index("orders_newest", "created_at", "order_id"),
        Index("orders_of_client", "client_id", "created_at", "order_id"),
        Index("orders_of_customer", "client_id", "customer_id", "created_at", "order_id"),
    )

    not_needed = frozenset({"said", "items"})

    client_id: str = Field(sa_type=Text)
    """Whose API key it was placed with; no other client sees it."""
    customer_id: str = Field(sa_type=Text, sa_column_kwargs=PERSONAL_TEXT)
    """That client's own reference."""
    currency: str = Field(sa_type=Text)
    total: int = Field(sa_type=BigInteger)
    """In minor units of the currency."""
    items: list[dict[str, Any]] = Field(sa_type=JSONB)
    reason: str | None = Field(default=None, sa_type=Text)
    """Why it was rejected or cancelled."""
    created_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    updated_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    redrives: int = 0
    """How often its first event was published again."""
    next_deadline: datetime | None = Field(default=None, sa_type=Moment)  # pyright: ignore[reportArgumentType]
    """When it counts as overdue, by the database's clock; None once it is settled."""
    trace: str | None = Field(default=None, sa_type=Text)
    """The `traceparent` of the request that placed it, if requests are traced: a re-drive goes on with that trace."""

    facts: list[Fact] = Relationship(sa_relationship_kwargs={"lazy": "raise", "viewonly": True})
    """To look at; read by statements with WITH_FACTS alone. What happens is added to a transaction's Facts."""

    @staticmethod
    def columns(
        event: OrderCreated, placed_by: Caller, next_deadline: datetime | None = None, trace: str | None = None
    ) -> dict[str, Any]:
        """Return the row of a new order, which has said that it was created."""
        said = event.model_dump(mode="json")
        return {
            "order_id": event.order_id,
            "client_id": placed_by.client_id,
            "state": Status.PENDING,
            "said": {event.name: said},
            "anomalies": [],
            "customer_id": event.customer_id,
            "currency": event.total.currency,
            "total": event.total.amount,
            "items": said["items"],
            "created_at": event.occurred_at,
            "updated_at": event.occurred_at,
            "redrives": 0,
            "next_deadline": next_deadline,
            "trace": trace,
        }

    @property
    def status(self) -> Status:
        """The status that the facts gave when the last one was recorded."""
        return Status(self.state)

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do for it."""
        return domain.settled({fact.name for fact in self.facts})

    @property
    def cancel_requested(self) -> OrderCancelRequested | None:
        """The request for its cancellation, if there was one; shipping decides what becomes of it."""
        body = self.said.get(OrderCancelRequested.name)
        return None if body is None else OrderCancelRequested.model_validate(body, strict=False)

    def request_cancel(self, reason: CancelReason, actor: str, facts: Happened) -> OrderCancelRequested | None:
        """Remember that it is to be cancelled. Return what is to be said, None if it was said or comes too late."""
        if self.status.final or self.cancel_requested is not None:
            return None
        event = OrderCancelRequested.about(self.order_id, reason=reason)
        self.said = {**self.said, event.name: event.model_dump(mode="json")}
        facts.add(event, actor, self.state, self.state)
        self.updated_at = event.occurred_at
        return event

    def redrive(self, now: datetime, patience: Patience, facts: Happened) -> list[Again]:
        """Say again, under the next number, what sets every service going; ask for cancellation if patience is over.

        `now` is the database's time. The next deadline is set; an order that is settled, and was put on the list by
        hand, is said again once. A shipped order's cancellation was refused and is not asked for again: a shipping
        that has forgotten its parcel, restored from a backup, would grant it.
        """
        exhausted = patience.exhausted(now, self.created_at, self.redrives)
        if exhausted is not None:
            self.request_cancel(exhausted, DEADLINES, facts)
        self.redrives += 1
        self.next_deadline = None if self.settled else patience.deadline(now, self.created_at, self.redrives)
        created = OrderCreated.model_validate(self.said[OrderCreated.name], strict=False)
        said = (created, None if self.status is Status.READY else self.cancel_requested)
        context = {} if self.trace is None else {"traceparent": self.trace}
        return [Again(event, self.redrives, context) for event in said if event is not None]

    def record(self, event: OrderEvent, facts: Happened) -> None:
        """Add the fact and derive the status; a fact that is known already changes nothing.

        An order that is settled by it is watched no longer.

        A fact that contradicts the others is stored, too, and noted as an anomaly: the status stays a function of
        the set.
        """
        before, known = self.state, facts.known(self.order_id)
        if event.name in known:
            return
        status = status_of({*known, event.name})
        self.updated_at = facts.add(event, event.name.partition(".")[0], before, status)
        if contradictory(known):
            note = {"event": event.name, "event_id": str(event.event_id), "state": before, "evidence": None}
            self.anomalies = [*self.anomalies, note]
        if status != before:
            self.state = status
            giver = GIVES_REASON.get(status)
            self.reason = None if giver is None else self.reason
            if giver == event.name:
                self.reason = str(event.carried({"reason"})["reason"])
        if domain.settled(known):
            self.next_deadline = None


WITH_FACTS = selectinload(Order.facts)  # pyright: ignore[reportArgumentType] - SQLModel hides the class's attribute
"""Option of a statement whose orders are shown with what happened to them."""


class Erasure(Model, table=True):
    """An order whose personal data was erased: who did it, and when. Says nothing of whose it was.

    No key to the order's row: after a restore the list is copied whole, and erased again.
    """

    __tablename__: ClassVar[Any] = "erasures"

    order_id: UUID = Field(primary_key=True)
    erased_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    """For the first time."""
    erased_by: str = Field(sa_type=Text)


class Kept(Model, table=True):
    """The answer to a request that had an idempotency key, for its repetitions."""

    __tablename__: ClassVar[Any] = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_old", "created_at"),)

    client_id: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    fingerprint: bytes = Field(sa_type=LargeBinary)
    """SHA-256 of what was asked."""
    answer: dict[str, Any] = Field(sa_type=JSONB)
    created_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]


class Product(Model, table=True):
    """What the shop sells, and for how much."""

    __tablename__: ClassVar[Any] = "products"
    __table_args__ = (CheckConstraint("price >= 0", name="price_not_negative"),)

    sku: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    price: int = Field(sa_type=BigInteger)
    """Of one piece, in minor units of the currency."""
    currency: str = Field(sa_type=Text)
    available: int | None = Field(default=None, sa_type=BigInteger)
    """Pieces for sale when inventory last booked a receipt; None before the first. Never decides about an order."""
    available_at: datetime | None = Field(default=None, sa_type=Moment)  # pyright: ignore[reportArgumentType]

    @property
    def money(self) -> Money:
        """The price of one piece."""
        return Money(amount=self.price, currency=self.currency)


attach(Model.metadata)
attach_keys(Model.metadata)
