"""Erases the personal data of orders in one service's database, in one transaction.

What is personal is marked: in contracts by field, in tables by column. The rows of the orders are locked before their
messages are looked at, so that whatever a handler says meanwhile is either erased here or said without the data.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, MetaData, Table, Text, Uuid, any_, literal, pool, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging import edge
from messaging.database import DatabaseUnavailable, async_engine, is_unavailable
from messaging.personal import ERASED, replaced
from messaging.tables import BODY, PERSONAL, TEXT


async def _nothing(_: AsyncSession) -> None:
    return


def tables_of(service: str) -> MetaData:
    """The tables of a service, by its package. Raises LookupError when there is none of that name."""
    try:
        return importlib.import_module(f"{service}.models").Model.metadata
    except ModuleNotFoundError as error:
        raise LookupError(f"no service {service!r} is here") from error


def read_orders(lines: Iterable[str]) -> list[UUID]:
    """The orders' ids, one a line. Raises ValueError, with the line's number, for one that is none."""
    orders: list[UUID] = []
    for number, line in enumerate(lines, start=1):
        try:
            orders += [UUID(line.strip())] if line.strip() else []
        except ValueError:
            raise ValueError(f"line {number} is no order's id") from None
    return orders


async def erase(
    url: str,
    tables: MetaData,
    order_ids: Collection[UUID],
    also: Callable[[AsyncSession], Awaitable[None]] = _nothing,
) -> int:
    """Erase what is personal of these orders, and run `also`, in one transaction; return how many rows changed.

    Harmless when repeated. The outbox is read as a whole, which may take a while: no statement has a time limit.
    Raises DatabaseUnavailable.
    """
    if not url:
        raise DatabaseUnavailable("its URL is not given")
    engine = async_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    try:
        async with AsyncSession(engine) as db:
            changed = 0
            for table in sorted(tables.sorted_tables, key=lambda table: (table.name == "outbox", table.name)):
                changed += await _erase_rows(db, table, order_ids)
            await also(db)
            await edge.commit(db, edge.Step.ERASURE_COMMIT)
            return changed
    except Exception as error:
        if is_unavailable(error) or isinstance(error, OSError):
            raise DatabaseUnavailable(type(error).__name__) from error
        raise
    finally:
        await engine.dispose()


async def _erase_rows(db: AsyncSession, table: Table, order_ids: Collection[UUID]) -> int:
    personal = [column for column in table.columns if PERSONAL in column.info]
    if not personal:
        return 0
    identity, connection = list(table.primary_key.columns), await db.connection()
    wanted = _belonging_to(table, order_ids)
    found = select(*identity, *personal).where(wanted).order_by(*identity).with_for_update()
    changed = 0
    for row in (await connection.execute(found)).mappings().all():
        values = {column.name: _erased(row[column.name], column.info[PERSONAL]) for column in personal}
        if values != {name: row[name] for name in values}:
            this = [column == row[column.name] for column in identity]
            await connection.execute(update(table).where(*this).values(values))
            changed += 1
    return changed


def _belonging_to(table: Table, order_ids: Collection[UUID]) -> ColumnElement[bool]:
    """One array, and not a parameter each: PostgreSQL takes 32,767 of those, and years of erasures are more."""
    if "order_id" in table.c:
        return table.c.order_id == any_(literal(list(order_ids), ARRAY(Uuid)))
    if "key" in table.c:
        return table.c.key == any_(literal([str(each) for each in order_ids], ARRAY(Text)))
    raise LookupError(f"{table.name} has personal data and does not say of which order")


def _erased(value: Any, kind: str) -> Any:
    if isinstance(value, bytes):
        return value and ERASED.encode()
    if value is None or kind == TEXT:
        return value and ERASED
    if kind == BODY and isinstance(value, str):
        body = json.loads(value)
        erased = replaced(body, ERASED)
        return value if erased == body else json.dumps(erased, ensure_ascii=False, separators=(",", ":"))
    return replaced(value, ERASED)
