"""Payment's tables."""

from sqlalchemy import BigInteger, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from contracts import Money
from messaging.order_row import OrderRow


class Model(SQLModel, registry=registry()):
    """Base of payment's tables: their MetaData is this service's own."""


class Payment(OrderRow, Model, table=True):
    """The payment of one order, or the tombstone of one that must never be paid."""

    __tablename__ = "payments"

    payment_id: str | None = Field(default=None, sa_type=Text)
    amount: int | None = Field(default=None, sa_type=BigInteger)
    """In minor units of the currency."""
    currency: str | None = Field(default=None, sa_type=Text)

    def hold(self, payment_id: str, total: Money) -> None:
        """Remember what is held on the card."""
        self.payment_id, self.amount, self.currency = payment_id, total.amount, total.currency

    @property
    def money(self) -> Money:
        """The amount that is held or was taken. Raises ValidationError while there is none."""
        return Money.model_validate({"amount": self.amount, "currency": self.currency})


class GatewayAccount(Model, table=True):
    """The simulated gateway's own record of a key; a real gateway keeps it on its side."""

    __tablename__ = "gateway_accounts"

    key: str = Field(primary_key=True, sa_type=Text)
    status: str = Field(sa_type=Text)
    """approved, declined, voided or captured."""
    payment_id: str = Field(sa_type=Text)
    amount: int | None = Field(default=None, sa_type=BigInteger)
    currency: str | None = Field(default=None, sa_type=Text)
    reason: str | None = Field(default=None, sa_type=Text)
    """Why it was declined or voided."""
    token: str | None = Field(default=None, sa_type=Text)
    attempts: int = Field(default=0)
    """Calls that were answered with an error so far, for tokens that fail."""
