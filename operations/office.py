"""The dead-letter office: what operators may do, each with a line in the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import orjson
import uuid_utils
from pydantic import ValidationError
from sqlalchemy import func, insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import EVENTS
from messaging.commands import Execute, answer_of
from messaging.database import Database
from messaging.envelope import CAUSATION, CONTENT_TYPE, problems
from messaging.topology import UNROUTED
from operations import letters
from operations.custody import plain
from operations.domain import Outcome, Pace, RunState, State, identity, steps
from operations.letters import Wanted
from operations.models import Action, DeadLetter, Replay, Run
from rest.reading import answered, reading

T = TypeVar("T")

MOST_AT_ONCE = 100_000
"""Dead letters of one run at most."""


class Refused(Exception):  # noqa: N818 - an outcome
    """What was asked for cannot be done; the message says why."""


class Unknown(Refused):
    """There is no dead letter, or no run, of that id."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay would do."""

    by_queue: Sequence[tuple[str, int]]
    rate: float

    @property
    def total(self) -> int:
        """Dead letters."""
        return sum(count for _, count in self.by_queue)

    @property
    def steps(self) -> list[int]:
        """Their sizes."""
        return steps(self.total)

    @property
    def seconds(self) -> float:
        """At least."""
        return self.total / self.rate


