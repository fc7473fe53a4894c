"""Events that shipping publishes."""

from typing import Annotated, ClassVar, Self

from pydantic import Field

from contracts.event import OrderEvent
from contracts.inventory import InventoryReserved
from contracts.values import CancelReason


class ShippingReady(OrderEvent):
    """The carrier has the parcel's booking: the order can no longer be cancelled."""

    name: ClassVar[str] = "shipping.ready"

    carrier: Annotated[str, Field(min_length=1, max_length=64)]
    tracking_number: Annotated[str, Field(min_length=1, max_length=64)]

    @classmethod
    def example(cls) -> Self:
        """The example order's parcel."""
        cause = InventoryReserved.example()
        return cls.of(cause, carrier="simulated", tracking_number="SIM0192F5A07B1C", occurred_at=cause.occurred_at)


class ShippingFailed(OrderEvent):
    """No carrier takes the parcel: the order is undone."""

    name: ClassVar[str] = "shipping.failed"

    reason: CancelReason

    @classmethod
    def example(cls) -> Self:
        """The address does not exist."""
        cause = InventoryReserved.example()
        return cls.of(cause, reason=CancelReason.UNDELIVERABLE, occurred_at=cause.occurred_at)


class ShippingCancelled(OrderEvent):
    """The cancellation won: nothing is shipped, and nothing ever will be."""

    name: ClassVar[str] = "shipping.cancelled"

    reason: CancelReason

    @classmethod
    def example(cls) -> Self:
        """The customer cancelled in time."""
        cause = InventoryReserved.example()
        return cls.of(cause, reason=CancelReason.CUSTOMER, occurred_at=cause.occurred_at)


class ShippingCancelRefused(OrderEvent):
    """The shipment won: it was ready before the cancellation came."""

    name: ClassVar[str] = "shipping.cancel_refused"

    reason: CancelReason = Field(description="The reason of the refused request.")

    @classmethod
    def example(cls) -> Self:
        """The customer was too late."""
        cause = InventoryReserved.example()
        return cls.of(cause, reason=CancelReason.CUSTOMER, occurred_at=cause.occurred_at)
