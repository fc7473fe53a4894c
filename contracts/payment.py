"""Events that payment publishes."""

from typing import Annotated, ClassVar, Self

from pydantic import Field

from contracts.event import OrderEvent
from contracts.order_api import OrderCreated
from contracts.values import Address, CancelReason, DeclineReason, Money, OrderLine

PaymentId = Annotated[str, Field(min_length=1, max_length=64, description="The gateway's name of the payment.")]


class PaymentAuthorized(OrderEvent):
    """The order's total is held on the customer's card. Carries what inventory and shipping need."""

    name: ClassVar[str] = "payment.authorized"

    payment_id: PaymentId
    amount: Money
    items: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=100)]
    shipping_address: Address

    @classmethod
    def example(cls) -> Self:
        """The example order's authorization."""
        order = OrderCreated.example()
        return cls.of(order, payment_id="pay_0192f5a07b1c", amount=order.total, occurred_at=order.occurred_at)


class PaymentDeclined(OrderEvent):
    """The card's issuer said no: the order is rejected."""

    name: ClassVar[str] = "payment.declined"

    amount: Money
    reason: DeclineReason

    @classmethod
    def example(cls) -> Self:
        """A card without cover."""
        order = OrderCreated.example()
        return cls.of(order, amount=order.total, reason=DeclineReason.INSUFFICIENT_FUNDS, occurred_at=order.occurred_at)


class PaymentCaptured(OrderEvent):
    """The money was taken, once, after the shipment became ready."""

    name: ClassVar[str] = "payment.captured"

    payment_id: PaymentId
    amount: Money

    @classmethod
    def example(cls) -> Self:
        """The example order's capture."""
        return cls.of(PaymentAuthorized.example(), occurred_at=PaymentAuthorized.example().occurred_at)


class PaymentCaptureFailed(OrderEvent):
    """The gateway refused to take the held money: the order is ready, its payment overdue."""

    name: ClassVar[str] = "payment.capture_failed"

    payment_id: PaymentId
    amount: Money

    @classmethod
    def example(cls) -> Self:
        """The example order's failed capture."""
        return cls.of(PaymentAuthorized.example(), occurred_at=PaymentAuthorized.example().occurred_at)


class PaymentVoided(OrderEvent):
    """Nothing is held, and nothing ever will be: the order is cancelled, for this reason."""

    name: ClassVar[str] = "payment.voided"

    reason: CancelReason

    @classmethod
    def example(cls) -> Self:
        """The last mug was gone."""
        order = OrderCreated.example()
        return cls.of(order, reason=CancelReason.OUT_OF_STOCK, occurred_at=order.occurred_at)
