"""Sends what operators want replayed: step by step, no faster than allowed, and no further than it goes well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy
import structlog
from sqlalchemy import func, text
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.collector import DeadLetter as Taken
from messaging.commands import Execute, answer_of
from messaging.database import Database
from messaging.service import NotSent
from operations.custody import restored
from operations.domain import Outcome, RunState, Tally, reach, too_many_failed, without_repeats
from operations.models import DeadLetter, Replay, Run
from operations.office import queue_of
from operations.settings import Settings
from rest.reading import reading

log = structlog.get_logger(__name__)

T = TypeVar("T")
PutBack = Callable[[Taken, str | None, UUID], Awaitable[None]]
"""Sends a dead letter to its work queue, under that replay's id; messaging.service.Service.put_back is one."""

IN_FLIGHT = 50
"""Dead letters that are sent together at most."""

_LEASE = text(
    """
    UPDATE replay_runs SET leased_until = now() + CAST(:lease AS interval) WHERE id IN (
        SELECT id FROM replay_runs
        WHERE state = 'running' AND (leased_until <= now() OR id = ANY (CAST(:held AS uuid[])))
        ORDER BY id FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)


class Replayer:
    """Looks after every running replay that no other process has, again and again.

    A dead letter may be sent twice under one replay's id, when this process dies in between: its effect happens once.
    """

    def __init__(self, execute: Execute, database: Database, put_back: PutBack, settings: Settings) -> None:
        self._execute = execute
        self._database = database
        self._put_back = put_back
        self._settings = settings
        self._held: set[UUID] = set()

    async def watch(self) -> None:
        """Go on for ever. Raises what the database raises."""
        while True:
            await self.go_on()
            await asyncio.sleep(self._settings.replay_interval)

    async def go_on(self) -> None:
        """Take every running replay as far as it may go now."""

        async def lease(db: AsyncSession) -> set[UUID]:
            values = {"lease": timedelta(seconds=self._settings.replay_lease), "held": list(self._held)}
            return set((await (await db.connection()).execute(_LEASE, values)).scalars())

        self._held = await answer_of(self._execute, lease)
        for run_id in sorted(self._held):
            await self._go_on(run_id)

    async def _go_on(self, run_id: UUID) -> None:
        run, tally = await answer_of(self._execute, lambda db: self._look(db, run_id))
        if run is None:
            return
        due = await self._due(run)
        if due:
            await self._send(due)
        elif tally.waiting == 0 and tally.no_receipt == 0:
            await answer_of(self._execute, lambda db: _next_step(db, run_id, run.step))

    async def _look(self, db: AsyncSession, run_id: UUID) -> tuple[Run | None, Tally]:
        """The run, if it may go on, and how far it is; one that may not is stopped here."""
        run = await db.get_one(Run, run_id, with_for_update=True)
        late = func.now() - timedelta(seconds=self._settings.receipt_patience)
        silent = (col(Replay.run_id) == run_id, col(Replay.outcome).is_(None), col(Replay.sent_at) < late)
        await db.exec(update(Replay).where(*silent).values(outcome=Outcome.NO_RECEIPT))
        counted = await tally(db, run)
        if run.state != RunState.RUNNING:
            return None, counted
        if too_many_failed(counted, run.forgiven, run.tolerate):
            run.state, run.why = RunState.STOPPED, f"{counted.failed} of {counted.answered} failed again"
        elif counted.no_receipt:
            run.state, run.why = RunState.STOPPED, f"{counted.no_receipt} without a receipt"
        else:
            return run, counted
        log.error("replay stopped", run=str(run_id), why=run.why)
        return None, counted

    async def _due(self, run: Run) -> Sequence[tuple[Replay, DeadLetter]]:
        """What is to be sent now: of this step, within the rate, no message id twice."""
        share = max(1, int(run.rate * self._settings.replay_interval))
        statement = (
            select(Replay, DeadLetter)
            .join(DeadLetter, col(Replay.dead_letter_id) == col(DeadLetter.id))
            .where(
                col(Replay.run_id) == run.id,
                col(Replay.sent_at).is_(None),
                col(Replay.position) < reach(run.total, run.step),
            )
            .order_by(col(Replay.position))
            .limit(share)
        )
        async with reading(self._database) as db:
            return (await db.exec(statement)).all()

    async def _send(self, due: Sequence[tuple[Replay, DeadLetter]]) -> None:
        while due:
            together = without_repeats([letter.message_id for _, letter in due], IN_FLIGHT)
            now, due = due[:together], due[together:]
            confirmed = await asyncio.gather(*(self._send_one(replay, letter) for replay, letter in now))
            sent = [replay.id for (replay, _), ok in zip(now, confirmed, strict=True) if ok]
            await answer_of(self._execute, lambda db, sent=sent: _mark(db, sent))
            if len(sent) < len(now):
                return  # what the broker did not confirm has its turn again

    async def _send_one(self, replay: Replay, letter: DeadLetter) -> bool:
        try:
            await self._put_back(restored(letter), queue_of(letter), replay.id)
        except NotSent as failure:
            log.warning("dead letter not sent", queue=letter.queue, replay=str(replay.id), reason=str(failure))
            return False
        return True


async def tally(db: AsyncSession, run: Run) -> Tally:
    """Count how far a run has come."""

    def of(outcome: Outcome) -> Any:
        return func.count().filter(col(Replay.outcome) == outcome)

    statement = sqlalchemy.select(
        func.count(col(Replay.sent_at)),
        of(Outcome.APPLIED),
        of(Outcome.NO_EFFECT),
        of(Outcome.FAILED),
        of(Outcome.NO_RECEIPT),
    ).where(col(Replay.run_id) == run.id)
    sent, applied, no_effect, failed, no_receipt = (await (await db.connection()).execute(statement)).one()
    return Tally(run.total, sent, applied, no_effect, failed, no_receipt)


async def _mark(db: AsyncSession, sent: Sequence[UUID]) -> None:
    await db.exec(update(Replay).where(col(Replay.id).in_(sent)).values(sent_at=func.now()))


async def _next_step(db: AsyncSession, run_id: UUID, step: int) -> None:
    run = await db.get_one(Run, run_id, with_for_update=True)
    if run.state != RunState.RUNNING or run.step != step:
        return
    if reach(run.total, step) >= run.total:
        run.state, run.ended_at = RunState.DONE, func.now()  # pyright: ignore[reportAttributeAccessIssue]
        log.info("replay done", run=str(run_id), total=run.total)
    else:
        run.step = step + 1
