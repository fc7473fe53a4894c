"""A shop's four databases, filled by hand: the auditor is tested on no service's code."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg

from messaging.asyncapi.reading import read_topology
from messaging.roles import as_role
from operations.audit.balance import consumers

OLD, YOUNG = timedelta(hours=2), timedelta(seconds=10)
"""Ages: past every deadline, and well before any."""
READER, PASSWORD = "audit_reader", "a reader's password"
CONSUMERS = consumers(read_topology())
TOTAL, QUANTITY = 2580, 2
ITEMS = json.dumps([{"sku": "MUG-01", "quantity": QUANTITY, "unit_price": 1290}])

_RESERVED = ("payment.authorized", "inventory.reserved")
STORIES: Mapping[str, Sequence[str]] = {
    "accepted": (),
    "authorized": _RESERVED[:1],
    "reserved": _RESERVED,
    "ready": (*_RESERVED, "shipping.ready"),
    "shipped": (*_RESERVED, "shipping.ready", "inventory.shipped"),
    "unpaid": (*_RESERVED, "shipping.ready", "inventory.shipped", "payment.capture_failed"),
    "done": (*_RESERVED, "shipping.ready", "inventory.shipped", "payment.captured"),
    "rejected": ("payment.declined",),
    "failed": (*_RESERVED, "shipping.failed"),
    "released": (*_RESERVED, "shipping.failed", "inventory.released"),
    "cancelled": (*_RESERVED, "shipping.failed", "inventory.released", "payment.voided"),
}
"""What has been said about an order after `order.created`, by the stage at which it is."""
_STATES = {
    "payment.authorized": "authorized",
    "payment.declined": "declined",
    "payment.captured": "captured",
    "payment.capture_failed": "unpaid",
    "payment.voided": "voided",
    "inventory.reserved": "reserved",
    "inventory.released": "released",
    "inventory.shipped": "shipped",
    "shipping.ready": "ready",
    "shipping.failed": "failed",
}
"""The state in which an event leaves its producer's row."""
_STATUS = (
    ("payment.captured", "ready"),
    ("shipping.ready", "ready"),
    ("payment.declined", "rejected"),
    ("payment.voided", "cancelled"),
    ("inventory.released", "cancelling"),
    ("shipping.failed", "cancelling"),
    ("inventory.reserved", "reserved"),
    ("payment.authorized", "authorized"),
)
_ACCOUNTS = {"authorized": "held"}
_BOOKINGS = {"ready": "booked", "failed": "undeliverable"}

_ORDER = """
    INSERT INTO orders (order_id, state, said, client_id, customer_id, currency, total, items, created_at, updated_at,
                        redrives, next_deadline)
    VALUES ($1, $2, $3, 'storefront', 'c-42', 'EUR', $4, $5, $6, $6, 0, $7)
"""
_FACT = """
    INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_after)
    VALUES ($1, $2, $3, now(), now(), '{}', 'somebody', 'pending')
"""
_SAID = """
    INSERT INTO outbox (id, event_id, name, type, order_id, body, headers, redrive, created_at, due_at, sent_at)
    VALUES ($1, $2, $3, $3 || '.v1', $4, '{}', '{}', 0, $5, $5, $5)
"""
_APPLIED = "INSERT INTO inbox (event_id, queue, redrive) VALUES ($1, $2, 0)"
_PAYMENT = "INSERT INTO payments (order_id, state, said, amount, currency) VALUES ($1, $2, $3, $4, 'EUR')"
_ACCOUNT = """
    INSERT INTO gateway_accounts (key, status, amount, currency, generation, attempts)
    VALUES ($1, $2, 2580, 'EUR', 1, 1)
"""
_RESERVATION = "INSERT INTO reservations (order_id, state, said, items) VALUES ($1, $2, $3, $4)"
_SHIPMENT = "INSERT INTO shipments (order_id, state, said) VALUES ($1, $2, $3)"
_BOOKING = "INSERT INTO carrier_bookings (key, status, attempts) VALUES ($1, $2, 1)"
_STOCK = """
    INSERT INTO stock (sku, on_hand, reserved, initial, received, shipped) VALUES ('MUG-01', 100, 0, 95, 5, 0)
"""
_RECEIPT = """
    INSERT INTO stock_receipts (event_id, sku, quantity, said) VALUES (gen_random_uuid(), 'MUG-01', 5, '{"on_hand": 1}')
"""
_MORE_ORDERS = (
    """INSERT INTO orders SELECT (jsonb_populate_record(orders, jsonb_build_object('order_id', gen_random_uuid()))).*
       FROM orders, generate_series(1, {many}) WHERE order_id = $1""",
    """INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_after)
       SELECT orders.order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_after
       FROM orders, facts WHERE facts.order_id = $1 AND state = 'rejected' AND orders.order_id <> $1""",
)
_MORE_PAYMENTS = (
    """INSERT INTO payments (order_id, state, said)
       SELECT id, state, said FROM payments, unnest(CAST($2 AS uuid[])) AS id WHERE order_id = $1""",
    """INSERT INTO gateway_accounts (key, status, generation, attempts)
       SELECT id, status, 1, 1 FROM gateway_accounts, unnest(CAST($2 AS uuid[])) AS id
       WHERE key = CAST($1 AS uuid)::text""",
)
_MOVEMENTS = {
    "reserved": "UPDATE stock SET reserved = reserved + 2",
    "shipped": "UPDATE stock SET on_hand = on_hand - 2, shipped = shipped + 2",
    "released": "SELECT",
}
Step = tuple[str, Sequence[object]]
"""A statement and its values."""


