"""The outbox: what was said, stored in the transaction of its cause and kept until the broker confirmed it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import uuid_utils
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.event import Event, OrderEvent
from messaging.database import as_json
from messaging.envelope import CAUSATION, REDRIVE
from messaging.transaction import Driver
from messaging.writes import Write

CHANNEL = "outbox"
"""The PostgreSQL notification channel that wakes a relay."""


@dataclass(slots=True)  # frozen takes thrice as long to make, for each message
class Outgoing:
    """One stored message."""

    id: UUID
    event_id: UUID
    name: str
    type: str
    order_id: UUID | None
    body: str = field(repr=False)
    headers: dict[str, Any] = field(default_factory=dict)
    cause_id: UUID | None = None
    redrive: int = 0


def outgoing(event: Event, *, cause: Event | None, redrive: int, context: dict[str, str]) -> Outgoing:
    """The message that says `event`, with the number of the re-drive that it belongs to and the trace context."""
    headers: dict[str, Any] = {**context}
    if cause is not None:
        headers[CAUSATION] = str(cause.event_id)
    if redrive:
        headers[REDRIVE] = redrive
    return Outgoing(
        id=UUID(bytes=uuid_utils.uuid7().bytes),
        event_id=event.event_id,
        name=event.name,
        type=event.message_type(),
        order_id=event.order_id if isinstance(event, OrderEvent) else None,
        body=event.model_dump_json(),
        headers=headers,
        cause_id=None if cause is None else cause.event_id,
        redrive=redrive,
    )


_COLUMNS = "id, event_id, name, type, order_id, body, headers, cause_id, redrive"
_APPEND = f"""
    INSERT INTO outbox ({_COLUMNS}, due_at)
    SELECT *, now() + $1::interval FROM unnest(
        $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::jsonb[], $9::uuid[], $10::int[])
    """  # noqa: S608 - constants only
_UNSENT_BY_CAUSE = f"SELECT {_COLUMNS} FROM outbox WHERE sent_at IS NULL AND cause_id = ANY ($1::uuid[]) ORDER BY id"  # noqa: S608
_TAKE_DUE = text(
    f"""
    UPDATE outbox SET due_at = now() + CAST(:lease AS interval)
    WHERE id IN (
        SELECT id FROM outbox WHERE sent_at IS NULL AND due_at <= now() AND NOT id = ANY (CAST(:skip AS uuid[]))
        ORDER BY due_at LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING {_COLUMNS}
    """  # noqa: S608
)
_MARK_SENT = """
    UPDATE outbox SET sent_at = now() FROM set_config('synchronous_commit', 'off', true)
    WHERE id = ANY ($1::uuid[]) AND sent_at IS NULL
"""
"""A mark that is lost is harmless, so nothing waits for the disk on its account."""
_HAND_OVER = text("UPDATE outbox SET due_at = now() WHERE id = ANY (CAST(:ids AS uuid[])) AND sent_at IS NULL")
PRUNE = text(
    """
    DELETE FROM outbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM outbox WHERE sent_at < now() - CAST(:age AS interval) LIMIT :most))
    """
)
_BACKLOG = text(
    "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM outbox WHERE sent_at IS NULL"
)


def append(messages: Sequence[Outgoing], grace: timedelta) -> Write:
    """Store the messages. The relay leaves them alone for `grace`: their own unit of work sends them."""
    columns = (
        [m.id for m in messages],
        [m.event_id for m in messages],
        [m.name for m in messages],
        [m.type for m in messages],
        [m.order_id for m in messages],
        [m.body for m in messages],
        [as_json(m.headers) for m in messages],
        [m.cause_id for m in messages],
        [m.redrive for m in messages],
    )
    return Write("outbox", _APPEND, (grace, *columns))


async def unsent_by_cause(driver: Driver, causes: Collection[UUID]) -> list[Outgoing]:
    """What these events caused and nobody has confirmed yet."""
    return [Outgoing(*row) for row in await driver.fetch(_UNSENT_BY_CAUSE, list(causes))]


async def take_due(db: AsyncConnection, *, skip: Collection[UUID], lease: timedelta, most: int) -> list[Outgoing]:
    """Lease unsent messages that are due. Another relay gets them only after `lease`; locked ones are skipped."""
    rows = await db.execute(_TAKE_DUE, {"skip": list(skip), "lease": lease, "most": most})
    return sorted((Outgoing(*row) for row in rows), key=lambda message: message.id)


@dataclass(frozen=True, slots=True)
class Marks:
    """Notes that the broker confirmed these rows: one statement, which is its own transaction.

    Losing them is harmless: the messages are sent again and skipped.
    """

    driver: Driver
    ids: Collection[UUID]

    async def commit(self) -> None:
        """Write them."""
        await self.driver.execute(_MARK_SENT, list(self.ids))


async def hand_over(db: AsyncConnection, ids: Collection[UUID]) -> None:
    """Give messages that this process could not send to whichever relay is quickest."""
    await db.execute(_HAND_OVER, {"ids": list(ids)})
    await db.execute(text(f"NOTIFY {CHANNEL}"))


async def prune(db: AsyncConnection, age: timedelta, most: int) -> int:
    """Delete at most `most` messages that were sent longer than `age` ago; returns how many."""
    result = await db.execute(PRUNE, {"age": age, "most": most})
    return result.rowcount


async def backlog(db: AsyncConnection) -> tuple[int, float]:
    """How many messages are unsent, and the age of the oldest in seconds."""
    count, age = (await db.execute(_BACKLOG)).one()
    return count, float(age)
