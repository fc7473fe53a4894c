"""Orders of every kind, on their way at random."""

import random
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from contracts import StockReceived
from tests.machine.checks import Placed
from tests.machine.processes import SERVICES
from tests.machine.world import World

READY = Placed("MUG-01", 2, "tok_ok", "Berlin", "10115")
KINDS = {
    "ready": READY,
    "ready too": Placed("TEE-01", 1, "tok_ok", "Berlin", "10115"),
    "cancelled by its customer": READY,
    "scarce": Placed("RARE-01", 2, "tok_ok", "Berlin", "10115"),
    "declined": Placed("MUG-01", 1, "tok_declined", "Berlin", "10115"),
    "sold out": Placed("SOLD-01", 1, "tok_ok", "Berlin", "10115"),
    "undeliverable": Placed("MUG-01", 1, "tok_ok", "Berlin", "00000"),
    "overdue": Placed("MUG-01", 1, "tok_capture_refused", "Berlin", "10115"),
}

_TABLES = {
    "order_api": (
        "SELECT order_id, state, said, reason, anomalies FROM orders ORDER BY 1",
        "TABLE facts ORDER BY 1, 2",
    ),
    "payment": (
        "SELECT order_id, state, said, amount, currency, anomalies FROM payments ORDER BY 1",
        "SELECT key, status, token, amount, currency, void_reason, decline_reason FROM gateway_accounts ORDER BY 1",
    ),  # a capture that was refused is tried again each time: another generation, under another name
    "inventory": (
        "TABLE reservations ORDER BY order_id",
        "TABLE stock ORDER BY sku",
        "TABLE stock_receipts ORDER BY event_id",
    ),
    "shipping": ("TABLE shipments ORDER BY order_id", "TABLE carrier_bookings ORDER BY key"),
}


def dice(number: int) -> random.Random:
    """Chance, the same for the same number."""
    return random.Random(number)  # noqa: S311 - no secret


async def contents(world: World) -> dict[str, list[dict[str, Any]]]:
    """Everything that the services and their remote ends know; not what was said and heard."""
    return {question: await world.sql(name, question) for name in SERVICES for question in _TABLES[name]}


async def statuses(world: World) -> dict[UUID, str]:
    """Where every order stands."""
    return {row["order_id"]: row["state"] for row in await world.sql("order_api", "SELECT order_id, state FROM orders")}


async def place_all(world: World, chance: random.Random, steps: int) -> dict[UUID, Placed]:
    """Place one order of each kind, let a customer change their mind, goods arrive, and so many messages arrive."""
    placed = {await world.place(kind.body): kind for kind in KINDS.values()}
    regretted = list(placed)[2]
    goods = StockReceived.example().model_copy(update={"event_id": UUID(int=chance.getrandbits(128), version=4)})
    await world.receive(goods)
    for step in range(steps):
        if step == steps // 2:
            await world.cancel(regretted)
        if world.network.bag:
            await world.deliver([world.network.take(chance.randrange(1_000))])
    return placed


async def finish(world: World, placed: Mapping[UUID, Placed]) -> None:
    """Carry every order to its end."""
    await world.settle()
    assert await world.unsettled() == []
    assert (await statuses(world)).keys() == placed.keys()
