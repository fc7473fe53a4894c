"""Inventory's rules: the states of an order's reservation, what each event does to it, and what stock covers."""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from contracts import (
    InventoryRejected,
    InventoryReleased,
    InventoryReserved,
    InventoryShipped,
    OrderLine,
    PaymentAuthorized,
    ShippingCancelled,
    ShippingFailed,
    ShippingReady,
    Shortage,
)
from messaging.lifecycle import Cell, Lifecycle, again, to

MOST_REQUESTED = 1_000_000
"""The largest number that a shortage can name; lines of one sku may add up to more."""

MOST_STOCKED = 10**15
"""The largest stock of one sku that can be told; far below what a 64-bit integer holds."""


class State(StrEnum):
    """Where an order's reservation stands. Released is also the tombstone of an order that inventory never saw."""

    NEW = "new"
    RESERVED = "reserved"
    REJECTED = "rejected"
    RELEASED = "released"
    SHIPPED = "shipped"


class Cover(StrEnum):
    """What the locked stock rows show: evidence for a new reservation."""

    IN_STOCK = "in_stock"
    OUT_OF_STOCK = "out_of_stock"


_UNDO: Mapping[str, Cell] = {
    State.NEW: to(State.RELEASED, InventoryReleased),
    State.RESERVED: to(State.RELEASED, InventoryReleased),
    State.REJECTED: again(InventoryRejected),
    State.RELEASED: again(InventoryReleased),
}

LIFECYCLE = Lifecycle(
    {
        PaymentAuthorized: {
            State.NEW: {
                Cover.IN_STOCK: to(State.RESERVED, InventoryReserved),
                Cover.OUT_OF_STOCK: to(State.REJECTED, InventoryRejected),
            },
            State.RESERVED: again(InventoryReserved),
            State.REJECTED: again(InventoryRejected),
            State.RELEASED: again(InventoryReleased),
            State.SHIPPED: again(InventoryReserved),  # a re-driven wave must go on to shipping
        },
        ShippingCancelled: _UNDO,
        ShippingFailed: _UNDO,
        ShippingReady: {
            State.RESERVED: to(State.SHIPPED, InventoryShipped),
            State.SHIPPED: again(InventoryShipped),
        },
    }
)


def pieces(lines: Iterable[OrderLine]) -> dict[str, int]:
    """Add up the lines: how many pieces of each sku."""
    total: Counter[str] = Counter()
    for line in lines:
        total[line.sku] += line.quantity
    return dict(total)


def shortages(wanted: Mapping[str, int], available: Mapping[str, int]) -> tuple[Shortage, ...]:
    """Name every sku that does not cover what is wanted, by sku. One that is not listed has none available."""
    return tuple(
        Shortage(sku=sku, requested=min(quantity, MOST_REQUESTED), available=available.get(sku, 0))
        for sku, quantity in sorted(wanted.items())
        if quantity > available.get(sku, 0)
    )
