"""What the handlers do with the facts, on rows that no database holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import (
    EVENTS,
    CancelReason,
    OrderCreated,
    OrderEvent,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentVoided,
    ShippingReady,
)
from messaging.outcome import Reject
from order_api.domain import contradictory, status_of
from order_api.handlers import Outcome, record_fact
from order_api.models import Order
from order_api.schemas import TimelineView
from tests.unit.order_api.orders import STOREFRONT

OUTCOMES: list[Outcome] = [
    event.example()
    for event in EVENTS.values()
    if issubclass(event, OrderEvent) and not event.name.startswith("order.")
]  # type: ignore[misc]


def new_order() -> Order:
    return Order.of(OrderCreated.example(), STOREFRONT)


async def test_an_unknown_order_is_parked() -> None:
    """A fact about an order that was never accepted is nobody's to handle."""
    with pytest.raises(Reject, match="unknown order"):
        await record_fact(PaymentAuthorized.example(), None)


async def test_a_new_order_remembers_its_event() -> None:
    """The event of an accepted order can be said again from its row, the same to the last byte."""
    event = OrderCreated.example()
    assert OrderCreated.model_validate(Order.of(event, STOREFRONT).said["order.created"], strict=False) == event


async def test_a_repeated_fact_changes_nothing() -> None:
    """The second copy of a fact leaves one entry on the timeline."""
    order = new_order()
    await record_fact(PaymentAuthorized.example(), order)
    first = order.updated_at
    await record_fact(PaymentAuthorized.example(), order)
    assert [fact.name for fact in order.facts] == ["order.created", "payment.authorized"]
    assert (order.state, order.updated_at, order.anomalies) == ("authorized", first, [])


@given(st.lists(st.sampled_from(OUTCOMES), max_size=20))
async def test_the_row_forgets_order_and_repetition(arrivals: list[Outcome]) -> None:
    """However often and in whatever order facts arrive, the row's status is that of the set; contradictions show."""
    order = new_order()
    for event in arrivals:
        await record_fact(event, order)
    names = {event.name for event in arrivals}
    assert order.state == status_of(names)
    assert set(order.known) == {"order.created", *names}
    assert bool(order.anomalies) == contradictory(names)


@pytest.mark.parametrize("backwards", [False, True])
async def test_the_reason_comes_from_the_deciding_fact(backwards: bool) -> None:  # noqa: FBT001 - a case
    """A cancelled order has the reason of the void, a rejected one that of the decline, whatever else is known."""
    events: list[Outcome] = [PaymentAuthorized.example(), PaymentVoided.example()]
    order = new_order()
    for event in reversed(events) if backwards else events:
        await record_fact(event, order)
    assert order.reason == CancelReason.OUT_OF_STOCK
    rejected = new_order()
    await record_fact(PaymentDeclined.example(), rejected)
    assert rejected.reason == "insufficient_funds"


async def test_a_contradiction_is_noted_and_stays_a_function_of_the_facts() -> None:
    """Captured money beside a void is an anomaly; both facts stay visible."""
    order = new_order()
    await record_fact(PaymentVoided.example(), order)
    await record_fact(ShippingReady.example(), order)
    assert order.state == "ready"
    assert [(note["event"], note["state"]) for note in order.anomalies] == [("shipping.ready", "cancelled")]


@pytest.mark.parametrize("event", OUTCOMES, ids=lambda event: event.name)
async def test_a_timeline_holds_no_personal_data(event: Outcome) -> None:
    """Name and address never leave the events that carry them."""
    order = new_order()
    await record_fact(event, order)
    timeline = TimelineView.of(order).model_dump_json()
    assert event.name in timeline
    assert not [value for value in ("Ada", "Main St", "Berlin", "10115", "tok_ok") if value in timeline]
