"""Shipping's tables."""

from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, Column, Enum, Index, Text, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from contracts import CancelReason
from messaging.ledger import Entry
from messaging.order_row import OrderRow
from messaging.tables import attach
from shipping.domain import State


class Model(SQLModel, registry=registry()):
    """Base of shipping's tables: their MetaData is this service's own."""


def _known(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _stored(values: type[StrEnum], *, nullable: bool = False) -> Column[Any]:
    """Make a text column that is read back as the enum's member."""
    return Column(Enum(values, native_enum=False, length=32, values_callable=list), nullable=nullable)


class Shipment(OrderRow, Model, table=True):
    """The parcel of one order, or the tombstone of one that must never be shipped."""

    __tablename__: ClassVar[Any] = "shipments"
    __table_args__ = (
        _known("state", State),
        CheckConstraint("(state = 'cancelled') = (cancel_reason IS NOT NULL)", name="cancelled_for_a_reason"),
        CheckConstraint("NOT undo OR state = 'cancelled'", name="undo_is_for_cancelled"),
        Index("shipments_to_undo", "order_id", postgresql_where=text("undo")),
    )

    carrier: str | None = Field(default=None, sa_type=Text)
    tracking_number: str | None = Field(default=None, sa_type=Text)
    undo: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """The carrier booked a parcel that was cancelled: local work, done by `shipping.undo`."""
    cancel_reason: CancelReason | None = Field(default=None, sa_column=_stored(CancelReason, nullable=True))
    """Why it was cancelled, while it is."""


class BookingStatus(StrEnum):
    """What the simulated carrier knows of a key."""

    UNKNOWN = "unknown"
    """It was asked, and answered nothing but errors."""
    BOOKED = "booked"
    UNDELIVERABLE = "undeliverable"
    CANCELLED = "cancelled"
    """Cancelled, or fenced: nothing is ever booked under this key."""


class CarrierBooking(Entry, Model, table=True):
    """The simulated carrier's own record of a key; a real carrier keeps it on its side."""

    __tablename__: ClassVar[Any] = "carrier_bookings"
    __table_args__ = (_known("status", BookingStatus),)

    status: BookingStatus = Field(default=BookingStatus.UNKNOWN, sa_column=_stored(BookingStatus))
    cancel_reason: CancelReason | None = Field(default=None, sa_column=_stored(CancelReason, nullable=True))
    attempts: int = Field(default=0)
    """Bookings that were asked for until one was answered, for addresses that fail."""


attach(Model.metadata)
