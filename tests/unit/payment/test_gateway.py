"""The way to the card gateway: silence, errors and the breaker, against a remote end that does as it is told."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from contracts import CancelReason, InventoryRejected, Money, OrderCreated, ShippingReady
from messaging.remote import NoAnswer, Paused
from payment.domain import Verdict
from payment.gateway import CardGateway, Charge, GatewayUnavailable

TIMEOUT = 0.02
APPROVED = Charge(Verdict.APPROVED, "pay_1")

Behaviour = Callable[[], Awaitable[Charge]]


async def answers() -> Charge:
    """Answer at once."""
    return APPROVED


async def is_silent() -> Charge:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def fails() -> Charge:
    """Answer 503."""
    raise GatewayUnavailable("503 Service Unavailable")


async def is_buggy() -> Charge:
    """Fail for a reason that is not the gateway's."""
    raise ZeroDivisionError


async def has_no_database() -> Charge:
    """Give up waiting for our own database."""
    raise TimeoutError


class Remote:
    """A remote end whose behaviour can be set; counts what it is asked."""

    def __init__(self, behaviour: Behaviour, found: Charge | None = None) -> None:
        self.behaviour = behaviour
        self.found = found
        self.calls: list[str] = []

    async def authorize(self, key: str, token: str, amount: Money) -> Charge:
        self.calls.append(f"authorize {key} {token} {amount.amount} {amount.currency}")
        return await self.behaviour()

    async def void(self, key: str, reason: CancelReason) -> Charge:
        self.calls.append(f"void {key} {reason}")
        return await self.behaviour()

    async def capture(self, key: str) -> Charge:
        self.calls.append(f"capture {key}")
        return await self.behaviour()

    async def find(self, key: str) -> Charge | None:
        self.calls.append(f"find {key}")
        return self.found


ORDER = OrderCreated.example()


async def test_calls_carry_the_order_as_their_key() -> None:
    """Every request is made under the order's id, with what the event knows."""
    remote = Remote(answers)
    gateway = CardGateway(remote, TIMEOUT)
    await gateway.authorize(ORDER)
    await gateway.void(InventoryRejected.example())
    await gateway.capture(ShippingReady.example())
    key = str(ORDER.order_id)
    assert remote.calls == [f"authorize {key} tok_ok 2580 EUR", f"void {key} out_of_stock", f"capture {key}"]


async def test_an_unanswered_authorization_that_happened_is_found() -> None:
    """After silence the gateway is asked what became of the request, before anything is tried again."""
    remote = Remote(is_silent, found=APPROVED)
    assert await CardGateway(remote, TIMEOUT).authorize(ORDER) == APPROVED
    assert [call.split()[0] for call in remote.calls] == ["authorize", "find"]


@pytest.mark.parametrize("found", [None, APPROVED])
async def test_an_unanswered_capture_that_did_not_happen_is_tried_later(found: Charge | None) -> None:
    """An authorization that still stands does not answer a capture: the message is retried."""
    with pytest.raises(NoAnswer):
        await CardGateway(Remote(is_silent, found), TIMEOUT).capture(ShippingReady.example())


async def test_errors_are_passed_on_until_the_breaker_opens() -> None:
    """After so many failures in a row the gateway is not called any more, and messages are held for the pause."""
    remote = Remote(fails)
    gateway = CardGateway(remote, TIMEOUT, breaker_threshold=3, breaker_reset=60)
    for _ in range(3):
        with pytest.raises(GatewayUnavailable):
            await gateway.authorize(ORDER)
    for _ in range(2):
        with pytest.raises(Paused) as paused:
            await gateway.authorize(ORDER)
        assert paused.value.seconds == 60
    assert len(remote.calls) == 3


async def test_silence_counts_as_a_failure() -> None:
    """A gateway that never answers opens the breaker, too."""
    gateway = CardGateway(Remote(is_silent), TIMEOUT, breaker_threshold=1, breaker_reset=60)
    with pytest.raises(NoAnswer):
        await gateway.authorize(ORDER)
    with pytest.raises(Paused):
        await gateway.authorize(ORDER)


async def test_one_success_forgives_earlier_failures() -> None:
    """One order's broken card does not stop the others: only failures in a row count."""
    remote = Remote(fails)
    gateway = CardGateway(remote, TIMEOUT, breaker_threshold=2, breaker_reset=60)
    for _ in range(5):
        remote.behaviour = fails
        with pytest.raises(GatewayUnavailable):
            await gateway.authorize(ORDER)
        remote.behaviour = answers
        assert await gateway.authorize(ORDER) == APPROVED


async def test_the_breaker_closes_after_its_pause() -> None:
    """Once the pause is over the gateway is tried again, and one success ends it."""
    remote = Remote(fails)
    gateway = CardGateway(remote, TIMEOUT, breaker_threshold=1, breaker_reset=0)
    with pytest.raises(GatewayUnavailable):
        await gateway.authorize(ORDER)
    remote.behaviour = answers
    assert await gateway.authorize(ORDER) == APPROVED
    assert await gateway.authorize(ORDER) == APPROVED


async def test_after_the_pause_one_call_tries_for_all() -> None:
    """While the first call after a pause is under way the others wait: a gateway that recovers meets no crowd."""
    remote = Remote(fails)
    gateway = CardGateway(remote, timeout=60, breaker_threshold=1, breaker_reset=0)
    with pytest.raises(GatewayUnavailable):
        await gateway.authorize(ORDER)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def answers_when_told() -> Charge:
        asked.set()
        await answer.wait()
        return APPROVED

    remote.behaviour = answers_when_told
    first = asyncio.create_task(gateway.authorize(ORDER))
    await asked.wait()
    with pytest.raises(Paused):
        await gateway.authorize(ORDER)
    answer.set()
    assert await first == await gateway.authorize(ORDER) == APPROVED


@pytest.mark.parametrize(("behaviour", "error"), [(is_buggy, ZeroDivisionError), (has_no_database, TimeoutError)])
async def test_our_own_faults_do_not_open_the_breaker(behaviour: Behaviour, error: type[Exception]) -> None:
    """A bug or an absent database on our side says nothing about the gateway, and is not taken for its silence."""
    remote = Remote(behaviour)
    gateway = CardGateway(remote, TIMEOUT, breaker_threshold=1, breaker_reset=60)
    for _ in range(3):
        with pytest.raises(error):
            await gateway.authorize(ORDER)
    assert [call.split(maxsplit=1)[0] for call in remote.calls] == ["authorize"] * 3
