"""The inbox: what was applied. A message's key is (queue, event id, re-drive number)."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Key(NamedTuple):
    """The identity of one application of an event in one queue."""

    event_id: UUID
    queue: str
    redrive: int


PRUNE = text(
    """
    DELETE FROM inbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM inbox WHERE received_at < now() - CAST(:age AS interval) LIMIT :most))
    """
)


async def prune(db: AsyncConnection, age: timedelta, most: int) -> int:
    """Forget at most `most` entries older than `age`; returns how many. Order rows keep a late repeat harmless."""
    result = await db.execute(PRUNE, {"age": age, "most": most})
    return result.rowcount
