"""Messages that may have killed their process: each handling of a redelivered message is noted before it begins.

A note that is still there later means that the process ended while it handled the message. A message that kills its
process takes its neighbours' delivery counts along, so the broker's count cannot tell which one it was; the note can.
Whatever waited in a process that died, or lost its connection, comes again at once: without a note it runs beside
others, as hardly any of it is to blame. With one it runs alone, and only deaths while it is alone are counted.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from messaging import edge
from messaging.database import Database
from messaging.inbox import Key
from messaging.outcome import Reject

MAX_TRIES = 3
"""The handling alone at which a message is parked instead: its process died as it came first, as it came again beside
others, and twice while it was alone."""

MOST_TOGETHER = 16
"""Redelivered messages that run beside each other the first time: so many at most run alone after another death."""

_NOTE_FIRST = text(
    """
    INSERT INTO suspects (event_id, queue, tries) VALUES (:event_id, :queue, 0) ON CONFLICT DO NOTHING
    """
)
_NOTE = text(
    """
    INSERT INTO suspects (event_id, queue, tries) VALUES (:event_id, :queue, 1)
    ON CONFLICT (event_id, queue) DO UPDATE SET tries = suspects.tries + 1, noted_at = now()
    RETURNING tries
    """
)
_CLEAR = text("DELETE FROM suspects WHERE event_id = :event_id AND queue = :queue")
_COUNT = text("SELECT count(*) FROM suspects")
_PRUNE = text(
    """
    DELETE FROM suspects WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM suspects WHERE noted_at < now() - CAST(:age AS interval) LIMIT :most))
    """
)


class KillsItsProcess(Reject):
    """A message whose handling ended its process each time."""


async def note_first(database: Database, key: Key) -> bool:
    """Note that the handling of a redelivered message begins; return whether that was not noted before."""
    async with database.session() as db:
        result = await (await db.connection()).execute(_NOTE_FIRST, {"event_id": key.event_id, "queue": key.queue})
        await edge.commit(db, edge.Step.SUSPECT_COMMIT)
    return result.rowcount == 1


async def note(database: Database, key: Key) -> None:
    """Note that it begins once more. Raises KillsItsProcess when that is once too often."""
    async with database.session() as db:
        result = await (await db.connection()).execute(_NOTE, {"event_id": key.event_id, "queue": key.queue})
        tries: int = result.scalar_one()
        await edge.commit(db, edge.Step.SUSPECT_COMMIT)
    if tries >= MAX_TRIES:
        raise KillsItsProcess(f"its process died {tries - 1} times while it was handled alone")


async def clear(database: Database, key: Key) -> None:
    """Note that the process outlived the handling, whatever came of it."""
    async with database.session() as db:
        await (await db.connection()).execute(_CLEAR, {"event_id": key.event_id, "queue": key.queue})
        await edge.commit(db, edge.Step.SUSPECT_COMMIT)


async def count(db: AsyncConnection) -> int:
    """How many messages are noted."""
    return (await db.execute(_COUNT)).scalar_one()


async def prune(db: AsyncConnection, age: timedelta, most: int) -> int:
    """Forget at most `most` notes older than `age`; returns how many."""
    return (await db.execute(_PRUNE, {"age": age, "most": most})).rowcount
