"""Receipts of replays: stored with the effect that they tell of, so that they are as true as it is."""

from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts.replay import Effect, ReplayHandled
from messaging.inbox import Key

_ROWS_CHANGED = text("SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_user_tables")
"""PostgreSQL's count of the current transaction: whatever changes a row counts, by the session or beside it.

https://www.postgresql.org/docs/current/monitoring-stats.html
"""


async def rows_changed(db: AsyncSession) -> int:
    """How many rows this transaction has changed so far."""
    await db.flush()
    return (await (await db.connection()).execute(_ROWS_CHANGED)).scalar_one()


def receipt(replay_id: UUID, key: Key, *, changed: bool) -> ReplayHandled:
    """What came of a replay."""
    return ReplayHandled.about(replay_id, key.queue, key.event_id, Effect.APPLIED if changed else Effect.NONE)
