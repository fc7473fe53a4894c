"""What payment does when it hears of an order. The gateway's answer is evidence; the locked row decides."""

from contracts import (
    InventoryRejected,
    InventoryReleased,
    OrderCreated,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentCaptureFailed,
    PaymentDeclined,
    PaymentVoided,
    ShippingReady,
)
from payment.domain import LIFECYCLE, State
from payment.gateway import Charge
from payment.models import Payment

Said = PaymentAuthorized | PaymentDeclined | PaymentVoided | PaymentCaptured | PaymentCaptureFailed


async def authorize_payment(event: OrderCreated, charge: Charge, payment: Payment) -> list[Said]:
    """Record the outcome of the authorization that the gateway gave."""
    step = payment.take(LIFECYCLE, event, charge.verdict)
    if step.state == State.AUTHORIZED:
        payment.hold(charge.payment_id, event.total)
    return payment.answer(
        step,
        {
            PaymentAuthorized: lambda: PaymentAuthorized.of(event, payment_id=charge.payment_id, amount=event.total),
            PaymentDeclined: lambda: PaymentDeclined.of(event, amount=event.total, reason=charge.decline_reason),
            PaymentVoided: lambda: PaymentVoided.of(event, reason=charge.void_reason),
        },
    )


async def void_payment(
    event: InventoryRejected | InventoryReleased, charge: Charge, payment: Payment
) -> list[PaymentVoided | PaymentDeclined]:
    """Let go of the money, or make sure that none is ever held."""
    step = payment.take(LIFECYCLE, event, charge.verdict)
    return payment.answer(step, {PaymentVoided: lambda: PaymentVoided.of(event)})


async def capture_payment(
    event: ShippingReady, charge: Charge, payment: Payment
) -> list[PaymentCaptured | PaymentCaptureFailed]:
    """Take the money that is held: the parcel is ready."""
    step = payment.take(LIFECYCLE, event, charge.verdict)
    if step.state is not None:
        payment.payment_id = charge.payment_id  # an expired hold was renewed under another name
    return payment.answer(
        step,
        {
            PaymentCaptured: lambda: PaymentCaptured.of(event, payment_id=payment.payment_id, amount=payment.money),
            PaymentCaptureFailed: lambda: PaymentCaptureFailed.of(
                event, payment_id=payment.payment_id, amount=payment.money
            ),
        },
    )
