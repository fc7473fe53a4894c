"""A client of the REST API, and the orders that it places."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.invariants.expectations import Ending

FINAL = {"ready", "rejected", "cancelled"}
PATIENCE = 20.0
"""Seconds until an order that does not end fails its test."""
POLL = 0.05

GOOD_CARD = "tok_ok"
_ADDRESS = {"name": "Ada", "line1": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"}


@dataclass(frozen=True, slots=True)
class Wish:
    """An order to place, and how it is to end."""

    body: dict[str, Any]
    ending: Ending
    cancel_after: float | None = None
    """Seconds until its customer asks for its cancellation, which may be too late."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the API tells of an order."""

    status: str
    settled: bool
    events: tuple[str, ...]
    """Oldest first."""
    details: dict[str, dict[str, Any]]


def wish(
    ending: Ending,
    items: dict[str, int] | None = None,
    *,
    token: str = GOOD_CARD,
    currency: str = "EUR",
    **address: str,
) -> Wish:
    """An order of these pieces; `address` replaces parts of a deliverable one."""
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in (items or {"MUG-01": 2}).items()]
    body = {
        "customer_id": "c-42",
        "currency": currency,
        "items": lines,
        "payment_token": token,
        "shipping_address": {**_ADDRESS, **address},
    }
    return Wish(body, ending)


class Indeterminate(Exception):  # noqa: N818 - an outcome
    """The API could not tell: the order may have been accepted or not. On a busy machine it says so after 4.5 s."""


class Shop:
    """One client."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def place(self, wanted: Wish) -> str:
        """Place an order and return its id. Raises Indeterminate."""
        answer = await self._http.post("/orders", json=wanted.body)
        if answer.status_code == 503:
            raise Indeterminate(answer.text)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["order_id"])

    async def cancel(self, order_id: str) -> int:
        """Ask for an order's cancellation; returns the answer's status. Raises Indeterminate."""
        answer = await self._http.post(f"/orders/{order_id}/cancel")
        if answer.status_code == 503:
            raise Indeterminate(answer.text)
        assert answer.status_code in {200, 202, 409}, answer.text
        return answer.status_code

    async def timeline(self, order_id: str) -> Timeline:
        """The order as it stands."""
        answer = (await self._http.get(f"/orders/{order_id}/timeline")).raise_for_status().json()
        entries: list[dict[str, Any]] = answer["entries"]
        events = tuple(str(entry["event"]) for entry in entries)
        details = {str(entry["event"]): entry["detail"] for entry in entries}
        return Timeline(answer["status"], answer["settled"], events, details)

    async def told(self, order_id: str, events: set[str]) -> Timeline:
        """Wait until these events are on the order's timeline; fails with what is known when patience is over."""
        ends = time.monotonic() + PATIENCE
        while True:
            timeline = await self.timeline(order_id)
            if events <= set(timeline.events):
                return timeline
            assert time.monotonic() < ends, f"order {order_id} after {PATIENCE} s: {timeline}"
            await asyncio.sleep(POLL)
