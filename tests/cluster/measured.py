"""Load on the order API, and what the databases say afterwards of how orders fared."""

import asyncio
import itertools
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import httpx2

from tests.e2e.mix import SEED, mixed
from tests.e2e.shop import Indeterminate, Shop, Wish
from tests.invariants.expectations import Ending

PACE = 0.2
"""Seconds between two orders."""
MOST = 2_000
PATIENCE = 180.0
"""Seconds until an order that does not end fails the test."""
_GAP = """
    SELECT max(sent_at - earlier) FROM
        (SELECT sent_at, lag(sent_at) OVER (ORDER BY sent_at) AS earlier FROM outbox WHERE sent_at >= $1) AS sent
"""
_OPEN = """
    SELECT count(*) FROM orders
    WHERE order_id = ANY($1::uuid[]) AND state NOT IN ('ready', 'rejected', 'cancelled')
"""
_FINISHED = """
    SELECT orders.created_at AS placed, min(facts.recorded_at) AS finished FROM orders JOIN facts USING (order_id)
    WHERE orders.created_at >= $1 AND facts.status_after IN ('ready', 'rejected', 'cancelled')
    GROUP BY order_id, orders.created_at
"""


@dataclass
class Load:
    """Orders at a steady pace, at one replica of the API after the other, until the block ends."""

    apis: Sequence[str]
    key: str
    placed: int = 0
    accepted: dict[str, Ending] = field(default_factory=dict[str, Ending])
    refused: list[str] = field(default_factory=list[str])
    """What else was answered: the client cannot tell whether the order was stored."""

    async def run(self, until: asyncio.Event) -> None:
        """Place orders until told to stop; an order whose answer was lost must end all the same."""
        print(f"E2E_SEED={SEED}")  # noqa: T201 - shown when the test fails
        wishes = iter([wanted for wanted in mixed(2 * MOST, SEED) if wanted.ending is not Ending.OVERDUE])
        headers = {"Authorization": f"Bearer {self.key}"}
        async with asyncio.TaskGroup() as customers:
            clients = [httpx2.AsyncClient(base_url=api, headers=headers, timeout=10) for api in self.apis]
            shops = itertools.cycle(Shop(client) for client in clients)
            while not until.is_set():
                customers.create_task(self._place(next(shops), next(wishes)))
                await asyncio.sleep(PACE)
        for client in clients:
            await client.aclose()

    async def _place(self, shop: Shop, wanted: Wish) -> None:
        self.placed += 1
        try:
            self.accepted[await shop.place(wanted)] = wanted.ending
        except (Indeterminate, httpx2.TransportError) as lost:
            self.refused.append(f"{type(lost).__name__}: {lost}")


@dataclass(frozen=True)
class Figures:
    """How orders fared through one fault. Seconds."""

    fault: str
    orders: int
    publish_gap: float
    """The longest time in which the order API had no event confirmed."""
    first: float
    """From the fault to the end of the first order that was placed after it."""
    backlog: float
    """From the fault's end until every order that was placed before it had ended."""
    slowest: float
    """From an order's acceptance to its end."""

    def __str__(self) -> str:
        return (
            f"{self.fault}: {self.orders} orders; publish gap {self.publish_gap:.1f} s; first order placed after it "
            f"ended {self.first:.1f} s later; backlog gone {self.backlog:.1f} s after its end; "
            f"slowest order {self.slowest:.1f} s"
        )


async def figures(fault: str, database: str, began: float, fell: float, rose: float) -> Figures:
    """Read them off the order API's database: the load began, a fault fell, and it ended, in Unix time."""
    connection = await asyncpg.connect(database)
    try:
        gap = (await connection.fetchval(_GAP, _at(began))).total_seconds()
        found = await connection.fetch(_FINISHED, _at(began))
    finally:
        await connection.close()
    rows = [(row["placed"].timestamp(), row["finished"].timestamp()) for row in found]
    return Figures(
        fault,
        orders=len(rows),
        publish_gap=gap,
        first=min(finished for placed, finished in rows if placed >= fell) - fell,
        backlog=max(0.0, max(finished for placed, finished in rows if placed <= rose) - rose),
        slowest=max(finished - placed for placed, finished in rows),
    )


async def ended(database: str, orders: Collection[str]) -> None:
    """Return once these orders have reached a final state."""
    connection = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(PATIENCE):
            while await connection.fetchval(_OPEN, list(orders)):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.5)
    finally:
        await connection.close()


def _at(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)


def now() -> float:
    """Unix time; containers have this machine's."""
    return time.time()
