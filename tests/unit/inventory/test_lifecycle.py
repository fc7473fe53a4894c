"""Inventory's state table, driven through the real handlers on rows in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import (
    EVENTS,
    CancelReason,
    Event,
    InventoryRejected,
    InventoryReleased,
    InventoryShipped,
    OrderLine,
    PaymentAuthorized,
    ShippingCancelled,
    ShippingFailed,
    ShippingReady,
    Shortage,
)
from inventory import handlers
from inventory.domain import LIFECYCLE, Cover, State
from inventory.models import Reservation, Stock
from inventory.stock import hold

TABLE = """
    new       payment.authorized  in_stock      reserved  inventory.reserved
    new       payment.authorized  out_of_stock  rejected  inventory.rejected
    reserved  payment.authorized  any           stays     inventory.reserved
    rejected  payment.authorized  any           stays     inventory.rejected
    released  payment.authorized  any           stays     inventory.released
    shipped   payment.authorized  any           stays     inventory.reserved

    new       shipping.cancelled  any           released  inventory.released
    reserved  shipping.cancelled  any           released  inventory.released
    rejected  shipping.cancelled  any           stays     inventory.rejected
    released  shipping.cancelled  any           stays     inventory.released

    new       shipping.failed     any           released  inventory.released
    reserved  shipping.failed     any           released  inventory.released
    rejected  shipping.failed     any           stays     inventory.rejected
    released  shipping.failed     any           stays     inventory.released

    reserved  shipping.ready      any           shipped   inventory.shipped
    shipped   shipping.ready      any           stays     inventory.shipped
"""
"""LIFECYCLE.md's table: state, event, what the stock shows, the state that follows, what is said."""

HISTORY: dict[str, Sequence[tuple[str, Cover]]] = {
    State.NEW: [],
    State.RESERVED: [("payment.authorized", Cover.IN_STOCK)],
    State.REJECTED: [("payment.authorized", Cover.OUT_OF_STOCK)],
    State.RELEASED: [("payment.authorized", Cover.IN_STOCK), ("shipping.failed", Cover.IN_STOCK)],
    State.SHIPPED: [("payment.authorized", Cover.IN_STOCK), ("shipping.ready", Cover.IN_STOCK)],
}
HEARD = ("payment.authorized", "shipping.cancelled", "shipping.failed", "shipping.ready")

MUGS = 10
RESERVED_AND_SHIPPED = {State.RESERVED: (2, 0), State.SHIPPED: (0, 2)}
"""Of the example order's two mugs; in every other state, none."""


def cells() -> Iterator[tuple[str, str, Cover, str, str]]:
    """Each line of the table for each evidence that it stands for."""
    for line in filter(None, map(str.strip, TABLE.splitlines())):
        state, event, evidence, becomes, says = line.split()
        for cover in Cover if evidence == "any" else [Cover(evidence)]:
            yield state, event, cover, state if becomes == "stays" else becomes, says


CELLS = list(cells())
REACHED = {cell[:3] for cell in CELLS}
ANOMALIES = [(str(state), event) for state in State for event in HEARD if (state, event, Cover.IN_STOCK) not in REACHED]


@dataclass
class Shelf:
    """An order's row, ten mugs, and a session that knows them and has no database."""

    reservation: Reservation = field(default_factory=lambda: Reservation(order_id=PaymentAuthorized.example().order_id))
    mugs: Stock = field(default_factory=lambda: Stock(sku="MUG-01", on_hand=MUGS, initial=MUGS))
    session: AsyncSession = field(default_factory=AsyncSession)

    def __post_init__(self) -> None:
        hold(self.session, {}, {self.mugs.sku: self.mugs})

    async def deliver(self, event: Event, cover: Cover = Cover.IN_STOCK) -> Sequence[Event]:
        """Let the handler of that event meet the rows; others hold all mugs while the shelf is to be empty."""
        others = self.mugs.available if cover is Cover.OUT_OF_STOCK else 0
        self.mugs.reserve(others)
        try:
            match event:
                case PaymentAuthorized():
                    return await handlers.reserve_stock(event, self.reservation, self.session)
                case ShippingCancelled() | ShippingFailed():
                    return await handlers.release_stock(event, self.reservation, self.session)
                case ShippingReady():
                    return await handlers.ship_stock(event, self.reservation, self.session)
                case other:
                    raise AssertionError(other)
        finally:
            self.mugs.release(others)

    def rows(self) -> tuple[object, ...]:
        """Everything that a handler could have changed, but the notes of anomalies."""
        return self.reservation.model_dump(exclude={"anomalies"}), self.mugs.model_dump()


