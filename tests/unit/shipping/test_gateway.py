"""The way to the carrier: silence, errors and the breaker, against a remote end that does as it is told."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from contracts import Address, CancelReason, InventoryReserved
from messaging.remote import NoAnswer, Paused
from shipping.domain import Verdict
from shipping.gateway import Booking, Carrier, CarrierUnavailable

TIMEOUT = 0.02
BOOKED = Booking(Verdict.BOOKED, "simulated", "SIM1")
RESERVED = InventoryReserved.example()

Behaviour = Callable[[], Awaitable[Booking]]


async def answers() -> Booking:
    """Answer at once."""
    return BOOKED


async def is_silent() -> Booking:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def fails() -> Booking:
    """Answer 503."""
    raise CarrierUnavailable("503 Service Unavailable")


async def is_buggy() -> Booking:
    """Fail for a reason that is not the carrier's."""
    raise ZeroDivisionError


class Remote:
    """A remote end whose behaviour can be set; counts what it is asked."""

    def __init__(self, behaviour: Behaviour, found: Booking | None = None) -> None:
        self.behaviour = behaviour
        self.found = found
        self.calls: list[str] = []

    async def book(self, key: str, address: Address) -> Booking:
        self.calls.append(f"book {key} {address.city}")
        return await self.behaviour()

    async def cancel(self, key: str, reason: CancelReason) -> Booking:
        self.calls.append(f"cancel {key} {reason}")
        return await self.behaviour()

    async def find(self, key: str) -> Booking | None:
        self.calls.append(f"find {key}")
        return self.found


async def test_calls_carry_the_order_as_their_key() -> None:
    """Every request is made under the order's id, with what is known of the order."""
    remote = Remote(answers)
    carrier = Carrier(remote, TIMEOUT)
    await carrier.book(RESERVED)
    await carrier.cancel(RESERVED.order_id, CancelReason.CUSTOMER)
    assert remote.calls == [f"book {RESERVED.order_id} Berlin", f"cancel {RESERVED.order_id} customer"]


async def test_an_unanswered_booking_that_happened_is_found() -> None:
    """After silence the carrier is asked what became of the request, before anything is tried again."""
    remote = Remote(is_silent, found=BOOKED)
    assert await Carrier(remote, TIMEOUT).book(RESERVED) == BOOKED
    assert [call.split()[0] for call in remote.calls] == ["book", "find"]


@pytest.mark.parametrize("found", [None, BOOKED])
async def test_an_unanswered_cancellation_that_did_not_happen_is_tried_later(found: Booking | None) -> None:
    """A booking that still stands does not answer a cancellation."""
    with pytest.raises(NoAnswer):
        await Carrier(Remote(is_silent, found), TIMEOUT).cancel(RESERVED.order_id, CancelReason.CUSTOMER)


async def test_errors_are_passed_on_until_the_breaker_opens() -> None:
    """After so many failures in a row the carrier is not called any more, and messages are held for the pause."""
    remote = Remote(fails)
    carrier = Carrier(remote, TIMEOUT, breaker_threshold=3, breaker_reset=60)
    for _ in range(3):
        with pytest.raises(CarrierUnavailable):
            await carrier.book(RESERVED)
    for _ in range(2):
        with pytest.raises(Paused):
            await carrier.book(RESERVED)
    assert len(remote.calls) == 3


async def test_the_breaker_closes_after_its_pause() -> None:
    """Once the pause is over the carrier is tried again, and one success ends it."""
    remote = Remote(fails)
    carrier = Carrier(remote, TIMEOUT, breaker_threshold=1, breaker_reset=0)
    with pytest.raises(CarrierUnavailable):
        await carrier.book(RESERVED)
    remote.behaviour = answers
    assert await carrier.book(RESERVED) == BOOKED
    assert await carrier.book(RESERVED) == BOOKED


async def test_our_own_faults_do_not_open_the_breaker() -> None:
    """A bug or an absent database on our side says nothing about the carrier."""
    carrier = Carrier(Remote(is_buggy), TIMEOUT, breaker_threshold=1, breaker_reset=60)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await carrier.book(RESERVED)
