"""Payment's state table, driven through the real handlers on a row in memory."""

from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest
from pydantic import ValidationError

from contracts import (
    EVENTS,
    CancelReason,
    DeclineReason,
    Event,
    InventoryRejected,
    InventoryReleased,
    OrderCreated,
    PaymentCaptured,
    ShippingReady,
)
from payment import handlers
from payment.domain import LIFECYCLE, State, Verdict
from payment.gateway import Charge
from payment.models import Payment

TABLE = """
    new         order.created       approved  authorized  payment.authorized
    new         order.created       declined  declined    payment.declined
    new         order.created       voided    voided      payment.voided
    authorized  order.created       any       stays       payment.authorized
    declined    order.created       any       stays       payment.declined
    voided      order.created       any       stays       payment.voided
    captured    order.created       any       stays       payment.authorized+payment.captured
    unpaid      order.created       any       stays       payment.authorized+payment.capture_failed

    new         inventory.rejected  any       voided      payment.voided
    authorized  inventory.rejected  any       voided      payment.voided
    declined    inventory.rejected  any       stays       payment.declined
    voided      inventory.rejected  any       stays       payment.voided

    new         inventory.released  any       voided      payment.voided
    authorized  inventory.released  any       voided      payment.voided
    declined    inventory.released  any       stays       payment.declined
    voided      inventory.released  any       stays       payment.voided

    authorized  shipping.ready      captured  captured    payment.captured
    authorized  shipping.ready      refused   unpaid      payment.capture_failed
    captured    shipping.ready      any       stays       payment.captured
    unpaid      shipping.ready      captured  captured    payment.captured
    unpaid      shipping.ready      refused   stays       payment.capture_failed
"""
"""LIFECYCLE.md's table: state, event, the gateway's verdict, the state that follows, what is said."""

HISTORY: dict[str, Sequence[tuple[str, Verdict]]] = {
    State.NEW: [],
    State.AUTHORIZED: [("order.created", Verdict.APPROVED)],
    State.DECLINED: [("order.created", Verdict.DECLINED)],
    State.VOIDED: [("inventory.released", Verdict.VOIDED)],
    State.CAPTURED: [("order.created", Verdict.APPROVED), ("shipping.ready", Verdict.CAPTURED)],
    State.UNPAID: [("order.created", Verdict.APPROVED), ("shipping.ready", Verdict.REFUSED)],
}
HEARD = ("order.created", "inventory.rejected", "inventory.released", "shipping.ready")

CHARGES = {
    Verdict.APPROVED: Charge(Verdict.APPROVED, "pay_1"),
    Verdict.DECLINED: Charge(Verdict.DECLINED, "pay_1", decline_reason=DeclineReason.INSUFFICIENT_FUNDS),
    Verdict.VOIDED: Charge(Verdict.VOIDED, None, void_reason=CancelReason.OPERATOR),
    Verdict.CAPTURED: Charge(Verdict.CAPTURED, "pay_1"),
    Verdict.REFUSED: Charge(Verdict.REFUSED, "pay_1"),
}


def cells() -> Iterator[tuple[str, str, Verdict, str, tuple[str, ...]]]:
    """Each line of the table for each verdict that it stands for."""
    for line in filter(None, map(str.strip, TABLE.splitlines())):
        state, event, evidence, becomes, says = line.split()
        for verdict in Verdict if evidence == "any" else [Verdict(evidence)]:
            yield state, event, verdict, state if becomes == "stays" else becomes, tuple(says.split("+"))


CELLS = list(cells())
REACHED = {(state, event, verdict) for state, event, verdict, _, _ in CELLS}
ANOMALIES = [
    (str(state), event, verdict)
    for state in State
    for event in HEARD
    for verdict in Verdict
    if (state, event, verdict) not in REACHED
]


async def deliver(payment: Payment, name: str, verdict: Verdict) -> Sequence[Event]:
    """Let the handler of that event meet the row, with that verdict prepared."""
    charge = CHARGES[verdict]
    match EVENTS[name].example():
        case OrderCreated() as event:
            return await handlers.authorize_payment(event, charge, payment)
        case InventoryRejected() | InventoryReleased() as event:
            return await handlers.void_payment(event, charge, payment)
        case ShippingReady() as event:
            return await handlers.capture_payment(event, charge, payment)
        case other:
            raise AssertionError(other)


async def reach(state: str) -> Payment:
    """Make a row that came to that state as rows do."""
    payment = Payment(order_id=OrderCreated.example().order_id)
    for name, verdict in HISTORY[state]:
        await deliver(payment, name, verdict)
    assert payment.state == state
    return payment


@pytest.mark.parametrize(("state", "event", "verdict", "becomes", "says"), CELLS)
async def test_cell(state: str, event: str, verdict: Verdict, becomes: str, says: tuple[str, ...]) -> None:
    """Each event moves a payment as the table says, and says what the table says."""
    payment = await reach(state)
    said = await deliver(payment, event, verdict)
    assert payment.state == becomes
    assert tuple(event.name for event in said) == says
    assert payment.anomalies == []


@pytest.mark.parametrize(("state", "event", "verdict"), [cell[:3] for cell in CELLS])
async def test_repeat(state: str, event: str, verdict: Verdict) -> None:
    """An event that comes twice is answered by the same messages: same ids, same bodies."""
    payment = await reach(state)
    first = await deliver(payment, event, verdict)
    row = payment.model_dump()
    assert await deliver(payment, event, verdict) == first
    assert payment.model_dump() == row


@pytest.mark.parametrize(("state", "event", "verdict"), ANOMALIES)
async def test_anomaly(state: str, event: str, verdict: Verdict) -> None:
    """An event outside the table changes nothing and says nothing; it is noted once."""
    payment = await reach(state)
    row = payment.model_dump(exclude={"anomalies"})
    assert await deliver(payment, event, verdict) == []
    assert await deliver(payment, event, verdict) == []
    assert payment.model_dump(exclude={"anomalies"}) == row
    assert [(note["event"], note["state"], note["evidence"]) for note in payment.anomalies] == [(event, state, verdict)]


def test_the_code_holds_exactly_this_table() -> None:
    """The state table in the code has no cell that the documented one lacks."""
    held = {
        (state, event.name, verdict)
        for event, state, evidence, _ in LIFECYCLE.cells()
        for verdict in ([Verdict(evidence)] if evidence else Verdict)
    }
    assert held == REACHED


async def test_a_renewed_hold_is_captured_under_its_new_name() -> None:
    """When the gateway renewed an expired hold, the capture names the payment that took the money."""
    payment = await reach(State.AUTHORIZED)
    renewed = Charge(Verdict.CAPTURED, "pay_1_2")
    [captured] = await handlers.capture_payment(ShippingReady.example(), renewed, payment)
    assert isinstance(captured, PaymentCaptured)
    assert (captured.payment_id, captured.amount) == ("pay_1_2", OrderCreated.example().total)
    assert payment.payment_id == "pay_1_2"


async def test_a_fenced_order_is_voided_for_the_reason_of_the_fence() -> None:
    """An order that meets a fence at the gateway is voided for the reason that the fence was made with."""
    payment = Payment(order_id=OrderCreated.example().order_id)
    [voided] = await deliver(payment, "order.created", Verdict.VOIDED)
    assert voided.model_dump(include={"reason"}) == {"reason": CancelReason.OPERATOR}


def test_a_payment_without_amount_has_no_money() -> None:
    """Asking for the amount of an order that was never authorized is an error, not zero."""
    with pytest.raises(ValidationError):
        _ = Payment(order_id=UUID(int=1)).money
