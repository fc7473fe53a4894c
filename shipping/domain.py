"""Shipping's rules: the states of an order's parcel and what each event does to it. Ready is the point of no return."""

from enum import StrEnum

from contracts import (
    InventoryReserved,
    OrderCancelRequested,
    ShippingCancelled,
    ShippingCancelRefused,
    ShippingFailed,
    ShippingReady,
)
from messaging.lifecycle import Lifecycle, again, to


class State(StrEnum):
    """Where an order's parcel stands. Cancelled is also the tombstone of an order that shipping never saw."""

    NEW = "new"
    READY = "ready"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Verdict(StrEnum):
    """What the carrier answered: evidence, never a decision."""

    BOOKED = "booked"
    UNDELIVERABLE = "undeliverable"
    FENCED = "fenced"


LIFECYCLE = Lifecycle(
    {
        InventoryReserved: {
            State.NEW: {
                Verdict.BOOKED: to(State.READY, ShippingReady),
                Verdict.UNDELIVERABLE: to(State.FAILED, ShippingFailed),
                Verdict.FENCED: to(State.CANCELLED, ShippingCancelled),
            },
            State.READY: again(ShippingReady),
            State.FAILED: again(ShippingFailed),
            State.CANCELLED: again(ShippingCancelled),
        },
        OrderCancelRequested: {
            State.NEW: to(State.CANCELLED, ShippingCancelled),
            State.READY: again(ShippingCancelRefused),
            State.FAILED: again(ShippingFailed),
            State.CANCELLED: again(ShippingCancelled),
        },
    }
)


def must_undo(state: str, verdict: Verdict) -> bool:
    """Whether a booking was made for an order that was already cancelled: the carrier must be told."""
    return state == State.CANCELLED and verdict == Verdict.BOOKED