def event_id(order_id: UUID, name: str) -> UUID:
    """The id of an event about an order."""
    return uuid5(order_id, name)


@dataclass
class Shop:
    """Its databases, by service, as their owner and as the reader."""

    urls: Mapping[str, str]
    orders: dict[str, UUID] = field(default_factory=dict[str, UUID])
    """By stage, old ones only."""

    @property
    def readers(self) -> Mapping[str, str]:
        """The URLs of the role that may only read."""
        return {service: as_role(url, PASSWORD, READER) for service, url in self.urls.items()}

    async def run(self, service: str, statement: str, *values: object) -> None:
        """Change a service's database by hand."""
        await self._run(service, [(statement, values)])

    async def ask(self, service: str, question: str, *values: object) -> list[Any]:
        """The first column of what a database answers."""
        connection: Any = await asyncpg.connect(self.urls[service])
        try:
            return [row[0] for row in await connection.fetch(question, *values)]
        finally:
            await connection.close()

    async def _run(self, service: str, steps: Sequence[Step]) -> None:
        connection: Any = await asyncpg.connect(self.urls[service])
        try:
            for statement, values in steps:
                await connection.execute(statement, *values)
        finally:
            await connection.close()

    async def open(self) -> None:
        """Bring the first goods."""
        await self.run("inventory", _STOCK)
        await self.run("inventory", _RECEIPT)

    async def order(self, stage: str, age: timedelta = OLD) -> UUID:
        """Place an order that is at this stage, with all its rows and messages."""
        order_id, at = uuid4(), datetime.now(UTC) - age
        if age == OLD:
            self.orders[stage] = order_id
        names = ("order.created", *STORIES[stage])
        said = {
            service: json.dumps(
                {name: {"event_id": str(event_id(order_id, name))} for name in names if _producer(name) == service}
            )
            for service in self.urls
        }
        state = {service: _last(service, names) for service in self.urls}
        status = next((status for name, status in _STATUS if name in names), "pending")
        deadline = None if stage in {"done", "rejected", "cancelled"} else datetime.now(UTC) + timedelta(minutes=20)
        steps = {service: list[Step]() for service in self.urls}
        steps["order_api"].append((_ORDER, (order_id, status, said["order_api"], TOTAL, ITEMS, at, deadline)))
        for name in names:
            event = event_id(order_id, name)
            steps["order_api"].append((_FACT, (order_id, name, event)))
            steps[_producer(name)].append((_SAID, (_outbox_id(at), event, name, order_id, at)))
            for queue in CONSUMERS[name]:
                steps[queue.partition(".")[0]].append((_APPLIED, (event, queue)))
        if paid := state["payment"]:
            amount = None if paid == "declined" else TOTAL
            steps["payment"].append((_PAYMENT, (order_id, paid, said["payment"], amount)))
            steps["payment"].append((_ACCOUNT, (str(order_id), _ACCOUNTS.get(paid, paid))))
        if reserved := state["inventory"]:
            steps["inventory"].append((_RESERVATION, (order_id, reserved, said["inventory"], ITEMS)))
            steps["inventory"].append((_MOVEMENTS[reserved], ()))
        if parcel := state["shipping"]:
            steps["shipping"].append((_SHIPMENT, (order_id, parcel, said["shipping"])))
            steps["shipping"].append((_BOOKING, (str(order_id), _BOOKINGS[parcel])))
        for service, of_service in steps.items():
            await self._run(service, of_service)
        return order_id

    async def multiply(self, many: int) -> None:
        """Make more rejected orders from the one that is there, under the event ids of that one."""
        rejected = self.orders["rejected"]
        for statement in _MORE_ORDERS:
            await self.run("order_api", statement.format(many=many), rejected)
        others = "SELECT order_id FROM orders WHERE state = 'rejected' AND order_id <> $1"
        ids = await self.ask("order_api", others, rejected)
        for statement in _MORE_PAYMENTS:
            await self.run("payment", statement, rejected, ids)

    async def capture(self, order_id: UUID) -> None:
        """Take the money of an order that is shipped."""
        name, event, at = "payment.captured", event_id(order_id, "payment.captured"), datetime.now(UTC)
        said = json.dumps({name: {"event_id": str(event)}})
        paid = "UPDATE payments SET state = 'captured', said = said || $2 WHERE order_id = $1"
        await self.run("payment", "UPDATE gateway_accounts SET status = 'captured' WHERE key = $1", str(order_id))
        await self.run("payment", paid, order_id, said)
        await self.run("payment", _SAID, _outbox_id(at), event, name, order_id, at)
        await self.run("order_api", _APPLIED, event, f"order_api.{name}")
        await self.run("order_api", _FACT, order_id, name, event)
        await self.run("order_api", "UPDATE orders SET next_deadline = NULL WHERE order_id = $1", order_id)


def _producer(name: str) -> str:
    service = name.partition(".")[0]
    return "order_api" if service == "order" else service


def _last(service: str, names: Sequence[str]) -> str | None:
    return next((_STATES[name] for name in reversed(names) if name in _STATES and _producer(name) == service), None)


def _outbox_id(at: datetime) -> UUID:
    return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | random.getrandbits(60))
