"""The order API as its clients see it: place an order, look at it, read its timeline."""

import json
import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2

from devstack.errors import StackError

_ADDRESS = {"name": "Ada", "line1": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"}


@dataclass(frozen=True)
class Fact:
    """One entry of an order's timeline."""

    event: str
    occurred_at: datetime


@dataclass(frozen=True)
class Timeline:
    """An order's status and the facts that it follows from, oldest first."""

    status: str
    facts: tuple[Fact, ...]

    @property
    def events(self) -> frozenset[str]:
        return frozenset(fact.event for fact in self.facts)


def order_body(sku: str = "MUG-01", quantity: int = 1, *, token: str = "tok_ok", **address: str) -> dict[str, Any]:
    """Return the body of a POST /orders; `address` replaces parts of a deliverable one."""
    return {
        "customer_id": "c-42",
        "currency": "EUR",
        "items": [{"sku": sku, "quantity": quantity}],
        "payment_token": token,
        "shipping_address": {**_ADDRESS, **address},
    }


def as_curl(api: str, key: str, body: dict[str, Any]) -> str:
    """Return the command line that places the same order."""
    return (
        f"curl -sS -X POST {api}/orders -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body))}"
    )


class OrderApi:
    """A client of one running API."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=15, headers={"Authorization": f"Bearer {key}"})

    def close(self) -> None:
        self._http.close()

    def place(self, body: dict[str, Any]) -> str:
        """Place an order and return its id."""
        return str(self._answer("POST", "/orders", json=body)["order_id"])

    def cancel(self, order_id: str) -> None:
        """Ask for an order's cancellation."""
        self._answer("POST", f"/orders/{order_id}/cancel")

    def order(self, order_id: str) -> dict[str, Any]:
        """Return the order as the API shows it."""
        return self._answer("GET", f"/orders/{order_id}")

    def timeline(self, order_id: str) -> Timeline:
        """Return the order's status and facts, oldest first."""
        shown = self._answer("GET", f"/orders/{order_id}/timeline")
        facts = [Fact(entry["event"], datetime.fromisoformat(entry["occurred_at"])) for entry in shown["entries"]]
        return Timeline(shown["status"], tuple(sorted(facts, key=lambda fact: fact.occurred_at)))

    def _answer(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **request)
        except httpx2.TransportError as failure:
            raise StackError(f"{method} {self._http.base_url}{path}: {failure}") from failure
        if not answer.is_success:
            raise StackError(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()
