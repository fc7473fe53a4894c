"""Loops of orders, and what is seen of them: rates, latencies, processor time, until every order is finished."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from benchmarks.client import Placed
from benchmarks.contender import Contender
from benchmarks.figures import percentile
from benchmarks.processor import milliseconds, resident
from devstack.errors import StackError
from devstack.process import Process

POLL_SECONDS = 0.05
STALLED_SECONDS = 20.0
"""When no order was finished for so long, those that are open count as lost."""
DRIVER = "load generator"

_STORED = "SELECT pg_database_size(current_database())"
_LOGGED = "SELECT pg_current_wal_lsn() - '0/0'"


@dataclass(frozen=True)
class Loop:
    """What was seen of a loop. Rates are orders a second, times milliseconds."""

    sent: int
    """Orders that were accepted."""
    refused: Mapping[str, int]
    """Answers that were no 201, by status."""
    unfinished: int
    """Accepted, and never finished."""
    accepted_rate: float
    """Over the time of placing."""
    finished_rate: float
    """Over the time from the first POST until the last order was finished."""
    post: Mapping[str, float]
    """Time until the answer, by percentile."""
    end_to_end: Mapping[str, float]
    """Time from the POST until the order is finished, by percentile."""
    processor: Mapping[str, float]
    """Processor time an order, by process."""


class Bench:
    """A contender that runs."""

    def __init__(self, contender: Contender, databases: Mapping[str, str], processes: Sequence[Process]) -> None:
        self._contender = contender
        self._databases = databases
        self._orders = databases[contender.databases[0]]
        self._processes = processes

    async def watch(self, placing: Awaitable[Placed]) -> Loop:
        """Wait for a loop and for the end of its orders. Raises StackError if a part ends, or all is refused."""
        before = self.clocks()
        placed = await placing
        unfinished = await self.settle()
        used = self.clocks() - before
        if not placed.orders:
            raise StackError(f"{self._contender.name} accepted no order: {dict(placed.refused)}")
        finished = await self.finished([order.order_id for order in placed.orders])
        ends = [(order.at, finished[order.order_id]) for order in placed.orders if order.order_id in finished]
        first, last = min(order.at for order in placed.orders), max((end for _, end in ends), default=0)
        answers = [1000 * order.answered for order in placed.orders]
        return Loop(
            sent=len(placed.orders),
            refused=placed.refused,
            unfinished=unfinished,
            accepted_rate=placed.accepted_rate,
            finished_rate=len(ends) / (last - first),
            post=percentiles(answers),
            end_to_end=percentiles([1000 * (end - at) for at, end in ends]),
            processor={name: time / len(placed.orders) for name, time in used.items()},
        )

    async def settle(self) -> int:
        """Wait until no order is open; returns how many remain so, when nothing was finished for a while."""
        connection = await asyncpg.connect(self._orders)
        try:
            fewest, since = await connection.fetchval(self._contender.unfinished), time.monotonic()
            while fewest and time.monotonic() - since < STALLED_SECONDS:
                for process in self._processes:
                    if not process.running:
                        raise StackError(f"{process.name} of {self._contender.name} ended{process.log_end()}")
                await asyncio.sleep(POLL_SECONDS)
                now = await connection.fetchval(self._contender.unfinished)
                if now < fewest:
                    fewest, since = now, time.monotonic()
            return fewest
        finally:
            await connection.close()

    async def stored(self) -> Mapping[str, int]:
        """Bytes on disk: in the contender's databases, and ever written to the log ahead of all databases."""
        kept = [await _value(self._databases[name], _STORED) for name in self._contender.databases]
        return {"databases": sum(kept), "write-ahead log": await _value(self._orders, _LOGGED)}

    def memory(self) -> Mapping[str, int]:
        """Bytes, by process."""
        return {process.name: resident(process.pid) for process in self._processes}

    def clocks(self) -> Counter[str]:
        """Milliseconds of a processor that each process has had."""
        clocks = Counter({DRIVER: round(1000 * time.process_time())})
        for process in self._processes:
            clocks[process.name] += milliseconds(process.pid)
        return clocks

    async def finished(self, orders: Sequence[str]) -> Mapping[str, float]:
        """Return when each was finished, seconds since the epoch; those that never were are left out."""
        query = f"SELECT * FROM ({self._contender.finished}) AS t (id, moment) WHERE id = ANY ($1)"  # noqa: S608 - its own
        connection = await asyncpg.connect(self._orders)
        try:
            return {order: moment.timestamp() for order, moment in await connection.fetch(query, orders)}
        finally:
            await connection.close()


def percentiles(values: Sequence[float]) -> Mapping[str, float]:
    """Return those that are reported."""
    return {f"p{100 * share:g}": percentile(values, share) for share in (0.5, 0.99, 0.999)}


async def _value(url: str, query: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()
