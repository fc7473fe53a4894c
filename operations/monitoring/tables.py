"""The services' databases as sources: outboxes, and the orders with their facts. Read-only, bounded, and on indexes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause, text

from messaging import outbox
from messaging.database import Database
from operations.monitoring import metrics
from operations.monitoring.metrics import Sample, sample
from operations.monitoring.objectives import FINAL_WITHIN, WINDOW

STATUSES = ("pending", "authorized", "reserved", "cancelling", "ready", "rejected", "cancelled")
FINAL = ("ready", "rejected", "cancelled")
"""As the order API has them; a test compares."""
MOST_ORDERS = 5_000
"""Orders of which latencies are read: the newest ones."""

_WINDOW = timedelta(seconds=WINDOW)

_UNSETTLED = text(
    """
    SELECT state, count(*), count(*) FILTER (WHERE next_deadline <= now()), count(*) FILTER (WHERE redrives > 0),
        coalesce(extract(epoch FROM now() - min(created_at)), 0)
    FROM orders WHERE next_deadline IS NOT NULL GROUP BY state
    """
)
_SETTLED = text(
    """
    SELECT state, count(*) FROM orders
    WHERE created_at > now() - CAST(:window AS interval) AND next_deadline IS NULL GROUP BY state
    """
)
_RECENT = text(
    """
    WITH recent AS (
        SELECT order_id, created_at FROM orders WHERE created_at > now() - CAST(:window AS interval)
        ORDER BY created_at DESC LIMIT :most)
    SELECT CAST(extract(epoch FROM now() - created_at) AS float8),
        CAST(extract(epoch FROM min(recorded_at) FILTER (WHERE status_after = ANY (:final)) - created_at) AS float8),
        array_agg(name), array_agg(CAST(extract(epoch FROM occurred_at) AS float8))
    FROM recent JOIN facts USING (order_id) GROUP BY order_id, created_at
    """
)
"""For each order: its age, how long it took until it was final, and when which of its events happened."""


async def ask(database: Database, statement: TextClause, **given: Any) -> Sequence[Any]:
    """The rows that answer, from a transaction that can change nothing."""
    async with database.session() as db:
        connection = await db.connection(execution_options={"postgresql_readonly": True})
        return (await connection.execute(statement, given)).all()


class Outbox:
    """What a service has said and not yet sent."""

    def __init__(self, service: str, database: Database) -> None:
        self.name = f"{service}-database"
        self._service = service
        self._database = database

    async def read(self) -> Sequence[Sample]:
        """Count them."""
        async with self._database.session() as db:
            count, age = await outbox.backlog(await db.connection(execution_options={"postgresql_readonly": True}))
        return [
            sample(metrics.OUTBOX_BACKLOG, count, self._service),
            sample(metrics.OUTBOX_OLDEST_AGE, age, self._service),
        ]


class Orders:
    """Orders by status, and how long they and their steps take."""

    name = "orders"

    def __init__(self, database: Database, causes: Iterable[tuple[str, str]]) -> None:
        self._database = database
        self._causes: defaultdict[str, list[str]] = defaultdict(list)
        for cause, effect in causes:
            self._causes[effect].append(cause)

    async def read(self) -> Sequence[Sample]:
        """Count and measure."""
        recent = await ask(self._database, _RECENT, window=_WINDOW, most=MOST_ORDERS, final=list(FINAL))
        return [*await self._by_status(), *_to_the_end(recent), *self._steps(recent)]

    async def _by_status(self) -> list[Sample]:
        unsettled = await ask(self._database, _UNSETTLED)
        settled = Counter(dict(await ask(self._database, _SETTLED, window=_WINDOW)))
        still = Counter({state: count for state, count, *_ in unsettled})
        overdue, redriven = (sum(row[column] for row in unsettled) for column in (2, 3))
        oldest = max((float(row[4]) for row in unsettled), default=0.0)
        return [
            *(sample(metrics.ORDERS_OPEN, still[status], status) for status in STATUSES),
            *(sample(metrics.ORDERS_SETTLED, settled[status], status) for status in STATUSES),
            sample(metrics.ORDERS_OVERDUE, overdue),
            sample(metrics.ORDERS_REDRIVEN, redriven),
            sample(metrics.ORDERS_OLDEST_OPEN, oldest),
        ]

    def _steps(self, recent: Sequence[Any]) -> Iterator[Sample]:
        observed: defaultdict[str, Counter[float]] = defaultdict(Counter)
        for _, _, names, moments in recent:
            happened = dict(zip(names, moments, strict=True))
            for name, at in happened.items():
                causes = (happened[cause] for cause in self._causes.get(name, ()) if cause in happened)
                caused = max((moment for moment in causes if moment <= at), default=None)
                if caused is not None:
                    observed[name][_rounded(at - caused)] += 1
        return (Sample(metrics.STEP_LATENCY, values, name) for name, values in sorted(observed.items()))


def _to_the_end(recent: Sequence[Any]) -> Iterator[Sample]:
    observed = Counter(_rounded(took) for _, took, *_ in recent if took is not None)
    judged = [took for age, took, *_ in recent if age > FINAL_WITHIN]
    in_time = sum(took is not None and took <= FINAL_WITHIN for took in judged)
    if observed:
        yield Sample(metrics.END_TO_END_LATENCY, observed)
    if judged:
        yield sample(metrics.ORDERS_ON_TIME, 100 * in_time / len(judged))


def _rounded(seconds: float) -> float:
    """To two significant digits: a distribution of few values, each within 5 % of what was measured."""
    return float(f"{max(seconds, 0.001):.2g}")
