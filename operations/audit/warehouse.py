"""Stock: the counters of inventory against the sums of the rows that explain them, all of one moment."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import TextClause, text

from operations.audit.rules import Stock, Warehouse, stock_discrepancies
from operations.audit.sources import INVENTORY, REST, Ask, Row, Sources, snapshot
from operations.audit.suspicions import Suspicions

SLICE = 5_000
"""Rows that one statement adds up at most."""
_STOCK = text("""
    SELECT sku, on_hand, reserved, initial, received, shipped FROM stock WHERE sku > :after ORDER BY sku LIMIT :most
""")
_RESERVED = text("""
    WITH slice AS MATERIALIZED (
        SELECT order_id, state, items FROM reservations
        WHERE order_id > :after ORDER BY order_id LIMIT :most)
    SELECT state AS name, line ->> 'sku' AS sku, sum(CAST(line ->> 'quantity' AS bigint))::bigint AS pieces,
           (SELECT order_id FROM slice ORDER BY order_id DESC LIMIT 1) AS last
    FROM slice LEFT JOIN jsonb_array_elements(items) AS line ON state IN ('reserved', 'shipped') GROUP BY 1, 2
""")
_RECEIVED = text("""
    WITH slice AS MATERIALIZED (
        SELECT event_id, sku, quantity, said FROM stock_receipts
        WHERE event_id > :after ORDER BY event_id LIMIT :most)
    SELECT 'received' AS name, sku, coalesce(sum(quantity) FILTER (WHERE said <> '{}'), 0)::bigint AS pieces,
           (SELECT event_id FROM slice ORDER BY event_id DESC LIMIT 1) AS last
    FROM slice GROUP BY sku
""")


class WarehouseAudit:
    """Reads inventory every `interval`, and at the next look once more what only one reading has found.

    The reservations are added up by SQL, in slices of one snapshot: no index tells which of them are alive, and only
    what is read at one moment can be compared to the piece.
    """

    def __init__(self, sources: Sources, *, interval: timedelta, rest: float = 0) -> None:
        """`rest`: seconds that it waits between two slices at most, else nine times as long as one took."""
        self.suspicions = Suspicions()
        self.stock: Mapping[str, Stock] = {}
        self._sources, self._interval, self._rest = sources, interval, rest
        self._next: datetime | None = None

    @property
    def complete(self) -> bool:
        """Whether it was read."""
        return self._next is not None

    async def look(self, now: datetime) -> None:
        """Read it, if it is time."""
        if self._next is not None and now < self._next and not self.suspicions.unconfirmed:
            return
        async with snapshot(self._sources.databases[INVENTORY]) as ask:
            warehouse = await _read(_at_ease(ask, self._rest))
        self._next, self.stock = now + self._interval, warehouse.stock
        found = list(stock_discrepancies(warehouse))
        for sku in {*self.suspicions.subjects, *(each.subject for each in found)}:
            self.suspicions.judge(sku, [each for each in found if each.subject == sku])


def _at_ease(ask: Ask, most: float) -> Ask:
    """Ask, and rest after each answer, for so many seconds at most."""
    clock = asyncio.get_running_loop().time

    async def ask_and_rest(question: TextClause, **values: object) -> list[Row]:
        began = clock()
        rows = await ask(question, **values)
        await asyncio.sleep(min(REST * (clock() - began), most))
        return rows

    return ask_and_rest


async def _read(ask: Ask) -> Warehouse:
    stock: dict[str, Stock] = {}
    after = ""
    while rows := await ask(_STOCK, after=after, most=SLICE):
        stock |= {row["sku"]: Stock(**row) for row in rows}
        after = rows[-1]["sku"]
    sums: dict[str, Counter[str]] = {"reserved": Counter(), "shipped": Counter(), "received": Counter()}
    for question in (_RESERVED, _RECEIVED):
        last = UUID(int=0)
        while rows := await ask(question, after=last, most=SLICE):
            for row in rows:
                if row["sku"] is not None:
                    sums[row["name"]][row["sku"]] += row["pieces"]
            last = rows[0]["last"]
    return Warehouse(stock, sums["reserved"], sums["shipped"], sums["received"])
