"""Shipping's way to the carrier: what is asked, what is answered, and what becomes of silence."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import UUID

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import HALF_OPENED, OpenedState

from contracts import Address, CancelReason, InventoryReserved
from messaging.outcome import Retry, Wait
from shipping.domain import Verdict


class CarrierUnavailable(Retry):
    """The carrier answered with an error of its own (5xx)."""


class CarrierTimeout(Retry):
    """The carrier gave no answer, and knows nothing of the request."""


class CarrierPaused(Wait):
    """Too many calls failed in a row: until the pause is over, and one call has worked, no other is made."""


@dataclass(frozen=True, slots=True)
class Booking:
    """The carrier's answer: evidence of what it holds under a key."""

    verdict: Verdict
    carrier: str
    tracking_number: str
    cancel_reason: CancelReason | None = None
    """The reason that was given when it was cancelled."""


class Remote(Protocol):
    """What a carrier must offer. `key` is the idempotency key: asking twice has one effect and one answer.

    Raises CarrierUnavailable for 5xx.
    """

    async def book(self, key: str, address: Address) -> Booking:
        """Book a parcel: booked, undeliverable, or fenced if the key was cancelled before."""
        ...

    async def cancel(self, key: str, reason: CancelReason) -> Booking:
        """Cancel what is booked. A fence: under this key nothing is ever booked again."""
        ...

    async def find(self, key: str) -> Booking | None:
        """Say what stands under the key; None for an unknown one."""
        ...


class Carrier:
    """What handlers prepare with: each order is one key, each call is bounded in time and guarded by a breaker."""

    def __init__(
        self, remote: Remote, timeout: float, *, breaker_threshold: int = 20, breaker_reset: float = 1.0
    ) -> None:
        """Durations are seconds. The breaker opens after `breaker_threshold` failures in a row."""
        self._remote = remote
        self._timeout = timeout
        self._pause = breaker_reset
        self._breakers = AsyncCircuitBreakerFactory(breaker_threshold, breaker_reset, exclude=[(Exception, _is_ours)])

    async def book(self, event: InventoryReserved) -> Booking:
        """Book the order's parcel."""
        key = str(event.order_id)
        return await self._ask(key, partial(self._remote.book, key, event.shipping_address), Verdict)

    async def cancel(self, order_id: UUID, reason: CancelReason) -> Booking:
        """Cancel the order's parcel, and see to it that none is ever booked again."""
        key = str(order_id)
        return await self._ask(key, partial(self._remote.cancel, key, reason), {Verdict.FENCED, Verdict.UNDELIVERABLE})

    async def _ask(self, key: str, call: Callable[[], Awaitable[Booking]], settled: Collection[Verdict]) -> Booking:
        """Return the answer to the call. `settled`: the verdicts that show, after silence, that it was carried out.

        Raises CarrierUnavailable, CarrierTimeout or CarrierPaused.
        """
        breaker = await self._breakers.get_breaker("carrier")
        if breaker.context.state == HALF_OPENED:  # somebody is trying already; a crowd would fail with them
            raise CarrierPaused("the carrier is being tried", self._pause)
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
            raise CarrierPaused("the carrier failed too often", self._pause) from None

    async def _find(self, key: str, settled: Collection[Verdict]) -> Booking:
        """Find what became of a call that was not answered. Raises CarrierTimeout if nothing did."""
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                found = await self._remote.find(key)
        except TimeoutError:
            if not limit.expired():
                raise
            found = None
        if found is None or found.verdict not in settled:
            raise CarrierTimeout(f"no answer from the carrier within {self._timeout} s")
        return found


def _is_ours(error: BaseException) -> bool:
    """Whether a failure is not the carrier's: those that are have a name of this module."""
    return not isinstance(error, Retry)
