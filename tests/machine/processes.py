"""The services' processes, as they run inside a test: with the test's settings, and able to die at a crash point."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import inventory.app
import inventory.settings
import order_api.app
import order_api.settings
import payment.app
import payment.settings
import shipping.app
import shipping.settings
from messaging.service import Service
from tests.machine.network import Delivery, Letter

SERVICES = ("order_api", "payment", "inventory", "shipping")
REPLICAS = 2
NEVER = 3600.0
"""Seconds; longer than any test."""
AT_ONCE = 1e-6
"""Seconds: an order that may take no longer is overdue at every sweep."""
SILENCE = 0.6
"""Seconds after which a gateway that says nothing is asked what became of it: one card makes it say nothing."""
PATIENT = 30.0
"""Seconds; a carrier always answers, on a busy machine late."""
REDRIVES_BEFORE_CANCEL = 3
STOCK = {"MUG-01": 1_000, "TEE-01": 1_000, "RARE-01": 3, "SOLD-01": 0}

_COMMON: dict[str, Any] = {"retry_tiers": ("1s", "5s", "30s"), "relay_grace": 0, "database_pool": 4}
_GIVEN: dict[str, dict[str, Any]] = {
    "order_api": {
        "first_deadline": AT_ONCE,
        "longest_deadline": AT_ONCE,
        "deadline_interval": NEVER,
        "catalogue_interval": NEVER,
        "redrives_before_cancel": REDRIVES_BEFORE_CANCEL,
    },
    "payment": {"gateway_latency": 0, "gateway_timeout": SILENCE, "gateway_breaker_threshold": 10**6},
    "inventory": {},
    "shipping": {
        "carrier_latency": 0,
        "carrier_timeout": PATIENT,
        "carrier_breaker_threshold": 10**6,
        "undo_interval": NEVER,
    },
}


PROCESS: ContextVar[object] = ContextVar("process", default=None)
"""Whose code runs: the process whose tasks inherited it."""


class Killed(BaseException):
    """The process ended here, as by SIGKILL: nothing of it goes on."""


class Killer:
    """Stands in for `CRASH_AT`: ends a service inside this process when it passes a named crash point."""

    def __init__(self) -> None:
        self._point: str | None = None
        self._victim: object = None
        self.struck = asyncio.Event()

    def arm(self, point: str | None, victim: object = None) -> None:
        """Strike when that process passes that point; None: strike no more."""
        self._point, self._victim = point, victim
        self.struck.clear()

    def pass_point(self, name: str) -> None:
        """Raise Killed if the process dies here, or is dead already."""
        if self._point is None or PROCESS.get() is not self._victim:
            return
        if name == self._point or self.struck.is_set():
            self.struck.set()
            raise Killed(name)


@dataclass(eq=False, slots=True)
class Node:
    """One running process of a service."""

    service: Service
    stack: AsyncExitStack
    process: object

    async def deliver(self, letter: Letter) -> bool:
        """Handle a letter; returns whether it was acknowledged."""
        subscribers: Any = self.service.broker.subscribers
        delivery = Delivery(letter)
        for subscriber in subscribers:
            if subscriber.queue.name == letter.queue:
                await subscriber.process_message(delivery)
        return delivery.acked


def order_api_settings(url: str) -> order_api.settings.Settings:
    """The order API's settings."""
    given: dict[str, Any] = {**_COMMON, **_GIVEN["order_api"], "database_url": url}
    return order_api.settings.Settings(**given)


def build(name: str, url: str) -> Service:
    """Make a service, as its composition root does."""
    given: dict[str, Any] = {**_COMMON, **_GIVEN[name], "database_url": url}
    if name == "order_api":
        return order_api.app.build(order_api_settings(url))
    if name == "payment":
        return payment.app.build(payment.settings.Settings(**given))
    if name == "inventory":
        return inventory.app.build(inventory.settings.Settings(**given))
    return shipping.app.build(shipping.settings.Settings(**given))


async def ledgers() -> None:
    """Wait for the simulated remote ends: what they were asked for they do, whoever hung up."""
    await asyncio.gather(
        *(task for task in asyncio.all_tasks() if task.get_name().endswith(" ledger")), return_exceptions=True
    )
