"""What orders hold, whatever they are sent to."""

from collections.abc import Iterable

from benchmarks.contender import PRODUCTS


def products(lines: int) -> dict[str, int]:
    """Return the price of each product that orders of so many lines need: where five are too few, each in variants."""
    if lines <= len(PRODUCTS):
        return dict(PRODUCTS)
    variants = range(-(-lines // len(PRODUCTS)))
    return {f"{sku}-{variant}": price for variant in variants for sku, price in PRODUCTS.items()}


def baskets(lines: int) -> list[list[str]]:
    """Return what consecutive orders of so many lines hold; each product comes equally often."""
    skus = [*products(lines)]
    return [[skus[(first + n) % len(skus)] for n in range(lines)] for first in range(len(skus))]


def wish(skus: Iterable[str]) -> dict[str, object]:
    """Return the body of an order of one piece of each."""
    return {
        "customer_id": "c-42",
        "currency": "EUR",
        "items": [{"sku": sku, "quantity": 1} for sku in skus],
        "payment_token": "tok_ok",
        "shipping_address": {
            "name": "Ada",
            "line1": "1 Main St",
            "city": "Berlin",
            "postal_code": "10115",
            "country": "DE",
        },
    }
