"""What the handlers do with the facts, on rows that no database holds."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel.ext.asyncio.session import AsyncSession

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
from order_api.domain import GIVES_REASON, contradictory, status_of
from order_api.facts import Facts
from order_api.handlers import Outcome, record_fact
from order_api.models import Order
from tests.unit.order_api.orders import STOREFRONT

OUTCOMES: list[Outcome] = [
    event.example()
    for event in EVENTS.values()
    if issubclass(event, OrderEvent) and not event.name.startswith("order.")
]  # type: ignore[misc]


class Placed(NamedTuple):
    """A new order in a transaction that no database knows of."""

    order: Order
    facts: Facts
    db: AsyncSession

    async def hear(self, *events: Outcome) -> None:
        """Let the handler record these events."""
        for event in events:
            await record_fact(event, self.order, self.db)

    @property
    def names(self) -> list[str]:
        """The facts that are to be written."""
        return [fact.name for fact in self.facts.new]


def placed() -> Placed:
    db = AsyncSession()
    facts = Facts.of(db)
    facts.place(OrderCreated.example(), STOREFRONT)
    return Placed(Order(**facts.orders[0]), facts, db)


async def test_an_unknown_order_is_parked() -> None:
    """A fact about an order that was never accepted is nobody's to handle."""
    with pytest.raises(Reject, match="unknown order"):
        await record_fact(PaymentAuthorized.example(), None, AsyncSession())


async def test_a_new_order_remembers_its_event() -> None:
    """The event of an accepted order can be said again from its row, the same to the last byte."""
    event = OrderCreated.example()
    assert OrderCreated.model_validate(placed().order.said["order.created"], strict=False) == event


async def test_a_repeated_fact_changes_nothing() -> None:
    """The second copy of a fact leaves one entry on the timeline."""
    new = placed()
    await new.hear(PaymentAuthorized.example())
    order, first = new.order, new.order.updated_at
    await new.hear(PaymentAuthorized.example())
    assert new.names == ["order.created", "payment.authorized"]
    assert (order.state, order.updated_at, order.anomalies) == ("authorized", first, [])


@given(st.lists(st.sampled_from(OUTCOMES), max_size=20))
async def test_the_row_forgets_order_and_repetition(arrivals: list[Outcome]) -> None:
    """However often and in whatever order facts arrive, the row's status is that of the set; contradictions show."""
    new = placed()
    order = new.order
    await new.hear(*arrivals)
    said = {event.name: event for event in arrivals}
    assert order.state == status_of(said.keys())
    assert sorted(new.names) == sorted(["order.created", *said])
    assert bool(order.anomalies) == contradictory(said.keys())
    giver = said.get(GIVES_REASON.get(status_of(said.keys()), ""))
    assert order.reason == (None if giver is None else giver.carried({"reason"})["reason"])


@pytest.mark.parametrize("backwards", [False, True])
async def test_the_reason_comes_from_the_deciding_fact(backwards: bool) -> None:  # noqa: FBT001 - a case
    """A cancelled order has the reason of the void, a rejected one that of the decline, whatever else is known."""
    events: list[Outcome] = [PaymentAuthorized.example(), PaymentVoided.example()]
    cancelled, rejected = placed(), placed()
    await cancelled.hear(*(reversed(events) if backwards else events))
    assert cancelled.order.reason == CancelReason.OUT_OF_STOCK
    await rejected.hear(PaymentDeclined.example())
    assert rejected.order.reason == "insufficient_funds"


async def test_a_contradiction_is_noted_and_stays_a_function_of_the_facts() -> None:
    """Captured money beside a void is an anomaly; both facts stay visible."""
    new = placed()
    await new.hear(PaymentVoided.example(), ShippingReady.example())
    assert new.order.state == "ready"
    assert [(note["event"], note["state"]) for note in new.order.anomalies] == [("shipping.ready", "cancelled")]
    assert new.names == ["order.created", "payment.voided", "shipping.ready"]


@pytest.mark.parametrize("event", OUTCOMES, ids=lambda event: event.name)
async def test_a_timeline_holds_no_personal_data(event: Outcome) -> None:
    """Name and address never leave the events that carry them."""
    new = placed()
    await new.hear(event)
    written = str(new.facts.new)
    assert event.name in written
    assert not [value for value in ("Ada", "Main St", "Berlin", "10115", "tok_ok") if value in written]
