"""Whose orders are erased, and the record of it. What is personal in a database is messaging.erasure's to know."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import exists, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging import erasure
from messaging.database import Database
from order_api.models import WITH_FACTS, Erasure, Model, Order
from rest.reading import reading

MOST_OLD = 1_000
"""Old orders that are found at a time."""


@dataclass(frozen=True, slots=True)
class Found:
    """A customer's orders: those that can be erased, and those that still need their address."""

    settled: Sequence[UUID]
    unsettled: Sequence[UUID]


class Erased(NamedTuple):
    """What is recorded of an order's erasure; models.Erasure says what the columns mean."""

    order_id: UUID
    erased_at: datetime
    erased_by: str


class WhoseCustomer(Exception):  # noqa: N818 - a question
    """Several clients have a customer of that name."""

    def __init__(self, clients: Sequence[str]) -> None:
        super().__init__(", ".join(clients))


async def find(database: Database, customer_id: str, client_id: str | None) -> Found:
    """Find a client's customer's orders. Raises WhoseCustomer when no client is named and several know the name."""
    async with reading(database) as db:
        wanted = select(Order).where(col(Order.customer_id) == customer_id).order_by(col(Order.created_at))
        if client_id is not None:
            wanted = wanted.where(col(Order.client_id) == client_id)
        orders = (await db.exec(wanted.options(WITH_FACTS))).all()
    clients = sorted({order.client_id for order in orders})
    if len(clients) > 1:
        raise WhoseCustomer(clients)
    return Found(
        settled=[order.order_id for order in orders if order.settled],
        unsettled=[order.order_id for order in orders if not order.settled],
    )


async def find_old(database: Database, days: int) -> Sequence[UUID]:
    """Find settled orders that are older and were not erased yet, oldest first, at most MOST_OLD."""
    before = datetime.now(UTC) - timedelta(days=days)
    over = select(Order).where(col(Order.created_at) < before, col(Order.next_deadline).is_(None))
    kept = over.where(~exists().where(col(Erasure.order_id) == col(Order.order_id)))
    async with reading(database) as db:
        orders = (await db.exec(kept.order_by(col(Order.created_at)).limit(MOST_OLD).options(WITH_FACTS))).all()
    return [order.order_id for order in orders if order.settled]


_FORGET_ANSWERS = text("DELETE FROM idempotency_keys WHERE answer ->> 'order_id' = ANY (CAST(:orders AS text[]))")
"""Key, fingerprint and answer come from the customer's request. A repetition is told that it is no longer kept."""

_LIST = text("SELECT order_id, erased_at, erased_by FROM erasures ORDER BY erased_at, order_id")
_RECORD = text("""
    INSERT INTO erasures (order_id, erased_at, erased_by)
    SELECT DISTINCT unnest(CAST(:orders AS uuid[])), CAST(:now AS timestamptz), :by ON CONFLICT DO NOTHING
""")


async def erase(url: str, order_ids: Collection[UUID], by: str) -> int:
    """Erase these orders in the order API's database, and record it; return how many rows changed."""

    async def record(db: AsyncSession) -> None:
        connection = await db.connection()
        await connection.execute(_FORGET_ANSWERS, {"orders": [str(each) for each in order_ids]})
        await connection.execute(_RECORD, {"orders": list(order_ids), "now": datetime.now(UTC), "by": by})

    return await erasure.erase(url, Model.metadata, order_ids, record)


async def erased(database: Database) -> Sequence[Erased]:
    """Every order that was erased, oldest first."""
    async with reading(database) as db:
        return [Erased(*row) for row in await (await db.connection()).execute(_LIST)]
