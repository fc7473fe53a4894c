"""Numbers beyond what a database holds are refused at the border, in events and requests; none wraps, none is cut."""

import json
from collections.abc import Awaitable, Callable

import pytest
from faststream.rabbit import TestRabbitBroker
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue, ValidationError

from contracts import StockReceived
from inventory.app import build
from inventory.domain import MOST_STOCKED
from inventory.models import Stock
from inventory.seed import seed
from inventory.settings import Settings
from messaging.outcome import Reject
from messaging.service import Service
from messaging.testing import envelope
from order_api.schemas import EXAMPLE_ORDER, PlaceOrder, ReceiveStock
from tests.contracts.bodies import EVERY_EVENT, Place, body_of, places, replaced

MOST = 2**63 - 1
"""The greatest number that a column of a table holds."""

BODIES: list[tuple[type[BaseModel], JsonValue]] = [
    *((kind, body_of(kind.example())) for kind in EVERY_EVENT),
    (PlaceOrder, EXAMPLE_ORDER),
    (ReceiveStock, {"quantity": 24}),
]
"""What comes in from outside: events, and requests that have numbers."""
NUMBERS = [
    pytest.param(kind, body, place, id=f"{kind.__name__}:{'.'.join(map(str, place))}")
    for kind, body in BODIES
    for place, value in places(body)
    if type(value) is int and place != ("version",)
]
"""Every amount, quantity and count in them."""


@pytest.mark.parametrize(("kind", "body", "place"), NUMBERS)
@given(number=st.integers(MOST + 1, 10**40), sign=st.sampled_from([1, -1]))
@example(number=MOST + 1, sign=1)  # would wrap to the least number
@example(number=2**64, sign=1)  # would wrap to nothing
@example(number=2**64 + 1, sign=1)  # would wrap to one
def test_a_number_beyond_the_tables_is_refused(
    kind: type[BaseModel], body: JsonValue, place: Place, number: int, sign: int
) -> None:
    """An event with a number that no table holds is parked before a handler sees it; such a request is a 422."""
    kind.model_validate_json(json.dumps(body))
    with pytest.raises(ValidationError):
        kind.model_validate_json(json.dumps(replaced(body, place, sign * number)))


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
