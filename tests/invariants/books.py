"""What the services' databases hold, read by SQL."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.invariants.design import CONTROL_ROOM

Pieces = dict[str, int]
"""How many of each sku."""
Row = dict[str, Any]
Answers = list[list[Row]]
Reader = Callable[[str], Awaitable[list[Row]]]
"""Answers a question in SQL."""


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted order, as the order API has it."""

    order_id: str
    state: str
    customer: str
    currency: str
    total: int
    items: Pieces
    facts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fact:
    """An entry of a timeline. `copies` is how many there are of it."""

    order_id: str
    name: str
    event_id: str
    copies: int


@dataclass(frozen=True, slots=True)
class Payment:
    """An order's payment, as payment has it."""

    order_id: str
    state: str
    authorized: bool
    """Whether it ever said that the money is held."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the card gateway holds under a key."""

    key: str
    status: str
    amount: int | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an order has set aside, as inventory has it."""

    order_id: str
    state: str
    items: Pieces


@dataclass(frozen=True, slots=True)
class Stock:
    """The counters of one sku."""

    sku: str
    on_hand: int
    reserved: int
    initial: int
    received: int
    shipped: int


@dataclass(frozen=True, slots=True)
class Shipment:
    """An order's parcel, as shipping has it."""

    order_id: str
    state: str
    undo: bool


@dataclass(frozen=True, slots=True)
class Booking:
    """What the carrier has under a key."""

    key: str
    status: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A message that a consumer entered in its inbox."""

    queue: str
    event_id: str
    redrive: int
    copies: int


@dataclass(frozen=True, slots=True)
class Said:
    """An event that a service put into its outbox, once or again."""

    service: str
    event_id: str
    name: str
    order_id: str | None
    redrive: int
    sent: bool
    body: str
    """A digest: the same event has the same one."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """An order's row in a service that met an event which cannot happen."""

    service: str
    order_id: str
    notes: str


@dataclass(frozen=True, slots=True)
class Books:
    """All of it."""

    orders: Mapping[str, Order]
    facts: Sequence[Fact]
    payments: Mapping[str, Payment]
    accounts: Sequence[Account]
    reservations: Mapping[str, Reservation]
    stock: Mapping[str, Stock]
    receipts: Pieces
    shipments: Mapping[str, Shipment]
    bookings: Sequence[Booking]
    applied: Sequence[Applied]
    said: Sequence[Said]
    anomalies: Sequence[Anomaly]


_ORDERS = "SELECT order_id::text, state, customer_id AS customer, currency, total, items FROM orders"
_FACTS = "SELECT order_id::text, name, event_id::text, count(*) AS copies FROM facts GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
_PAYMENTS = "SELECT order_id::text, state, jsonb_exists(said, 'payment.authorized') AS authorized FROM payments"
_ACCOUNTS = "SELECT key, status, amount, currency FROM gateway_accounts ORDER BY 1"
_RESERVATIONS = "SELECT order_id::text, state, items FROM reservations"
_STOCK = "SELECT sku, on_hand, reserved, initial, received, shipped FROM stock"
_RECEIPTS = "SELECT sku, sum(quantity)::bigint AS pieces FROM stock_receipts WHERE said <> '{}' GROUP BY sku"
_SHIPMENTS = "SELECT order_id::text, state, undo FROM shipments"
_BOOKINGS = "SELECT key, status FROM carrier_bookings ORDER BY 1"
_INBOX = """
    SELECT queue, event_id::text, redrive, count(*) AS copies FROM inbox
    WHERE strpos(queue, '.') > 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # a command's key, under which no message came, has no dot in its name
_OUTBOX = """
    SELECT event_id::text, name, order_id::text, redrive, sent_at IS NOT NULL AS sent, md5(body) AS body
    FROM outbox ORDER BY id
"""
_ROWS = {"order_api": "orders", "payment": "payments", "inventory": "reservations", "shipping": "shipments"}
_ANOMALIES = "SELECT order_id::text, anomalies::text AS notes FROM {table} WHERE anomalies <> '[]'"


@asynccontextmanager
async def reading(url: str) -> AsyncGenerator[Reader]:
    """A connection to a database, to ask it several times."""
    connection: Any = await asyncpg.connect(url, timeout=5, command_timeout=30)

    async def rows(question: str) -> list[Row]:
        return [dict(row) for row in await connection.fetch(question)]

    try:
        yield rows
    finally:
        await connection.close()


async def ask(url: str, *questions: str) -> Answers:
    """The answers of one database to several questions, all as of one moment."""
    async with reading(url) as rows:
        await rows("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return [await rows(question) for question in questions]


async def read(urls: Mapping[str, str]) -> Books:
    """Read all four, and the control room's if it is given. Only what does not move any more can be compared."""

    async def of(service: str, *questions: str) -> Answers:
        anomalies = _ANOMALIES.format(table=_ROWS[service])
        return await ask(urls[service], _INBOX, _OUTBOX, anomalies, *questions)

    order_api, payment, inventory, shipping = answers = await asyncio.gather(
        of("order_api", _ORDERS, _FACTS),
        of("payment", _PAYMENTS, _ACCOUNTS),
        of("inventory", _RESERVATIONS, _STOCK, _RECEIPTS),
        of("shipping", _SHIPMENTS, _BOOKINGS),
    )
    by_service = list(zip(_ROWS, answers, strict=True))
    messages = list(by_service)
    if CONTROL_ROOM in urls:
        messages.append((CONTROL_ROOM, await ask(urls[CONTROL_ROOM], _INBOX, _OUTBOX)))
    facts = [Fact(**row) for row in order_api[4]]
    known: dict[str, set[str]] = {}
    for fact in facts:
        known.setdefault(fact.order_id, set()).add(fact.name)
    return Books(
        orders={
            row["order_id"]: Order(**_counted(row), facts=frozenset(known.get(row["order_id"], ())))
            for row in order_api[3]
        },
        facts=facts,
        payments={row["order_id"]: Payment(**row) for row in payment[3]},
        accounts=[Account(**row) for row in payment[4]],
        reservations={row["order_id"]: Reservation(**_counted(row)) for row in inventory[3]},
        stock={row["sku"]: Stock(**row) for row in inventory[4]},
        receipts={row["sku"]: row["pieces"] for row in inventory[5]},
        shipments={row["order_id"]: Shipment(**row) for row in shipping[3]},
        bookings=[Booking(**row) for row in shipping[4]],
        applied=[Applied(**row) for _, answer in messages for row in answer[0]],
        said=[Said(service=service, **row) for service, answer in messages for row in answer[1]],
        anomalies=[Anomaly(service=service, **row) for service, answer in by_service for row in answer[2]],
    )


def _counted(row: Row) -> Row:
    """The row with its lines added up."""
    pieces: Pieces = {}
    for line in json.loads(row["items"]):
        pieces[line["sku"]] = pieces.get(line["sku"], 0) + line["quantity"]
    return {**row, "items": pieces}
