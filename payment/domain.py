"""Payment's rules: the states of an order's payment and what each event does to it."""

from collections.abc import Mapping
from enum import StrEnum

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
from messaging.lifecycle import Cell, Lifecycle, again, to


class State(StrEnum):
    """Where an order's payment stands. Voided is also the tombstone of an order that payment never saw."""

    NEW = "new"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    VOIDED = "voided"
    CAPTURED = "captured"
    UNPAID = "unpaid"


class Verdict(StrEnum):
    """What the card gateway answered: evidence, never a decision."""

    APPROVED = "approved"
    DECLINED = "declined"
    VOIDED = "voided"
    CAPTURED = "captured"
    REFUSED = "refused"


_UNDO: Mapping[str, Cell] = {
    State.NEW: to(State.VOIDED, PaymentVoided),
    State.AUTHORIZED: to(State.VOIDED, PaymentVoided),
    State.DECLINED: again(PaymentDeclined),
    State.VOIDED: again(PaymentVoided),
}

LIFECYCLE = Lifecycle(
    {
        OrderCreated: {
            State.NEW: {
                Verdict.APPROVED: to(State.AUTHORIZED, PaymentAuthorized),
                Verdict.DECLINED: to(State.DECLINED, PaymentDeclined),
                Verdict.VOIDED: to(State.VOIDED, PaymentVoided),
            },
            State.AUTHORIZED: again(PaymentAuthorized),
            State.DECLINED: again(PaymentDeclined),
            State.VOIDED: again(PaymentVoided),
            State.CAPTURED: again(PaymentAuthorized, PaymentCaptured),
            State.UNPAID: again(PaymentAuthorized, PaymentCaptureFailed),
        },
        InventoryRejected: _UNDO,
        InventoryReleased: _UNDO,
        ShippingReady: {
            State.AUTHORIZED: {
                Verdict.CAPTURED: to(State.CAPTURED, PaymentCaptured),
                Verdict.REFUSED: to(State.UNPAID, PaymentCaptureFailed),
            },
            State.CAPTURED: again(PaymentCaptured),
            State.UNPAID: {
                Verdict.CAPTURED: to(State.CAPTURED, PaymentCaptured),
                Verdict.REFUSED: again(PaymentCaptureFailed),
            },
        },
    }
)
