"""Payment's way to the card gateway: what is asked, what is answered, and what becomes of silence."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import HALF_OPENED, OpenedState

from contracts import (
    CancelReason,
    DeclineReason,
    InventoryRejected,
    InventoryReleased,
    Money,
    OrderCreated,
    ShippingReady,
)
from messaging.outcome import Retry, Wait
from payment.domain import Verdict


class GatewayUnavailable(Retry):
    """The gateway answered with an error of its own (5xx)."""


class GatewayTimeout(Retry):
    """The gateway gave no answer, and knows nothing of the request."""


class GatewayPaused(Wait):
    """Too many calls failed in a row: until the pause is over, and one call has worked, no other is made."""


@dataclass(frozen=True, slots=True)
class Charge:
    """The gateway's answer: evidence of what it holds under a key."""

    verdict: Verdict
    payment_id: str | None = None
    """Its name of the payment; None if there never was one."""
    decline_reason: DeclineReason | None = None
    void_reason: CancelReason | None = None
    """The reason that was given when it was voided."""


class Gateway(Protocol):
    """What a card gateway must offer. `key` is the idempotency key: asking twice has one effect and one answer.

    Raises GatewayUnavailable for 5xx.
    """

    async def authorize(self, key: str, token: str, amount: Money) -> Charge:
        """Hold the amount on the card: approved, declined, or voided if the key was voided before."""
        ...

    async def void(self, key: str, reason: CancelReason) -> Charge:
        """Let go of what is held. A fence: under this key nothing is ever held again. Refused once captured."""
        ...

    async def capture(self, key: str) -> Charge:
        """Take what is held, renewing a hold that expired: captured or refused."""
        ...

    async def find(self, key: str) -> Charge | None:
        """Say what stands under the key; None for an unknown one."""
        ...


class CardGateway:
    """What handlers prepare with: each order is one key, each call is bounded in time and guarded by a breaker."""

    def __init__(
        self, remote: Gateway, timeout: float, *, breaker_threshold: int = 20, breaker_reset: float = 1.0
    ) -> None:
        """Durations are seconds. The breaker opens after `breaker_threshold` failures in a row."""
        self._remote = remote
        self._timeout = timeout
        self._pause = breaker_reset
        self._breakers = AsyncCircuitBreakerFactory(breaker_threshold, breaker_reset, exclude=[(Exception, _is_ours)])

    async def authorize(self, event: OrderCreated) -> Charge:
        """Hold the order's total on the customer's card."""
        key = str(event.order_id)
        call = partial(self._remote.authorize, key, event.payment_token, event.total)
        return await self._ask(key, call, {Verdict.APPROVED, Verdict.DECLINED, Verdict.VOIDED})

    async def void(self, event: InventoryRejected | InventoryReleased) -> Charge:
        """Let go of the order's money, or see to it that none is ever held."""
        key = str(event.order_id)
        return await self._ask(key, partial(self._remote.void, key, event.reason), {Verdict.VOIDED, Verdict.DECLINED})

    async def capture(self, event: ShippingReady) -> Charge:
        """Take the money that is held for the order."""
        key = str(event.order_id)
        return await self._ask(key, partial(self._remote.capture, key), {Verdict.CAPTURED})

    async def _ask(self, key: str, call: Callable[[], Awaitable[Charge]], settled: Collection[Verdict]) -> Charge:
        """Return the answer to the call. `settled`: the verdicts that show, after silence, that it was carried out.

        Raises GatewayUnavailable, GatewayTimeout or GatewayPaused.
        """
        breaker = await self._breakers.get_breaker("card gateway")
        if breaker.context.state == HALF_OPENED:  # somebody is trying already; a crowd would fail with them
            raise GatewayPaused("the card gateway is being tried", self._pause)
        try:
            async with breaker:
                limit = asyncio.timeout(self._timeout)
                try:
                    async with limit:
                        return await call()
                except TimeoutError:
                    if not limit.expired():
                        raise  # somebody else's patience ended
                    return await self._find(key, settled)
        except OpenedState as opened:
            opened.__traceback__ = None  # the breaker raises one and the same exception: it must not collect frames
            raise GatewayPaused("the card gateway failed too often", self._pause) from None

    async def _find(self, key: str, settled: Collection[Verdict]) -> Charge:
        """Find what became of a call that was not answered. Raises GatewayTimeout if nothing did."""
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                found = await self._remote.find(key)
        except TimeoutError:
            if not limit.expired():
                raise
            found = None
        if found is None or found.verdict not in settled:
            raise GatewayTimeout(f"no answer from the card gateway within {self._timeout} s")
        return found


def _is_ours(error: BaseException) -> bool:
    """Whether a failure is not the gateway's: those that are have a name of this module."""
    return not isinstance(error, Retry)
