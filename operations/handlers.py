"""What the control room does with what the services say to it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import Effect, Event, ReplayHandled
from messaging.outcome import Reject
from operations.domain import Outcome, State, truer
from operations.models import DeadLetter, Replay

_OUTCOMES = {Effect.APPLIED: Outcome.APPLIED, Effect.NONE: Outcome.NO_EFFECT}


async def lock_dead_letters(db: AsyncSession, batch: Sequence[tuple[Event, object]]) -> None:
    """Lock what the receipts of a group are about, in one order everywhere: dead letters, then replays."""
    replays = [event.replay_id for event, _ in batch if isinstance(event, ReplayHandled)]
    theirs = select(Replay.dead_letter_id).where(col(Replay.id).in_(replays))
    await db.exec(
        select(DeadLetter).where(col(DeadLetter.id).in_(theirs)).order_by(col(DeadLetter.id)).with_for_update()
    )
    await db.exec(select(Replay).where(col(Replay.id).in_(replays)).order_by(col(Replay.id)).with_for_update())


async def record_receipt(event: ReplayHandled, db: AsyncSession) -> None:
    """Note what came of a replay, and close its dead letter."""
    replay = await db.get(Replay, event.replay_id)
    if replay is None:
        raise Reject(f"unknown replay {event.replay_id}")
    told = _OUTCOMES[event.effect]
    replay.outcome = truer(None if replay.outcome is None else Outcome(replay.outcome), told)
    replay.answered_at = replay.answered_at or datetime.now(UTC)
    letter = await db.get_one(DeadLetter, replay.dead_letter_id)
    decided = letter.state in {State.DISCARDED, State.EDITED}
    if told is Outcome.APPLIED or (replay.outcome == told and not decided):
        letter.state, letter.closed_at = State.DONE, datetime.now(UTC)
