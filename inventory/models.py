"""Inventory's tables."""

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from contracts import OrderLine
from inventory.domain import State
from messaging.order_row import OrderRow
from messaging.rows import PlainRow
from messaging.tables import attach

_STATES = ", ".join(f"'{state}'" for state in State)


class Model(SQLModel, registry=registry()):
    """Base of inventory's tables: their MetaData is this service's own."""


class Reservation(OrderRow, Model, table=True):
    """What one order has set aside, or the tombstone of one that must never reserve anything."""

    __tablename__: ClassVar[Any] = "reservations"
    __table_args__ = (CheckConstraint(f"state IN ({_STATES})", name="state_known"),)

    items: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSONB, sa_column_kwargs={"server_default": "[]"})
    """The order's lines, once they are reserved."""

    def hold(self, lines: Iterable[OrderLine]) -> None:
        """Remember what is reserved."""
        self.items = [line.model_dump(mode="json") for line in lines]

    @property
    def lines(self) -> tuple[OrderLine, ...]:
        """What was reserved; empty if nothing ever was."""
        return tuple(OrderLine.model_validate(item) for item in self.items)


class Stock(PlainRow, Model, table=True):
    """The pieces of one sku, and where they came from and went.

    The database refuses a reservation beyond what is there, and any movement that the three counters do not explain.
    """

    __tablename__: ClassVar[Any] = "stock"
    __table_args__ = (
        CheckConstraint("on_hand - reserved >= 0", name="available_not_negative"),
        CheckConstraint("reserved >= 0", name="reserved_not_negative"),
        CheckConstraint("on_hand = initial + received - shipped", name="movements_explain_on_hand"),
    )

    sku: str = Field(primary_key=True, sa_type=Text)
    on_hand: int = Field(default=0, sa_type=BigInteger)
    """Pieces in the warehouse, reserved ones included."""
    reserved: int = Field(default=0, sa_type=BigInteger)
    initial: int = Field(default=0, sa_type=BigInteger)
    """Pieces at the first stocktaking; never changed after it."""
    received: int = Field(default=0, sa_type=BigInteger)
    shipped: int = Field(default=0, sa_type=BigInteger)

    @property
    def available(self) -> int:
        """Pieces that can still be reserved."""
        return self.on_hand - self.reserved

    def reserve(self, quantity: int) -> None:
        """Set pieces aside."""
        self.reserved += quantity

    def release(self, quantity: int) -> None:
        """Put reserved pieces back."""
        self.reserved -= quantity

    def ship(self, quantity: int) -> None:
        """Hand reserved pieces to the carrier."""
        self.reserved -= quantity
        self.on_hand -= quantity
        self.shipped += quantity

    def receive(self, quantity: int) -> None:
        """Put pieces that arrived on the shelf."""
        self.on_hand += quantity
        self.received += quantity


class StockReceipt(Model, table=True):
    """Goods that arrived, under the id of the event that said so. Never pruned: a late replay must not count twice."""

    __tablename__: ClassVar[Any] = "stock_receipts"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity_positive"),)

    event_id: UUID = Field(primary_key=True)
    sku: str = Field(sa_type=Text)
    quantity: int = Field(sa_type=BigInteger)
    said: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB, sa_column_kwargs={"server_default": "{}"})
    """The body of the answer; empty until the receipt is booked."""


attach(Model.metadata)
