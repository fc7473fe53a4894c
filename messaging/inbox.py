"""The inbox: what was applied. A message's key is (queue, event id, re-drive number)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging.transaction import Driver


class Key(NamedTuple):
    """The identity of one application of an event in one queue."""

    event_id: UUID
    queue: str
    redrive: int


_CLAIM = """
    INSERT INTO inbox (event_id, queue, redrive)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[])
    ON CONFLICT DO NOTHING
    RETURNING event_id, queue, redrive
"""
PRUNE = text(
    """
    DELETE FROM inbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM inbox WHERE received_at < now() - CAST(:age AS interval) LIMIT :most))
    """
)


async def claim(driver: Driver, keys: Collection[Key]) -> set[Key]:
    """Enter the keys, in one statement and in key order; returns those that were not there yet.

    Waits for a transaction of another worker that is entering the same key, and sees its outcome.
    """
    ids, queues, redrives = zip(*sorted(keys), strict=True)
    return {Key(*row) for row in await driver.fetch(_CLAIM, ids, queues, redrives)}


async def prune(db: AsyncConnection, age: timedelta, most: int) -> int:
    """Forget at most `most` entries older than `age`; returns how many. Order rows keep a late repeat harmless."""
    result = await db.execute(PRUNE, {"age": age, "most": most})
    return result.rowcount
