"""The services' databases, as the auditor sees them: read-only, one at a time, a page at a time."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from messaging.database import Database, DatabaseUnavailable, is_unavailable
from messaging.disclosure import in_a_line
from operations.audit.evidence import Account, Case, Order, Payment, Reservation, Shipment, pieces

PAGE = 1_000
"""Rows that one statement asks for at most."""
REST = 9
"""Times as long as a reading took to wait for the next one, where there is much to read: it has time, and is not to
slow down who places the next order."""
ORDER_API, PAYMENT, INVENTORY, SHIPPING = SERVICES = ("order_api", "payment", "inventory", "shipping")
"""Along the wave: whatever is read later has seen all that caused what was read earlier."""

Row = Mapping[str, Any]
Ask = Callable[..., Awaitable[list[Row]]]
"""Answers a question in SQL, whose values are named: `await ask(question, ids=[...])`."""

_IDS = "coalesce((SELECT jsonb_object_agg(key, value -> 'event_id') FROM jsonb_each(said)), '{}')"
"""The ids of what a row has said. The bodies, which hold personal data, stay where they are."""
_ORDER = f"""
    SELECT order_id, state, currency, total, items, created_at, updated_at, next_deadline, {_IDS} AS said,
           anomalies <> '[]' AS anomalous,
           coalesce((SELECT jsonb_object_agg(name, event_id) FROM facts WHERE facts.order_id = orders.order_id), '{{}}')
               AS facts
    FROM orders
"""  # noqa: S608 - constants, as in all that follow
_NEWER_ORDERS = text(f"""
    {_ORDER} WHERE (created_at, order_id) > (:after, :after_id) AND created_at <= now() - CAST(:lag AS interval)
    ORDER BY created_at, order_id LIMIT :most
""")
_THESE_ORDERS = text(f"{_ORDER} WHERE order_id = ANY (CAST(:ids AS uuid[]))")
_PAYMENTS = text(f"""
    SELECT order_id, state, amount, currency, {_IDS} AS said, anomalies <> '[]' AS anomalous
    FROM payments WHERE order_id = ANY (CAST(:ids AS uuid[]))
""")  # noqa: S608
_ACCOUNTS = text("SELECT key, status, amount, currency FROM gateway_accounts WHERE key = ANY (CAST(:keys AS text[]))")
_RESERVATIONS = text(f"""
    SELECT order_id, state, items, {_IDS} AS said, anomalies <> '[]' AS anomalous
    FROM reservations WHERE order_id = ANY (CAST(:ids AS uuid[]))
""")  # noqa: S608
_SHIPMENTS = text(f"""
    SELECT order_id, state, undo, {_IDS} AS said, anomalies <> '[]' AS anomalous
    FROM shipments WHERE order_id = ANY (CAST(:ids AS uuid[]))
""")  # noqa: S608
_BOOKINGS = text("SELECT key, status FROM carrier_bookings WHERE key = ANY (CAST(:keys AS text[]))")
_READABLE = text("SELECT coalesce(has_table_privilege(to_regclass(:table), 'SELECT'), false) AS readable")
_NOW = text("SELECT now() AS now")


@asynccontextmanager
async def snapshot(database: Database) -> AsyncGenerator[Ask]:
    """Ask several questions about one moment, in a transaction that cannot write. Raises DatabaseUnavailable."""
    try:
        async with database.engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

            async def ask(question: TextClause, **values: object) -> list[Row]:
                return [dict(row) for row in (await connection.execute(question, values)).mappings()]

            yield ask
    except Exception as error:
        if is_unavailable(error):
            raise DatabaseUnavailable(
                f"the database of {database.name} does not answer ({in_a_line(error)})"
            ) from error
        raise


class Sources:
    """The databases of the services, by name."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        """Four are needed. Of any other, only the messages are read."""
        if missing := [service for service in SERVICES if service not in databases]:
            raise ValueError(f"the audit needs the databases of {', '.join(missing)}")
        self.databases = databases
        self._readable: dict[str, bool] = {}

    async def ask(self, service: str, question: TextClause, **values: object) -> list[Row]:
        """Ask one question. Raises DatabaseUnavailable."""
        async with snapshot(self.databases[service]) as ask:
            return await ask(question, **values)

    async def now(self) -> datetime:
        """Read the clock by which orders are accepted and overdue."""
        (row,) = await self.ask(ORDER_API, _NOW)
        return row["now"]

    async def readable(self, service: str, table: str) -> bool:
        """Whether the table is there and may be read: a real gateway's ledger is not."""
        if table not in self._readable:
            (row,) = await self.ask(service, _READABLE, table=table)
            self._readable[table] = row["readable"]
        return self._readable[table]

    async def newer_orders(self, after: datetime, after_id: UUID, lag: timedelta) -> list[Row]:
        """Read the next page of orders, oldest first, none younger than `lag`."""
        return await self.ask(ORDER_API, _NEWER_ORDERS, after=after, after_id=after_id, lag=lag, most=PAGE)

    async def these_orders(self, ids: Sequence[UUID]) -> list[Row]:
        """Read these orders, a page at most."""
        return await self.ask(ORDER_API, _THESE_ORDERS, ids=list(ids))

    async def cases(self, orders: Sequence[Row]) -> list[Case]:
        """Read what the other services have of these orders, along the wave."""
        ids = [row["order_id"] for row in orders]
        keys = [str(order_id) for order_id in ids]
        gateway = await self.readable(PAYMENT, "gateway_accounts")
        carrier = await self.readable(SHIPPING, "carrier_bookings")
        payments = _by("order_id", await self.ask(PAYMENT, _PAYMENTS, ids=ids))
        accounts = _by("key", await self.ask(PAYMENT, _ACCOUNTS, keys=keys) if gateway else [])
        reservations = _by("order_id", await self.ask(INVENTORY, _RESERVATIONS, ids=ids))
        shipments = _by("order_id", await self.ask(SHIPPING, _SHIPMENTS, ids=ids))
        bookings = _by("key", await self.ask(SHIPPING, _BOOKINGS, keys=keys) if carrier else [])
        return [
            Case(
                order=Order(**_counted(order)),
                payment=Payment(**row) if (row := payments.get(order["order_id"])) else None,
                account=Account(**row) if (row := accounts.get(key)) else None,
                reservation=Reservation(**_counted(row)) if (row := reservations.get(order["order_id"])) else None,
                shipment=Shipment(**row) if (row := shipments.get(order["order_id"])) else None,
                booking=row["status"] if (row := bookings.get(key)) else None,
                gateway_read=gateway,
                carrier_read=carrier,
            )
            for order, key in zip(orders, keys, strict=True)
        ]


def _by(name: str, rows: Sequence[Row]) -> dict[Any, Row]:
    """The rows by that column, which then is no part of them."""
    return {row[name]: {key: value for key, value in row.items() if key != name} for row in rows}


def _counted(row: Row) -> Row:
    """The row with its lines added up."""
    return {**{key: value for key, value in row.items() if key != "items"}, "pieces": pieces(row["items"])}
