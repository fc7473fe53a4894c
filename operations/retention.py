"""Forgets dead letters long after they were decided about; open ones are kept for ever."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.commands import Execute
from operations.models import DeadLetter

log = structlog.get_logger(__name__)

INTERVAL = 3_600.0
"""Seconds between two looks."""
MOST_AT_ONCE = 1_000


async def keep_pruned(execute: Execute, days: int) -> None:
    """Prune again and again. Raises what the database raises."""
    while True:
        while await prune(execute, timedelta(days=days)):
            pass
        await asyncio.sleep(INTERVAL)


async def prune(execute: Execute, age: timedelta) -> int:
    """Forget at most 1,000 that were decided about that long ago, with their failures and replays; return how many.

    The audit of what operators did is kept.
    """
    forgotten = 0

    async def work(db: AsyncSession) -> Sequence[Any]:
        nonlocal forgotten
        newer = select(DeadLetter.replaces).where(col(DeadLetter.replaces).is_not(None))
        old = (
            select(DeadLetter.id)
            .where(col(DeadLetter.closed_at) < datetime.now(UTC) - age, col(DeadLetter.id).not_in(newer))
            .limit(MOST_AT_ONCE)
        )
        result = await db.exec(delete(DeadLetter).where(col(DeadLetter.id).in_(old)))
        forgotten = result.rowcount
        return ()

    await execute(work)
    if forgotten:
        log.info("dead letters forgotten", count=forgotten)
    return forgotten
