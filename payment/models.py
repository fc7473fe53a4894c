"""Payment's tables."""

from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, Column, Enum, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from contracts import CancelReason, DeclineReason, Money
from messaging.ledger import Entry
from messaging.order_row import OrderRow
from messaging.tables import PERSONAL_TEXT, attach
from payment.domain import State


class Model(SQLModel, registry=registry()):
    """Base of payment's tables: their MetaData is this service's own."""


def _known(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _stored(values: type[StrEnum], *, nullable: bool = False) -> Column[Any]:
    """Make a text column that is read back as the enum's member."""
    return Column(Enum(values, native_enum=False, length=32, values_callable=list), nullable=nullable)


class Payment(OrderRow, Model, table=True):
    """The payment of one order, or the tombstone of one that must never be paid."""

    __tablename__: ClassVar[Any] = "payments"
    __table_args__ = (_known("state", State), CheckConstraint("amount >= 0", name="amount_not_negative"))

    payment_id: str | None = Field(default=None, sa_type=Text)
    """The gateway's name of the payment; one that was renewed has a new name."""
    amount: int | None = Field(default=None, sa_type=BigInteger)
    """In minor units of the currency."""
    currency: str | None = Field(default=None, sa_type=Text)

    def hold(self, payment_id: str | None, total: Money) -> None:
        """Remember what is held on the card."""
        self.payment_id, self.amount, self.currency = payment_id, total.amount, total.currency

    @property
    def money(self) -> Money:
        """The amount that is held or was taken. Raises ValidationError while there is none."""
        return Money.model_validate({"amount": self.amount, "currency": self.currency})


class AccountStatus(StrEnum):
    """What the simulated gateway knows of a key."""

    UNKNOWN = "unknown"
    """It was asked, and answered nothing but errors."""
    HELD = "held"
    EXPIRED = "expired"
    """The hold lapsed; a capture renews it under the key's next generation."""
    DECLINED = "declined"
    VOIDED = "voided"
    """Let go of, or fenced: nothing is ever held under this key."""
    CAPTURED = "captured"
    UNPAID = "unpaid"
    """The capture was refused; it may be tried again."""


class GatewayAccount(Entry, Model, table=True):
    """The simulated gateway's own record of a key; a real gateway keeps it on its side."""

    __tablename__: ClassVar[Any] = "gateway_accounts"
    __table_args__ = (_known("status", AccountStatus), CheckConstraint("generation >= 1", name="generation_counts"))

    status: AccountStatus = Field(default=AccountStatus.UNKNOWN, sa_column=_stored(AccountStatus))
    generation: int = Field(default=1)
    """How many times the amount was held: each renewal of an expired hold adds one."""
    token: str | None = Field(default=None, sa_type=Text, sa_column_kwargs=PERSONAL_TEXT)
    amount: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = Field(default=None, sa_type=Text)
    decline_reason: DeclineReason | None = Field(default=None, sa_column=_stored(DeclineReason, nullable=True))
    void_reason: CancelReason | None = Field(default=None, sa_column=_stored(CancelReason, nullable=True))
    attempts: int = Field(default=0)
    """Authorizations that were asked for until one was answered, for tokens that fail."""


attach(Model.metadata)
