"""Receipts of replays: stored with the effect that they tell of, so that they are as true as it is."""

from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from contracts.replay import Effect, ReplayHandled
from messaging.inbox import Key
from messaging.rows import driver_of, store_all

_ROWS_CHANGED = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int8 FROM pg_stat_xact_user_tables"
"""PostgreSQL's count of the current transaction: whatever changes a row counts, by the session or beside it.

https://www.postgresql.org/docs/current/monitoring-stats.html
"""


async def rows_changed(db: AsyncSession) -> int:
    """How many rows this transaction has changed so far."""
    await store_all(db)
    changed: int = await (await driver_of(db)).fetchval(_ROWS_CHANGED)
    return changed


def receipt(replay_id: UUID, key: Key, *, changed: bool) -> ReplayHandled:
    """What came of a replay."""
    return ReplayHandled.about(replay_id, key.queue, key.event_id, Effect.APPLIED if changed else Effect.NONE)
