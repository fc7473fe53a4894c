"""Shipping's state table, driven through the real handlers on a row in memory."""

from collections.abc import Iterator, Sequence

import pytest

from contracts import EVENTS, CancelReason, Event, InventoryReserved, OrderCancelRequested
from shipping import handlers
from shipping.domain import LIFECYCLE, State, Verdict
from shipping.gateway import Booking
from shipping.models import Shipment

TABLE = """
    new        inventory.reserved      booked         ready      shipping.ready
    new        inventory.reserved      undeliverable  failed     shipping.failed
    new        inventory.reserved      fenced         cancelled  shipping.cancelled
    ready      inventory.reserved      any            stays      shipping.ready
    failed     inventory.reserved      any            stays      shipping.failed
    cancelled  inventory.reserved      any            stays      shipping.cancelled

    new        order.cancel_requested  any            cancelled  shipping.cancelled
    ready      order.cancel_requested  any            stays      shipping.cancel_refused
    failed     order.cancel_requested  any            stays      shipping.failed
    cancelled  order.cancel_requested  any            stays      shipping.cancelled
"""
"""LIFECYCLE.md's table: state, event, the carrier's verdict, the state that follows, what is said."""

HISTORY: dict[str, Sequence[tuple[str, Verdict]]] = {
    State.NEW: [],
    State.READY: [("inventory.reserved", Verdict.BOOKED)],
    State.FAILED: [("inventory.reserved", Verdict.UNDELIVERABLE)],
    State.CANCELLED: [("order.cancel_requested", Verdict.BOOKED)],
}


def cells() -> Iterator[tuple[str, str, Verdict, str, str]]:
    """Each line of the table for each verdict that it stands for."""
    for line in filter(None, map(str.strip, TABLE.splitlines())):
        state, event, evidence, becomes, says = line.split()
        for verdict in Verdict if evidence == "any" else [Verdict(evidence)]:
            yield state, event, verdict, state if becomes == "stays" else becomes, says


CELLS = list(cells())
REACHED = {cell[:3] for cell in CELLS}


def booking(verdict: Verdict) -> Booking:
    """Make the carrier's answer."""
    reason = CancelReason.OPERATOR if verdict is Verdict.FENCED else None
    return Booking(verdict, "simulated", "SIM1", reason)


async def deliver(shipment: Shipment, name: str, verdict: Verdict) -> Sequence[Event]:
    """Let the handler of that event meet the row, with that verdict prepared where it prepares."""
    match EVENTS[name].example():
        case InventoryReserved() as event:
            return await handlers.book_shipment(event, booking(verdict), shipment)
        case OrderCancelRequested() as event:
            return await handlers.cancel_shipment(event, shipment)
        case other:
            raise AssertionError(other)


async def reach(state: str) -> Shipment:
    """Make a row that came to that state as rows do."""
    shipment = Shipment(order_id=InventoryReserved.example().order_id)
    for name, verdict in HISTORY[state]:
        await deliver(shipment, name, verdict)
    assert shipment.state == state
    return shipment


@pytest.mark.parametrize(("state", "event", "verdict", "becomes", "says"), CELLS)
async def test_cell(state: str, event: str, verdict: Verdict, becomes: str, says: str) -> None:
    """Each event moves a shipment as the table says, and says what the table says."""
    shipment = await reach(state)
    [said] = await deliver(shipment, event, verdict)
    assert (shipment.state, said.name, shipment.anomalies) == (becomes, says, [])
    assert (shipment.tracking_number is not None) == (becomes == State.READY)
    assert (shipment.cancel_reason is not None) == (becomes == State.CANCELLED)


@pytest.mark.parametrize(("state", "event", "verdict"), [cell[:3] for cell in CELLS])
async def test_repeat(state: str, event: str, verdict: Verdict) -> None:
    """An event that comes twice is answered by the same message: same id, same body."""
    shipment = await reach(state)
    first = await deliver(shipment, event, verdict)
    said = shipment.said
    assert await deliver(shipment, event, verdict) == first
    assert shipment.said == said


@pytest.mark.parametrize(("state", "event", "verdict"), [cell[:3] for cell in CELLS])
async def test_the_carrier_is_fenced(state: str, event: str, verdict: Verdict) -> None:
    """The carrier is told to forget a parcel when its order is cancelled, and when it booked one after that."""
    shipment = await reach(state)
    shipment.undo = False  # what was to be undone before is done
    await deliver(shipment, event, verdict)
    fenced = {
        (State.NEW, "order.cancel_requested", verdict),
        (State.CANCELLED, "inventory.reserved", Verdict.BOOKED),
    }
    assert shipment.undo is ((state, event, verdict) in fenced)


def test_no_event_can_surprise_shipping() -> None:
    """Every event has a cell in every state and for every verdict: shipping decides, so it must always know how."""
    everything = {(state, event.name, verdict) for state in State for event in LIFECYCLE.table for verdict in Verdict}
    held = {
        (state, event.name, verdict)
        for event, state, evidence, _ in LIFECYCLE.cells()
        for verdict in ([Verdict(evidence)] if evidence else Verdict)
    }
    assert held == REACHED == everything


async def test_an_unknown_state_is_an_anomaly() -> None:
    """A row in a state that the table does not know changes nothing and says nothing; it is noted once."""
    shipment = Shipment(order_id=InventoryReserved.example().order_id, state="lost")
    for _ in range(2):
        assert await deliver(shipment, "inventory.reserved", Verdict.BOOKED) == []
        assert await deliver(shipment, "order.cancel_requested", Verdict.BOOKED) == []
    assert (shipment.state, shipment.undo, shipment.carrier) == ("lost", False, None)
    assert [note["event"] for note in shipment.anomalies] == ["inventory.reserved", "order.cancel_requested"]


@pytest.mark.parametrize("reason", CancelReason)
async def test_a_cancellation_carries_the_reason_of_its_request(reason: CancelReason) -> None:
    """Whoever reads that an order was cancelled, or could not be, reads why somebody wanted it."""
    request = OrderCancelRequested.example().model_copy(update={"reason": reason})
    for state in (State.NEW, State.READY):
        [said] = await handlers.cancel_shipment(request, await reach(state))
        assert said.reason == reason


async def test_a_fenced_order_is_cancelled_for_the_reason_of_the_fence() -> None:
    """An order that meets a fence at the carrier is cancelled for the reason that the fence was made with."""
    shipment = await reach(State.NEW)
    [cancelled] = await deliver(shipment, "inventory.reserved", Verdict.FENCED)
    assert cancelled.model_dump(include={"reason"}) == {"reason": CancelReason.OPERATOR}
    assert shipment.cancel_reason == CancelReason.OPERATOR