async def reach(state: str) -> Shelf:
    """Make rows that came to that state as rows do."""
    shelf = Shelf()
    for name, cover in HISTORY[state]:
        await shelf.deliver(EVENTS[name].example(), cover)
    assert shelf.reservation.state == state
    return shelf


@pytest.mark.parametrize(("state", "event", "cover", "becomes", "says"), CELLS)
async def test_cell(state: str, event: str, cover: Cover, becomes: str, says: str) -> None:
    """Each event moves a reservation and its stock as the table says, and says what the table says."""
    shelf = await reach(state)
    [said] = await shelf.deliver(EVENTS[event].example(), cover)
    assert (shelf.reservation.state, said.name, shelf.reservation.anomalies) == (becomes, says, [])
    reserved, shipped = RESERVED_AND_SHIPPED.get(State(becomes), (0, 0))
    assert (shelf.mugs.reserved, shelf.mugs.shipped, shelf.mugs.on_hand) == (reserved, shipped, MUGS - shipped)


@pytest.mark.parametrize(("state", "event", "cover"), [cell[:3] for cell in CELLS])
async def test_repeat(state: str, event: str, cover: Cover) -> None:
    """An event that comes twice moves no piece twice, and is answered by the same message: same id, same body."""
    shelf = await reach(state)
    first = await shelf.deliver(EVENTS[event].example(), cover)
    rows = shelf.rows()
    assert await shelf.deliver(EVENTS[event].example(), cover) == first
    assert shelf.rows() == rows


@pytest.mark.parametrize(("state", "event"), ANOMALIES)
async def test_anomaly(state: str, event: str) -> None:
    """An event outside the table changes nothing and says nothing; it is noted once."""
    shelf = await reach(state)
    rows = shelf.rows()
    assert await shelf.deliver(EVENTS[event].example()) == []
    assert await shelf.deliver(EVENTS[event].example()) == []
    assert shelf.rows() == rows
    assert [(note["event"], note["state"]) for note in shelf.reservation.anomalies] == [(event, state)]


def test_the_code_holds_exactly_this_table() -> None:
    """The state table in the code has no cell that the documented one lacks."""
    held = {
        (state, event.name, cover)
        for event, state, evidence, _ in LIFECYCLE.cells()
        for cover in ([Cover(evidence)] if evidence else Cover)
    }
    assert held == REACHED


async def test_lines_of_one_sku_are_added_up() -> None:
    """Two lines of six mugs do not fit on a shelf of ten, though each line alone would."""
    shelf = Shelf()
    line = OrderLine(sku="MUG-01", quantity=6, unit_price=1290)
    event = PaymentAuthorized.example().model_copy(update={"items": (line, line)})
    [rejected] = await shelf.deliver(event)
    assert isinstance(rejected, InventoryRejected)
    assert rejected.reason == CancelReason.OUT_OF_STOCK
    assert rejected.shortages == (Shortage(sku="MUG-01", requested=12, available=MUGS),)
    assert shelf.mugs.reserved == 0


async def test_shipped_goods_are_listed_as_ordered() -> None:
    """What leaves the warehouse is listed line by line, as the customer ordered it."""
    shelf = Shelf()
    lines = tuple(OrderLine(sku="MUG-01", quantity=quantity, unit_price=1290) for quantity in (1, 3))
    await shelf.deliver(PaymentAuthorized.example().model_copy(update={"items": lines}))
    [shipped] = await shelf.deliver(ShippingReady.example())
    assert isinstance(shipped, InventoryShipped)
    assert shipped.items == lines
    assert (shelf.mugs.on_hand, shelf.mugs.reserved, shelf.mugs.shipped) == (6, 0, 4)


@pytest.mark.parametrize("cause", [ShippingCancelled.example(), ShippingFailed.example()])
async def test_a_release_carries_the_reason_of_its_cause(cause: ShippingCancelled | ShippingFailed) -> None:
    """Whoever reads that stock was released reads why."""
    shelf = await reach(State.RESERVED)
    [released] = await shelf.deliver(cause)
    assert isinstance(released, InventoryReleased)
    assert released.reason == cause.reason
