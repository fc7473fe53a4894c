"""Orders that are overdue: their first event is said again until they are settled.

Whatever was lost on the way, a message or a whole broker, this heals: under a new re-drive number every service says
again what it said before, and does what it has not done. Being final is not enough: an order whose money could not be
taken is `ready`, and is said again until its money is where it belongs.
"""

import asyncio
from collections.abc import Sequence

import structlog
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.commands import Execute
from messaging.outcome import Again
from order_api import clock
from order_api.domain import Patience
from order_api.facts import Facts
from order_api.models import WITH_FACTS, Order

log = structlog.get_logger(__name__)

BATCH = 100
"""Orders that share a transaction at most."""
MOST_BATCHES = 5
"""Batches in one sweep: after a broker was wiped, what is overdue comes back at a pace that new orders survive."""


class Deadlines:
    """Sweeps every `interval` seconds. Several replicas may: each overdue order is one's, the others pass it by."""

    def __init__(self, execute: Execute, patience: Patience, interval: float) -> None:
        self._execute = execute
        self._patience = patience
        self._interval = interval

    async def watch(self) -> None:
        """Sweep for ever. Raises what the database raises."""
        while True:
            await asyncio.sleep(self._interval)
            await self.sweep()

    async def sweep(self) -> int:
        """Re-drive orders that are overdue, at most MOST_BATCHES * BATCH; return how many there were."""
        total = 0
        for _ in range(MOST_BATCHES):
            found = await self._redrive_batch()
            total += found
            if found < BATCH:
                break
        if total:
            log.warning("overdue orders said again", orders=total)
        return total

    async def _redrive_batch(self) -> int:
        found = 0

        async def redrive(db: AsyncSession) -> Sequence[Again]:
            nonlocal found
            now, facts = await clock.now(db), Facts.of(db)
            overdue = (
                await db.exec(
                    select(Order)
                    .where(col(Order.next_deadline) <= func.now())
                    .order_by(col(Order.order_id))
                    .limit(BATCH)
                    .with_for_update(skip_locked=True)
                    .options(WITH_FACTS)
                    .execution_options(populate_existing=True)
                )
            ).all()
            found = len(overdue)
            return [again for order in overdue for again in order.redrive(now, self._patience, facts)]

        await self._execute(redrive)
        return found
