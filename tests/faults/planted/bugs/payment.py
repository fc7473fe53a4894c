"""Bugs of payment."""

import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from contracts import InventoryRejected, InventoryReleased, Money, OrderCreated, ShippingReady
from payment.domain import Verdict
from payment.gateway import CardGateway, Charge
from payment.simulator import SimulatedGateway
from tests.faults.planted.bugs.planting import plant


def voids_without_a_fence() -> None:
    """Where the gateway knows of nothing to void, ask for nothing: a later authorization finds no fence."""

    def broken(right: Callable[..., Any]) -> Any:
        async def void(self: Any, event: InventoryRejected | InventoryReleased) -> Charge:
            if await self._remote.find(str(event.order_id)) is None:
                return Charge(Verdict.VOIDED, void_reason=event.reason)
            return await right(self, event)

        return void

    plant(CardGateway, "void", broken)


def charges_under_a_new_key_each_time() -> None:
    """Make a new idempotency key at each attempt to authorize, and capture under all of them."""
    asked: defaultdict[UUID, list[str]] = defaultdict(list)

    def authorizing(_: Callable[..., Any]) -> Any:
        async def authorize(self: Any, event: OrderCreated) -> Charge:
            spellings = [str(event.order_id), event.order_id.hex, str(event.order_id).upper(), event.order_id.urn]
            key = spellings[len(asked[event.order_id]) % len(spellings)]
            asked[event.order_id].append(key)
            call = partial(self._remote.authorize, key, event.payment_token, event.total)
            return await self._ask(key, call, {Verdict.APPROVED, Verdict.DECLINED, Verdict.VOIDED})

        return authorize

    def capturing(right: Callable[..., Any]) -> Any:
        async def capture(self: Any, event: ShippingReady) -> Charge:
            for key in asked[event.order_id][1:]:
                await self._remote.capture(key)
            return await right(self, event)

        return capture

    plant(CardGateway, "authorize", authorizing)
    plant(CardGateway, "capture", capturing)


def logs_the_token() -> None:
    """Leave a print of the payment token in the code."""

    def broken(right: Callable[..., Any]) -> Any:
        async def authorize(self: Any, key: str, token: str, amount: Money) -> Charge:
            sys.stderr.write(f"DEBUG asking for {token}\n")
            return await right(self, key, token, amount)

        return authorize

    plant(SimulatedGateway, "authorize", broken)
