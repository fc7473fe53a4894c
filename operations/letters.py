"""Dead letters, found: one by one, a page at a time, or counted by what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy
from sqlalchemy import ColumnElement, func
from sqlmodel import col, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from operations.domain import State
from operations.models import DeadLetter, Failure, Replay


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters; what is None or empty does not matter."""

    ids: Sequence[UUID] = ()
    queue: str | None = None
    service: str | None = None
    event: str | None = None
    order_id: UUID | None = None
    message_id: str | None = None
    error: str | None = None
    fingerprint: str | None = None
    failed_from: datetime | None = None
    failed_before: datetime | None = None
    states: Sequence[State] = field(default=(State.OPEN,))

    def conditions(self) -> list[ColumnElement[bool]]:
        """As SQL has it."""
        equal: list[tuple[Any, Any]] = [
            (col(DeadLetter.queue), self.queue),
            (col(DeadLetter.service), self.service),
            (col(DeadLetter.event), self.event),
            (col(DeadLetter.order_id), self.order_id),
            (col(DeadLetter.message_id), self.message_id),
            (col(DeadLetter.error_class), self.error),
            (col(DeadLetter.fingerprint), self.fingerprint),
        ]
        found: list[ColumnElement[bool]] = [column == value for column, value in equal if value is not None]
        if self.ids:
            found.append(col(DeadLetter.id).in_(self.ids))
        if self.failed_from is not None:
            found.append(col(DeadLetter.last_failed_at) >= self.failed_from)
        if self.failed_before is not None:
            found.append(col(DeadLetter.last_failed_at) < self.failed_before)
        if self.states:
            found.append(col(DeadLetter.state).in_(self.states))
        return found


class Place(NamedTuple):
    """Where a page ended."""

    failed_at: datetime
    id: UUID


class Group(NamedTuple):
    """Dead letters that failed alike."""

    fingerprint: str
    queue: str
    error_class: str
    reason: str
    """That of one of them."""
    letters: int
    first_failed_at: datetime
    last_failed_at: datetime


async def page(db: AsyncSession, wanted: Wanted, limit: int, after: Place | None) -> Sequence[DeadLetter]:
    """The newest failures first; one more than `limit`, if there are more."""
    statement = select(DeadLetter).where(*wanted.conditions())
    place = tuple_(col(DeadLetter.last_failed_at), col(DeadLetter.id))
    if after is not None:
        statement = statement.where(place < after)
    statement = statement.order_by(col(DeadLetter.last_failed_at).desc(), col(DeadLetter.id).desc())
    return (await db.exec(statement.limit(limit + 1))).all()


async def groups(db: AsyncSession, wanted: Wanted, limit: int) -> Sequence[Group]:
    """The largest groups first."""
    count = func.count()
    statement = (
        sqlalchemy.select(
            col(DeadLetter.fingerprint),
            func.min(col(DeadLetter.queue)),
            func.min(col(DeadLetter.error_class)),
            func.min(col(DeadLetter.reason)),
            count,
            func.min(col(DeadLetter.first_failed_at)),
            func.max(col(DeadLetter.last_failed_at)),
        )
        .where(*wanted.conditions())
        .group_by(col(DeadLetter.fingerprint))
        .order_by(count.desc(), col(DeadLetter.fingerprint))
        .limit(limit)
    )
    return [Group(*row) for row in await (await db.connection()).execute(statement)]


async def counts(db: AsyncSession, wanted: Wanted) -> Sequence[tuple[str, int]]:
    """How many there are, by queue."""
    statement = (
        sqlalchemy.select(col(DeadLetter.queue), func.count())
        .where(*wanted.conditions())
        .group_by(col(DeadLetter.queue))
        .order_by(col(DeadLetter.queue))
    )
    return [(row[0], row[1]) for row in await (await db.connection()).execute(statement)]


@dataclass(frozen=True, slots=True)
class File:
    """Everything about one dead letter."""

    letter: DeadLetter
    failures: Sequence[Failure]
    replays: Sequence[Replay]


async def file(db: AsyncSession, letter_id: UUID) -> File | None:
    """The dead letter with its failures and replays, oldest first; None if there is none."""
    letter = await db.get(DeadLetter, letter_id)
    if letter is None:
        return None
    failures = select(Failure).where(col(Failure.dead_letter_id) == letter_id).order_by(col(Failure.failed_at))
    replays = select(Replay).where(col(Replay.dead_letter_id) == letter_id).order_by(col(Replay.sent_at).nulls_last())
    return File(letter, (await db.exec(failures)).all(), (await db.exec(replays)).all())
