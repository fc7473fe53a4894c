"""What a customer does on one visit, drawn from a generator: the same seed makes the same customers."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

DECLINED = ("tok_declined", "tok_insufficient_funds")
"""Cards that the simulated gateway declines."""
MOST_LINES = 3
MOST_PIECES = 3

BROWSES, IS_DECLINED, REPEATS, CANCELS = 0.6, 0.05, 0.1, 0.05
"""Of all visits: looks at the shop first; pays with a bad card; sends the order twice; asks for its cancellation."""
THINKS = (0.0, 0.5)
"""Seconds from looking to ordering."""


class Watching(StrEnum):
    """How a customer follows an order."""

    POLL = "poll"
    STREAM = "stream"
    NOT = "not"
    """Goes away, and never looks."""


WATCHING: Mapping[Watching, int] = {Watching.POLL: 50, Watching.STREAM: 35, Watching.NOT: 15}
"""Of a hundred."""


@dataclass(frozen=True)
class Visit:
    """A visit to the shop."""

    customer: str
    items: tuple[tuple[str, int], ...]
    """Each product with its quantity."""
    token: str
    browses: bool
    thinks: float
    repeats: bool
    cancels: bool
    watching: Watching

    @property
    def wish(self) -> dict[str, object]:
        """The body of its POST /orders."""
        address = {"name": "Ada", "line1": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"}
        return {
            "customer_id": self.customer,
            "currency": "EUR",
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in self.items],
            "payment_token": self.token,
            "shipping_address": address,
        }

    @property
    def endings(self) -> frozenset[str]:
        """The final statuses that its order may have; shipping decides whether a cancellation comes in time."""
        ends = {"rejected" if self.token in DECLINED else "ready"}
        return frozenset(ends | {"cancelled"} if self.cancels else ends)


def visit(rng: random.Random, skus: Sequence[str]) -> Visit:
    """Draw a visit to a shop that sells these, the first of them twice as often as the second, and so on."""
    weights = [2.0**-rank for rank in range(len(skus))]
    chosen = dict.fromkeys(rng.choices(skus, weights, k=rng.randint(1, MOST_LINES)))
    return Visit(
        customer=f"c-{rng.randrange(1000)}",
        items=tuple((sku, rng.randint(1, MOST_PIECES)) for sku in chosen),
        token=rng.choice(DECLINED) if rng.random() < IS_DECLINED else "tok_ok",
        browses=rng.random() < BROWSES,
        thinks=rng.uniform(*THINKS),
        repeats=rng.random() < REPEATS,
        cancels=rng.random() < CANCELS,
        watching=rng.choices([*WATCHING], [*WATCHING.values()])[0],
    )
