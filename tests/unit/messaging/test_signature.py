"""A handler's signature is its contract."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import OrderCreated, PaymentAuthorized, PaymentDeclined, ShippingReady
from messaging.signature import read_signature
from payment.models import Payment

Handler = Callable[..., Awaitable[Any]]


class Charge:
    """What a remote call gives."""


async def prepare(event: OrderCreated) -> Charge:
    """Call out."""
    raise NotImplementedError(event)


async def everything(
    event: OrderCreated, charge: Charge, payment: Payment, db: AsyncSession
) -> PaymentAuthorized | list[PaymentDeclined] | None:
    """Use all that there is."""


async def two_events(event: OrderCreated | ShippingReady, payment: Payment | None) -> None:
    """Hear of two things, and look at a row that may not be there."""


def test_roles_are_read_from_annotations() -> None:
    """Event, prepared value, row and session are told apart by their types; each event that may be said is found."""
    signature = read_signature(everything, Payment, prepare)
    assert signature.events == (OrderCreated,)
    assert signature.returns == (PaymentAuthorized, PaymentDeclined)
    assert dict(signature.parameters) == {"event": "event", "charge": "prepared", "payment": "row", "db": "session"}
    assert signature.creates_row


def test_a_union_of_events_is_several_queues() -> None:
    """One handler may hear of several events; a row that may be missing is not created."""
    signature = read_signature(two_events, Payment, None)
    assert signature.events == (OrderCreated, ShippingReady)
    assert signature.returns == ()
    assert not signature.creates_row


async def no_event(db: AsyncSession) -> None:
    """Hear of nothing."""


async def unknown(event: OrderCreated, charge: Charge) -> None:
    """Want what nobody provides."""


async def twice(event: OrderCreated, other: ShippingReady) -> None:
    """Want two events."""


async def says_nonsense(event: OrderCreated) -> int:
    """Say a number."""
    return len(event.items)


def bare() -> Handler:
    """Make a handler that says nothing of what it wants."""

    async def handler(event: object) -> None:
        """Want something."""

    del handler.__annotations__["event"]
    return handler


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (no_event, "no parameter is an event"),
        (unknown, "nothing provides parameter 'charge'"),
        (twice, "more than one parameter is its event"),
        (says_nonsense, "returns <class 'int'>, which is no event"),
        (bare(), "parameter 'event' has no annotation"),
    ],
)
def test_what_cannot_be_read_is_named(handler: Handler, problem: str) -> None:
    """A signature that says too little or too much is an error at start-up that names handler and parameter."""
    with pytest.raises(TypeError, match=f"{handler.__name__}: .*{problem}"):
        read_signature(handler, Payment, None)
