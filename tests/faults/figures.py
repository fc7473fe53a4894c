"""How orders fared through a fault, read off the order API's database. Times are Unix time, durations seconds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

_FINISHED = """
    SELECT orders.created_at AS placed, min(facts.recorded_at) AS finished FROM orders JOIN facts USING (order_id)
    WHERE orders.created_at BETWEEN $1 AND now() AND facts.recorded_at <= now()
        AND facts.status_after IN ('ready', 'rejected', 'cancelled')
    GROUP BY order_id, orders.created_at
"""
"""Without what a service wrote whose clock was fast."""
_UNFINISHED = """
    SELECT count(*) FROM orders WHERE created_at <= $1 AND NOT EXISTS (
        SELECT FROM facts WHERE facts.order_id = orders.order_id AND status_after IN ('ready', 'rejected', 'cancelled'))
"""


@dataclass(frozen=True)
class Span:
    """A fault, from its beginning to its end: when the broker is up again, or the service ready."""

    fell: float
    rose: float


@dataclass(frozen=True)
class Recovery:
    """What came after the end of a fault."""

    flow: float
    """From the end until the first order that was placed after it was final: the longest, of several ends."""
    backlog: float
    """From the end until every order that was placed before it was final: the longest, of several ends."""
    median: float
    p99: float
    """From the end until an order was final, over the orders that were on their way at it: none of them waited longer
    than the backlog."""
    caught: int
    """So many orders were on their way."""


@dataclass(frozen=True)
class Order:
    """An order that is final."""

    placed: float
    finished: float


async def finished(database: str, since: float) -> list[Order]:
    """The final orders that were placed since then."""
    connection: Any = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(_FINISHED, datetime.fromtimestamp(since, UTC))
    finally:
        await connection.close()
    return [Order(row["placed"].timestamp(), row["finished"].timestamp()) for row in rows]


async def unfinished(database: str, until: float) -> int:
    """How many orders that were placed until then are not final."""
    connection: Any = await asyncpg.connect(database)
    try:
        return await connection.fetchval(_UNFINISHED, datetime.fromtimestamp(until, UTC))
    finally:
        await connection.close()


def recovery(orders: Sequence[Order], spans: Sequence[Span]) -> Recovery:
    """The figures of the orders that lived through these faults."""
    flows: list[float] = []
    waits: list[float] = []
    for span in spans:
        after = [order.finished for order in orders if order.placed >= span.rose]
        flows.append(min(after) - span.rose if after else float("nan"))
        waits += [order.finished - span.rose for order in orders if order.placed <= span.rose < order.finished]
    waits.sort()
    return Recovery(
        flow=max(flows, default=0.0),
        backlog=waits[-1] if waits else 0.0,
        median=statistics.median(waits) if waits else 0.0,
        p99=waits[min(len(waits) - 1, int(0.99 * len(waits)))] if waits else 0.0,
        caught=len(waits),
    )
