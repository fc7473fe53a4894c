"""Numbers beyond what a database holds are refused at the border, in every event; none wraps, none is cut."""

from collections.abc import Awaitable, Callable

import pytest
from faststream.rabbit import TestRabbitBroker
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts import Event, StockReceived
from inventory.app import build
from inventory.domain import MOST_STOCKED
from inventory.models import Stock
from inventory.seed import seed
from inventory.settings import Settings
from messaging.outcome import Reject
from messaging.service import Service
from messaging.testing import envelope
from tests.contracts.bodies import EVERY_EVENT, body_of, name_of, places, read, replaced

MOST = 2**63 - 1
"""The greatest number that a column of a table holds."""

NUMBERS = [
    pytest.param(kind, place, id=f"{name_of(kind)}:{'.'.join(map(str, place))}")
    for kind in EVERY_EVENT
    for place, value in places(body_of(kind.example()))
    if type(value) is int and place != ("version",)
]
"""Every amount, quantity and count of every event."""


@pytest.mark.parametrize(("kind", "place"), NUMBERS)
@given(number=st.integers(MOST + 1, 10**40), sign=st.sampled_from([1, -1]))
@example(number=MOST + 1, sign=1)  # would wrap to the least number
@example(number=2**64, sign=1)  # would wrap to nothing
@example(number=2**64 + 1, sign=1)  # would wrap to one
def test_a_number_beyond_the_tables_is_refused(
    kind: type[Event], place: tuple[str | int, ...], number: int, sign: int
) -> None:
    """An event with a number that no table holds is no event: it is parked before a handler sees it."""
    with pytest.raises(ValidationError):
        read(kind, replaced(body_of(kind.example()), place, sign * number))


@pytest.mark.database
@pytest.mark.parametrize(("room", "on_hand"), [(24, MOST_STOCKED), (23, MOST_STOCKED - 23)])
async def test_stock_is_counted_up_to_the_last_piece_that_can_be_told(
    room: int, on_hand: int, run_in_memory: Callable[..., Awaitable[Service]]
) -> None:
    """A receipt that brings more is parked, and nothing of it is booked."""
    service = await run_in_memory(build, Settings)
    await seed(service.database, {"MUG-01": MOST_STOCKED - room})
    receipt = StockReceived.example()
    assert receipt.quantity == 24
    async with TestRabbitBroker(service.broker) as br:
        if room >= receipt.quantity:
            await br.publish(receipt, **envelope(receipt))
        else:
            with pytest.raises(Reject, match="more than can be counted"):
                await br.publish(receipt, **envelope(receipt))
    async with service.database.session() as db:
        assert (await db.get_one(Stock, "MUG-01")).on_hand == on_hand
