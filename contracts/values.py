"""Values that events are made of: money, order lines, addresses, reasons."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from contracts.personal import PERSONAL, Discreet

_VALUE = ConfigDict(frozen=True, extra="ignore", strict=True)

Sku = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$", description="Stock keeping unit.")]
Quantity = Annotated[int, Field(ge=1, le=1_000_000, description="Number of pieces.")]
Stocked = Annotated[int, Field(ge=0, le=10**15, description="Number of pieces of one sku in the warehouse.")]
MinorUnits = Annotated[
    int, Field(ge=0, le=10**15, description="An amount in the currency's minor units (cents; yen have none).")
]
Text = Annotated[str, Field(min_length=1, max_length=200)]
PersonalText = Annotated[Text, Field(json_schema_extra=PERSONAL)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")]


class Money(Discreet):
    """An amount of one currency, in its minor units. Never a float."""

    model_config = _VALUE

    amount: MinorUnits
    currency: CurrencyCode


class OrderLine(Discreet):
    """One product of an order, at the price that the shop set when the order was accepted."""

    model_config = _VALUE

    sku: Sku
    quantity: Quantity
    unit_price: MinorUnits


class Address(Discreet):
    """Where the parcel goes. Every field is personal data."""

    model_config = _VALUE

    name: PersonalText
    line1: PersonalText
    line2: Annotated[Text | None, Field(json_schema_extra=PERSONAL)] = None
    city: PersonalText
    postal_code: Annotated[str, Field(min_length=1, max_length=16, json_schema_extra=PERSONAL)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code.")]

    @classmethod
    def example(cls) -> "Address":
        """Ada's address, as in the README."""
        return cls(name="Ada", line1="1 Main St", city="Berlin", postal_code="10115", country="DE")


class Shortage(Discreet):
    """A line that the stock did not cover."""

    model_config = _VALUE

    sku: Sku
    requested: Quantity
    available: Stocked


class DeclineReason(StrEnum):
    """Why the card's issuer said no."""

    CARD_DECLINED = "card_declined"
    INSUFFICIENT_FUNDS = "insufficient_funds"


class CancelReason(StrEnum):
    """Who asked for the cancellation of an order, or what made it impossible."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    DEADLINE = "deadline"
    EXPIRY = "expiry"
    OUT_OF_STOCK = "out_of_stock"
    UNDELIVERABLE = "undeliverable"