class Office:
    """Reads and writes the control room's own database. Nothing here speaks to the broker."""

    def __init__(self, execute: Execute, database: Database, *, editing: bool) -> None:
        self._execute = execute
        self._database = database
        self._editing = editing

    async def read(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Ask the database. Raises DatabaseUnavailable."""

        async def ask() -> T:
            async with reading(self._database) as db:
                return await work(db)

        return await answered(ask())

    async def plan(self, wanted: Wanted, rate: float) -> Plan:
        """Say what a replay of these would do."""
        return Plan(await self.read(lambda db: letters.counts(db, _replayable(wanted))), rate)

    async def replay(self, wanted: Wanted, asked: Mapping[str, Any], by: str, pace: Pace) -> UUID:
        """Start a run that sends these again; returns its id. Raises Refused when there are none, or too many."""

        async def work(db: AsyncSession) -> UUID:
            return await _start(db, wanted, asked, by, pace)

        return await answer_of(self._execute, work)

    async def pause(self, run_id: UUID, by: str) -> None:
        """Let a run send no more until it is resumed."""
        await self._change(run_id, by, "pause", {RunState.RUNNING}, RunState.PAUSED)

    async def resume(self, run_id: UUID, by: str) -> None:
        """Let a run go on; what has failed so far is forgiven, and missing receipts are waited for once more."""
        await self._change(run_id, by, "resume", {RunState.PAUSED, RunState.STOPPED}, RunState.RUNNING)

    async def end(self, run_id: UUID, by: str) -> None:
        """End a run; what it has not sent is open again."""
        unfinished = {RunState.RUNNING, RunState.PAUSED, RunState.STOPPED}
        await self._change(run_id, by, "end", unfinished, RunState.ENDED)

    async def discard(self, letter_id: UUID, reason: str, by: str) -> None:
        """Give a dead letter up. It stays in the files until retention takes it."""

        async def work(db: AsyncSession) -> None:
            letter = await _locked(db, letter_id)
            if letter.state != State.OPEN:
                raise Refused(f"it is {letter.state}; only an open dead letter can be discarded")
            letter.state, letter.closed_at = State.DISCARDED, datetime.now(UTC)
            _note(db, by, "discard", letter_id, {"reason": reason})

        await answer_of(self._execute, work)

    async def edit(self, letter_id: UUID, changes: Mapping[str, Any], reason: str, by: str) -> UUID:
        """Make another version of a dead letter, as a new message that follows from it, and replay that.

        `changes` is a JSON merge patch (RFC 7396). Both versions are kept. Returns the id of the run. Raises Refused
        when editing is off, or the outcome breaks the contract.
        """
        if not self._editing:
            raise Refused("editing is off: OPERATIONS_EDITING turns it on")

        async def work(db: AsyncSession) -> UUID:
            old = await _locked(db, letter_id)
            if old.state != State.OPEN:
                raise Refused(f"it is {old.state}; only an open dead letter can be edited")
            new = edited(old, changes)
            db.add(new)
            await db.flush()
            old.state, old.closed_at = State.EDITED, datetime.now(UTC)
            _note(db, by, "edit", letter_id, {"reason": reason, "fields": plain(sorted(changes)), "new": str(new.id)})
            return await _start(db, Wanted(ids=[new.id]), {"edited": str(letter_id)}, by, Pace())

        return await answer_of(self._execute, work)

    async def _change(self, run_id: UUID, by: str, action: str, before: set[RunState], after: RunState) -> None:
        async def work(db: AsyncSession) -> None:
            run = await db.get(Run, run_id, with_for_update=True)
            if run is None:
                raise Unknown(f"there is no replay {run_id}")
            if run.state not in before:
                raise Refused(f"the replay is {run.state}")
            failed = select(func.count()).where(col(Replay.run_id) == run_id, col(Replay.outcome) == Outcome.FAILED)
            run.state, run.why = after, None
            if after is RunState.RUNNING:
                run.forgiven, run.leased_until = (await db.exec(failed)).one(), datetime.now(UTC)
                silent = (col(Replay.run_id) == run_id, col(Replay.outcome) == Outcome.NO_RECEIPT)
                await db.exec(update(Replay).where(*silent).values(outcome=None, sent_at=func.now()))
            if after is RunState.ENDED:
                run.ended_at = datetime.now(UTC)
                await _open_again(db, run_id)
            _note(db, by, action, run_id, {})

        await answer_of(self._execute, work)


def edited(old: DeadLetter, changes: Mapping[str, Any]) -> DeadLetter:
    """The other version. Raises Refused, naming fields and never values, if it breaks the contract."""
    kind = EVENTS.get(old.event)
    before = None if old.body is None else orjson.loads(old.body)
    if kind is None or not isinstance(before, dict):
        raise Refused("only a JSON object of a known event can be edited")
    event_id = UUID(bytes=uuid_utils.uuid7().bytes)
    after = {**_merged(cast("dict[str, Any]", before), changes), "event_id": str(event_id)}
    try:
        body = kind.model_validate_json(orjson.dumps(after)).model_dump_json()
    except ValidationError as error:
        raise Refused(f"no {kind.message_type()}: {problems(error)}") from None
    kept = {name: value for name, value in old.headers.items() if name in {"traceparent", "tracestate"}}
    now = datetime.now(UTC)
    values: dict[str, Any] = old.model_dump() | {
        "id": UUID(bytes=uuid_utils.uuid7().bytes),
        "identity": identity(str(event_id), 0, body.encode()),
        "message_id": str(event_id),
        "redrive": 0,
        "body": body,
        "raw": None,
        "size": len(body.encode()),
        "headers": kept | {CAUSATION: old.message_id or str(old.id)},
        "properties": old.properties
        | {"message_id": str(event_id), "type": kind.message_type(), "content_type": CONTENT_TYPE},
        "attempts": 0,
        "stored_at": now,
        "closed_at": None,
        "state": State.OPEN,
        "replaces": old.id,
    }
    return DeadLetter(**values)


def _merged(value: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(value)
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        elif isinstance(change, Mapping):
            inner = merged.get(name)
            below: Mapping[str, Any] = cast("Mapping[str, Any]", inner) if isinstance(inner, Mapping) else {}
            merged[name] = _merged(below, cast("Mapping[str, Any]", change))
        else:
            merged[name] = change
    return merged


async def _start(db: AsyncSession, wanted: Wanted, asked: Mapping[str, Any], by: str, pace: Pace) -> UUID:
    chosen = select(col(DeadLetter.id)).where(*_replayable(wanted).conditions()).order_by(col(DeadLetter.id))
    ids = (await db.exec(chosen.with_for_update().limit(MOST_AT_ONCE + 1))).all()
    if not ids:
        raise Unknown("nothing is there to be replayed")
    if len(ids) > MOST_AT_ONCE:
        raise Refused(f"more than {MOST_AT_ONCE} dead letters: choose fewer")
    now = datetime.now(UTC)
    run = Run(
        id=UUID(bytes=uuid_utils.uuid7().bytes),
        started_by=by,
        started_at=now,
        selection=dict(asked),
        total=len(ids),
        rate=pace.rate,
        tolerate=pace.tolerate,
        leased_until=now,
    )
    db.add(run)
    await db.flush()
    replays = [
        {"id": UUID(bytes=uuid_utils.uuid4().bytes), "run_id": run.id, "dead_letter_id": each, "position": position}
        for position, each in enumerate(ids)
    ]
    await (await db.connection()).execute(insert(Replay), replays)
    await db.exec(update(DeadLetter).where(col(DeadLetter.id).in_(ids)).values(state=State.REPLAYING, closed_at=None))
    _note(db, by, "replay", run.id, {"total": len(ids), **asked})
    return run.id


def _replayable(wanted: Wanted) -> Wanted:
    """Who names dead letters may replay those that were replayed before, too: their effect happens once anyway."""
    states = (State.OPEN, State.REPLAYING, State.DONE) if wanted.ids else (State.OPEN,)
    return replace(wanted, states=states)


async def _open_again(db: AsyncSession, run_id: UUID) -> None:
    unsent = (col(Replay.run_id) == run_id, col(Replay.sent_at).is_(None))
    theirs = select(Replay.dead_letter_id).where(*unsent)
    still = (col(DeadLetter.id).in_(theirs), col(DeadLetter.state) == State.REPLAYING)
    await db.exec(update(DeadLetter).where(*still).values(state=State.OPEN))
    await db.exec(update(Replay).where(*unsent).values(outcome=Outcome.NOT_SENT))


async def _locked(db: AsyncSession, letter_id: UUID) -> DeadLetter:
    letter = await db.get(DeadLetter, letter_id, with_for_update=True)
    if letter is None:
        raise Unknown(f"there is no dead letter {letter_id}")
    return letter


def _note(db: AsyncSession, by: str, action: str, subject: UUID, detail: Mapping[str, Any]) -> None:
    db.add(Action(at=datetime.now(UTC), actor=by, action=action, subject=str(subject), detail=dict(detail)))


def queue_of(letter: DeadLetter) -> str | None:
    """The work queue that it goes back to; None for an event that nobody was bound to."""
    return None if letter.queue == UNROUTED else letter.queue
