"""How a group enters its transaction, in one round trip: it claims its inbox keys, and makes and locks its order rows.

Locks are taken in one order everywhere: inbox keys, new order rows, order rows that were there, each sorted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from messaging.inbox import Key
from messaging.order_row import OrderRow
from messaging.rows import Mapped, mapped
from messaging.transaction import Driver


@dataclass(frozen=True, slots=True)
class Wanted:
    """The order's row that a message's handler is given, if it is about an order."""

    order_id: UUID | None = None
    is_made: bool = False
    """Whether a row that is missing is made."""


@dataclass(frozen=True, slots=True)
class Entered:
    """What the transaction has now."""

    began: datetime
    """The database's time."""
    fresh: set[Key] = field(default_factory=set[Key])
    """The keys that were not in the inbox."""
    rows: dict[UUID, OrderRow] = field(default_factory=dict[UUID, OrderRow])
    """Locked: those of fresh keys that are there, or were made."""


_CLAIM = """
    WITH given AS (SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::uuid[], $5::bool[])
                            AS given (event_id, queue, redrive, order_id, is_made)),
    fresh AS (
        INSERT INTO inbox (event_id, queue, redrive) SELECT event_id, queue, redrive FROM given
        ON CONFLICT DO NOTHING RETURNING event_id, queue, redrive)
"""
"""Waits for a transaction of another worker that is entering the same key, and sees its outcome."""
_CLAIM_ALONE = f"{_CLAIM} SELECT now(), fresh.* FROM (SELECT) AS one LEFT JOIN fresh ON true"  # noqa: S608 - constants


@cache
def _claim_with(table: str, columns: tuple[str, ...]) -> str:
    listed = ", ".join(columns)
    # The rows to lock come from `fresh`, so all keys are claimed first; UNION ALL makes rows before it locks others.
    return f"""
        {_CLAIM},
        wanted AS (
            SELECT order_id, bool_or(is_made) AS is_made FROM given JOIN fresh USING (event_id, queue, redrive)
            WHERE order_id IS NOT NULL GROUP BY order_id),
        made AS (
            INSERT INTO {table} (order_id) SELECT order_id FROM wanted WHERE is_made ORDER BY order_id
            ON CONFLICT DO NOTHING RETURNING {listed}),
        held AS (
            SELECT {listed} FROM {table} WHERE order_id = ANY (ARRAY(SELECT order_id FROM wanted))
            ORDER BY order_id FOR UPDATE)
        SELECT now(), fresh.*, found.* FROM (SELECT) AS one
        LEFT JOIN (fresh JOIN given USING (event_id, queue, redrive)) ON true
        LEFT JOIN (SELECT {listed} FROM made UNION ALL SELECT {listed} FROM held) AS found USING (order_id)
    """  # noqa: S608 - names


async def enter(driver: Driver, wanted: Mapping[Key, Wanted], model: type[OrderRow] | None) -> Entered:
    """Enter the keys that are not in the inbox yet, in key order; make and lock the rows that these want."""
    keys = sorted(wanted)
    ids, queues, redrives = zip(*keys, strict=True) if keys else ((), (), ())
    orders, made = [wanted[key].order_id for key in keys], [wanted[key].is_made for key in keys]
    table = None if model is None or not any(orders) else mapped(model)
    statement = _CLAIM_ALONE if table is None else _claim_with(table.name, table.columns)
    records = await driver.fetch(statement, ids, queues, redrives, orders, made)
    entered = Entered(records[0][0])
    for record in records:
        _, event_id, queue, redrive, *values = record.values()
        if event_id is not None:
            entered.fresh.add(Key(event_id, queue, redrive))
            if table is not None:
                _note(entered.rows, table, values)
    if table is not None:
        await _look_again(driver, entered, wanted, table)
    return entered


def _note(rows: dict[UUID, OrderRow], table: Mapped[Any], values: list[Any]) -> None:
    order_id = values[table.position]
    if order_id is not None and order_id not in rows:
        rows[order_id] = table.instance(values)


async def _look_again(driver: Driver, entered: Entered, wanted: Mapping[Key, Wanted], table: Mapped[Any]) -> None:
    """Lock the rows that another transaction has made since the statement began, which saw none of them."""
    missing = {wanted[key].order_id for key in entered.fresh} - {None} - entered.rows.keys()
    if missing:
        entered.rows.update(await table.lock(driver, missing))
