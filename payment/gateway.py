"""Payment's way to the card gateway: what is asked, what is answered, and what becomes of silence."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from contracts import (
    CancelReason,
    DeclineReason,
    InventoryRejected,
    InventoryReleased,
    Money,
    OrderCreated,
    ShippingReady,
)
from messaging.outcome import Retry
from messaging.remote import RemoteEnd
from payment.domain import Verdict


class GatewayUnavailable(Retry):
    """The gateway answered with an error of its own (5xx)."""


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
    """What handlers prepare with: each order is one key, each call is bounded in time and guarded by a breaker.

    Every call raises GatewayUnavailable, NoAnswer or Paused.
    """

    def __init__(
        self, remote: Gateway, timeout: float, *, breaker_threshold: int = 20, breaker_reset: float = 1.0
    ) -> None:
        """Durations are seconds. The breaker opens after `breaker_threshold` failures in a row."""
        self._remote = remote
        self._end = RemoteEnd[Charge](
            "card gateway", timeout=timeout, breaker_threshold=breaker_threshold, breaker_reset=breaker_reset
        )

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
        """Ask under the order's key. `settled`: the verdicts that show, after silence, that it was carried out."""
        return await self._end.ask(call, partial(self._remote.find, key), lambda found: found.verdict in settled)
