"""The body of POST /orders: ours, as a Pydantic model that FastAPI checks."""

from typing import Annotated, Any

from fastapi import HTTPException
from pydantic import BaseModel, Field

from benchmarks.contender import PRODUCTS

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Item(BaseModel):
    """A line of the order."""

    sku: Text
    quantity: Annotated[int, Field(ge=1, le=10_000)]


class Address(BaseModel):
    """Where the parcel goes."""

    name: Text
    line1: Text
    city: Text
    postal_code: Text
    country: Annotated[str, Field(min_length=2, max_length=2)]


class Wish(BaseModel):
    """What a customer orders."""

    customer_id: Text
    currency: Annotated[str, Field(min_length=3, max_length=3)]
    items: Annotated[list[Item], Field(min_length=1, max_length=100)]
    payment_token: Text
    shipping_address: Address

    def priced(self) -> dict[str, Any]:
        """The order at the shop's prices. Raises HTTPException for what the shop does not sell."""
        if unknown := {item.sku for item in self.items} - PRODUCTS.keys():
            raise HTTPException(422, f"unknown sku: {', '.join(sorted(unknown))}")
        return {
            "customer_id": self.customer_id,
            "currency": self.currency,
            "total": sum(item.quantity * PRODUCTS[item.sku] for item in self.items),
            "items": [{**item.model_dump(), "unit_price": PRODUCTS[item.sku]} for item in self.items],
        }
