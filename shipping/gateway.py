"""Shipping's way to the carrier: what is asked, what is answered, and what becomes of silence."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from uuid import UUID

from contracts import Address, CancelReason, InventoryReserved
from messaging.outcome import Reject, Retry
from messaging.personal import is_erased
from messaging.remote import RemoteEnd
from shipping.domain import Verdict


class CarrierUnavailable(Retry):
    """The carrier answered with an error of its own (5xx)."""


class AddressErased(Reject):
    """The order's address was erased, and the carrier knows of no parcel: there is nowhere to ship to."""


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
    """What handlers prepare with: each order is one key, each call is bounded in time and guarded by a breaker.

    Every call raises CarrierUnavailable, NoAnswer or Paused.
    """

    def __init__(
        self, remote: Remote, timeout: float, *, breaker_threshold: int = 20, breaker_reset: float = 1.0
    ) -> None:
        """Durations are seconds. The breaker opens after `breaker_threshold` failures in a row."""
        self._remote = remote
        self._end = RemoteEnd[Booking](
            "carrier", timeout=timeout, breaker_threshold=breaker_threshold, breaker_reset=breaker_reset
        )

    async def book(self, event: InventoryReserved) -> Booking:
        """Book the order's parcel. Raises AddressErased rather than book one to nowhere."""
        key, address = str(event.order_id), event.shipping_address
        call = partial(self._booked, key) if is_erased(address) else partial(self._remote.book, key, address)
        return await self._ask(key, call, Verdict)

    async def cancel(self, order_id: UUID, reason: CancelReason) -> Booking:
        """Cancel the order's parcel, and see to it that none is ever booked again."""
        key = str(order_id)
        return await self._ask(key, partial(self._remote.cancel, key, reason), {Verdict.FENCED, Verdict.UNDELIVERABLE})

    async def _booked(self, key: str) -> Booking:
        """What the carrier was asked for before the address was erased."""
        found = await self._remote.find(key)
        if found is None:
            raise AddressErased("the address was erased, and the carrier knows of no parcel")
        return found

    async def _ask(self, key: str, call: Callable[[], Awaitable[Booking]], settled: Collection[Verdict]) -> Booking:
        """Ask under the order's key. `settled`: the verdicts that show, after silence, that it was carried out."""
        return await self._end.ask(call, partial(self._remote.find, key), lambda found: found.verdict in settled)
