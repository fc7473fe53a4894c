"""What became of the orders of a load, and whether that is as it should be."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from benchmarks.load.journal import Line

OUT_OF_STOCK = "out_of_stock"

_ORDERS = """
    SELECT order_id::text, state, reason, next_deadline IS NULL,
           extract(epoch FROM min(recorded_at) FILTER (WHERE status_after = state) - created_at)::float8
    FROM orders JOIN facts USING (order_id)
    WHERE order_id = ANY ($1::uuid[])
    GROUP BY order_id
"""


@dataclass(frozen=True)
class Stand:
    """Where an order stands, by the order API's database."""

    status: str
    reason: str | None
    settled: bool
    seconds: float
    """From its acceptance to this status."""


@dataclass(frozen=True)
class Requests:
    """What the customers saw of one kind of request."""

    name: str
    count: int
    failed: int
    milliseconds: Mapping[int, int]
    """How many of them took that long."""


@dataclass(frozen=True)
class Depths:
    """Messages on the broker and in custody, once everything is over."""

    waiting: Mapping[str, int]
    """In work queues and retry tiers, those that are being handled, too; none is named that is empty."""
    parked: int
    """Messages that came into dead-letter queues or custody during the run."""


@dataclass(frozen=True)
class Outcome:
    """All of it."""

    lines: Sequence[Line]
    stands: Mapping[str, Stand]
    requests: Sequence[Requests]
    depths: Depths

    @property
    def accepted(self) -> Mapping[str, frozenset[str]]:
        """The final statuses that each accepted order may have."""
        return {line.order_id: frozenset(line.endings) for line in self.lines if line.endings}

    @property
    def endings(self) -> Counter[str]:
        """How many orders ended how, those out of stock by themselves."""
        return Counter(_said(stand) for stand in self.stands.values())

    @property
    def seconds(self) -> Sequence[float]:
        """From acceptance to final status, of every order that has one."""
        return [stand.seconds for stand in self.stands.values() if stand.settled]

    @property
    def lost(self) -> Sequence[str]:
        """Orders that were accepted, and that nobody knows."""
        return [order_id for order_id in self.accepted if order_id not in self.stands]

    @property
    def unsettled(self) -> Sequence[str]:
        """Orders that are not done."""
        return [order_id for order_id, stand in self.stands.items() if not stand.settled]

    @property
    def wrong(self) -> Sequence[str]:
        """Orders that ended as nobody asked for, and what a customer saw that nobody should ever see."""
        ended = [
            f"{order_id} ended {_said(stand)}, not {' or '.join(sorted(self.accepted[order_id]))}"
            for order_id, stand in self.stands.items()
            if stand.settled and stand.reason != OUT_OF_STOCK and stand.status not in self.accepted[order_id]
        ]
        return [*ended, *(line.wrong for line in self.lines if line.wrong)]

    @property
    def failures(self) -> Mapping[str, int]:
        """Requests that failed, by their kind."""
        return {each.name: each.failed for each in self.requests if each.failed}

    @property
    def complaints(self) -> Sequence[str]:
        """Why this run was not a good one; nothing if it was."""
        told = [
            (not self.accepted, "no order was accepted"),
            (self.lost, f"lost: {_some(self.lost)}"),
            (self.unsettled, f"not finished: {_some(self.unsettled)}"),
            (self.wrong, f"wrong: {_some(self.wrong)}"),
            (self.failures, f"requests that failed: {', '.join(f'{name} {n}' for name, n in self.failures.items())}"),
            (self.depths.waiting, f"left in queues: {', '.join(f'{q} {n}' for q, n in self.depths.waiting.items())}"),
            (self.depths.parked, f"dead letters: {self.depths.parked} (./run dlq groups)"),
        ]
        return [complaint for holds, complaint in told if holds]


async def read_stands(database: str, order_ids: Sequence[str]) -> Mapping[str, Stand]:
    """Read where orders stand; one that is unknown is left out."""
    connection = await asyncpg.connect(database)
    try:
        return {order_id: Stand(*rest) for order_id, *rest in await connection.fetch(_ORDERS, order_ids)}
    finally:
        await connection.close()


def requests_of(statistics: Sequence[Mapping[str, Any]]) -> Sequence[Requests]:
    """Take Locust's statistics, as it writes them in JSON."""
    kinds: list[Requests] = []
    for kind in statistics:
        times: Mapping[str, int] = kind["response_times"]
        milliseconds = {round(float(time)): count for time, count in times.items()}
        kinds.append(
            Requests(f"{kind['method']} {kind['name']}", kind["num_requests"], kind["num_failures"], milliseconds)
        )
    return sorted(kinds, key=lambda each: each.name)


def _said(stand: Stand) -> str:
    return f"{stand.status}, out of stock" if stand.reason == OUT_OF_STOCK else stand.status


def _some(things: Sequence[str], most: int = 5) -> str:
    more = f" and {len(things) - most} more" if len(things) > most else ""
    return f"{', '.join(things[:most])}{more}"
