"""The services' databases as sources: outboxes, and the orders with their facts. Read-only, bounded, and on indexes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
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
_RECENT = """
    WITH recent AS (
        SELECT order_id, created_at FROM orders WHERE created_at > now() - CAST(:window AS interval)
        ORDER BY created_at DESC LIMIT :most)
"""
_TWO_DIGITS = "round({0}, 1 - floor(log({0}))::int)"
"""A number to two significant digits: a distribution of few values, each within 5 % of what was measured."""
_END_TO_END = text(
    f"""
    {_RECENT}, ended AS (
        SELECT created_at, min(recorded_at) AS final_at
        FROM recent LEFT JOIN facts ON facts.order_id = recent.order_id AND status_after = ANY (:final)
        GROUP BY recent.order_id, created_at),
    measured AS (
        SELECT CASE WHEN final_at IS NOT NULL THEN greatest(extract(epoch FROM final_at - created_at), 0.001) END
            AS seconds,
            created_at < now() - CAST(:within AS interval) AS judged FROM ended)
    SELECT {_TWO_DIGITS.format("seconds")}, judged, coalesce(seconds <= extract(epoch FROM CAST(:within AS interval)),
        false), count(*)
    FROM measured GROUP BY 1, 2, 3
    """  # noqa: S608 - constants only
)
_STEPS = text(
    f"""
    {_RECENT}, steps AS (
        SELECT effect.name, greatest(extract(epoch FROM effect.occurred_at - max(cause.occurred_at)), 0.001) AS seconds
        FROM recent JOIN facts AS effect USING (order_id) JOIN facts AS cause USING (order_id)
        JOIN unnest(CAST(:causes AS text[]), CAST(:effects AS text[])) AS follows (cause, effect)
            ON follows.cause = cause.name AND follows.effect = effect.name
        WHERE cause.occurred_at <= effect.occurred_at
        GROUP BY order_id, effect.name, effect.occurred_at)
    SELECT name, {_TWO_DIGITS.format("seconds")}, count(*) FROM steps GROUP BY 1, 2
    """  # noqa: S608 - constants only
)


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
        causes = sorted(causes)
        self._causes = [cause for cause, _ in causes]
        self._effects = [effect for _, effect in causes]

    async def read(self) -> Sequence[Sample]:
        """Count and measure."""
        return [*await self._by_status(), *await self._to_the_end(), *await self._steps()]

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

    async def _to_the_end(self) -> list[Sample]:
        rows = await ask(
            self._database,
            _END_TO_END,
            window=_WINDOW,
            most=MOST_ORDERS,
            final=list(FINAL),
            within=timedelta(seconds=FINAL_WITHIN),
        )
        observed: Counter[float] = Counter()
        judged = in_time = 0
        for seconds, old_enough, was_in_time, count in rows:
            judged += count * old_enough
            in_time += count * (old_enough and was_in_time)
            if seconds is not None:
                observed[float(seconds)] += count
        return [
            *([Sample(metrics.END_TO_END_LATENCY, observed)] if observed else ()),
            *([sample(metrics.ORDERS_ON_TIME, 100 * in_time / judged)] if judged else ()),
        ]

    async def _steps(self) -> list[Sample]:
        rows = await ask(
            self._database, _STEPS, window=_WINDOW, most=MOST_ORDERS, causes=self._causes, effects=self._effects
        )
        observed: defaultdict[str, Counter[float]] = defaultdict(Counter)
        for name, seconds, count in rows:
            observed[name][float(seconds)] += count
        return [Sample(metrics.STEP_LATENCY, values, name) for name, values in sorted(observed.items())]
