"""What the control room's REST routes take and give."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from operations import diagnosis
from operations.domain import Outcome, Pace, RunState, State, Tally, steps
from operations.letters import File, Group, Wanted
from operations.models import Action, DeadLetter, Run
from operations.office import Plan
from rest.fields import NO_CONTROL_CHARACTERS, Moment

Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_CONTROL_CHARACTERS)]
Reason = Annotated[str, StringConstraints(min_length=3, max_length=1_000, pattern=NO_CONTROL_CHARACTERS)]
_STRICT = ConfigDict(extra="forbid")
MOST_IDS = 1_000


def _strict(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class Selection(BaseModel):
    """Which dead letters. All that is given must fit; by ids, those that were replayed before may be named, too."""

    model_config = _STRICT

    ids: list[UUID] = Field(default=[], max_length=MOST_IDS, description="These, one by one.")
    queue: Text | None = Field(default=None, description="The work queue, or `orders.unrouted`.")
    service: Text | None = Field(default=None, description="Whose queue it is.")
    event: Text | None = Field(default=None, description="The event's name.")
    order_id: UUID | None = Field(default=None, description="The order that it is about.")
    message_id: Text | None = Field(default=None, description="As the message has it.")
    error: Text | None = Field(default=None, description="The error's class.")
    fingerprint: Text | None = Field(default=None, description="Of a group.")
    failed_from: Moment | None = Field(default=None, description="Failed last at or after this moment.")
    failed_before: Moment | None = Field(default=None, description="Failed last before this moment.")
    all: bool = Field(default=False, description="Every open dead letter: must be said when nothing else is.")

    @property
    def empty(self) -> bool:
        """Whether nothing is said of which."""
        return not self.asked

    @property
    def asked(self) -> dict[str, Any]:
        """What was said, for the record."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def wanted(self) -> Wanted:
        """As the database is asked."""
        return Wanted(**self.model_dump(exclude={"all"}))


class RunQuery(BaseModel):
    """Which replays to list."""

    model_config = _STRICT

    limit: int = Field(default=20, ge=1, le=200, description="So many at most.")


class ActionQuery(BaseModel):
    """Which actions to list."""

    model_config = _STRICT

    limit: int = Field(default=50, ge=1, le=500, description="So many at most.")
    before: int | None = Field(default=None, ge=1, description="Only what is older: the last position of a page.")


class StartReplay(BaseModel):
    """What to replay, and how carefully."""

    model_config = _strict({"selection": {"queue": "payment.order.created"}, "dry_run": True})

    selection: Selection
    dry_run: bool = Field(default=False, description="Only say what would be done.")
    rate: float = Field(default=50.0, gt=0, le=10_000, description="Messages a second at most.")
    tolerate: float = Field(
        default=0.1, ge=0, le=1, description="The share of failures, of what was answered, from which on it stops."
    )

    @property
    def pace(self) -> Pace:
        """How carefully."""
        return Pace(self.rate, self.tolerate)


class Discard(BaseModel):
    """Why a dead letter is given up."""

    model_config = _strict({"reason": "the order was placed again by telephone"})

    reason: Reason


class Edit(BaseModel):
    """What to change in a payload, and why."""

    model_config = _strict({"changes": {"customer_id": "c-42"}, "reason": "the old system wrote no customer"})

    changes: dict[str, Any] = Field(min_length=1, description="A JSON merge patch (RFC 7396): null takes a field away.")
    reason: Reason


class LetterView(BaseModel):
    """A dead letter in a list."""

    id: UUID
    state: State
    queue: str
    service: str
    event: str
    message_id: str | None
    order_id: UUID | None
    error: str
    reason: str
    fingerprint: str
    attempts: int
    redrive: int
    size: int
    first_failed_at: datetime
    last_failed_at: datetime
    trace_id: str | None

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Show one; nothing of its payload."""
        return cls(**_fields(letter))


class FailureView(BaseModel):
    """One time that it came here."""

    failed_at: datetime
    attempts: int
    error: str
    reason: str
    replay_id: UUID | None


class PastReplayView(BaseModel):
    """One time that it was sent again."""

    replay_id: UUID
    run_id: UUID
    sent_at: datetime | None
    outcome: Outcome | None
    answered_at: datetime | None
    detail: str | None


class LetterFile(LetterView):
    """Everything about a dead letter; personal data and secrets are masked."""

    problem: str | None = Field(description="What is wrong with the message itself; null if it fits its contract.")
    payload: Any = Field(description="The body, if it is JSON.")
    properties: dict[str, Any]
    headers: dict[str, Any]
    replaces: UUID | None
    failures: list[FailureView]
    replays: list[PastReplayView]
    order: Any = Field(description="The order with its timeline, as the order API shows it.")
    order_problem: str | None = Field(description="Why there is no order here.")

    @classmethod
    def of_file(cls, file: File, order: Any, order_problem: str | None) -> Self:
        """Show one."""
        letter = file.letter
        return cls(
            **_fields(letter),
            problem=diagnosis.problem(letter),
            payload=None if letter.body is None else diagnosis.shown(orjson.loads(letter.body)),
            properties=diagnosis.shown(letter.properties),
            headers=diagnosis.shown(letter.headers),
            replaces=letter.replaces,
            failures=[
                FailureView(
                    failed_at=each.failed_at,
                    attempts=each.attempts,
                    error=each.error_class,
                    reason=each.reason,
                    replay_id=each.replay_id,
                )
                for each in file.failures
            ],
            replays=[
                PastReplayView(replay_id=each.id, **each.model_dump(exclude={"id", "dead_letter_id", "position"}))
                for each in file.replays
            ],
            order=order,
            order_problem=order_problem,
        )


def _fields(letter: DeadLetter) -> dict[str, Any]:
    wanted = LetterView.model_fields.keys() - {"error", "state"}
    return letter.model_dump(include=wanted) | {"error": letter.error_class, "state": State(letter.state)}


class LetterPage(BaseModel):
    """Dead letters, the newest failures first."""

    dead_letters: list[LetterView]
    next: str | None = Field(description="The cursor of the next page; null if this is the last.")


class GroupView(BaseModel):
    """Dead letters that failed alike."""

    fingerprint: str
    queue: str
    error: str
    reason: str = Field(description="Of one of them.")
    count: int
    first_failed_at: datetime
    last_failed_at: datetime

    @classmethod
    def of(cls, group: Group) -> Self:
        """Show one."""
        told = group._asdict()
        return cls(error=told.pop("error_class"), count=told.pop("letters"), **told)


class PlanView(BaseModel):
    """What a replay would do, or does."""

    total: int
    by_queue: dict[str, int]
    steps: list[int] = Field(description="Each is answered before the next begins.")
    seconds: float = Field(description="How long it takes at least.")
    run_id: UUID | None = Field(default=None, description="The replay that was started; null after a dry run.")

    @classmethod
    def of(cls, plan: Plan, run_id: UUID | None = None) -> Self:
        """Show one."""
        return cls(
            total=plan.total, by_queue=dict(plan.by_queue), steps=plan.steps, seconds=plan.seconds, run_id=run_id
        )


class RunView(BaseModel):
    """A replay and how far it has come."""

    id: UUID
    state: RunState
    why: str | None = Field(description="Why it holds.")
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    selection: dict[str, Any]
    rate: float
    tolerate: float
    total: int
    step: int = Field(description="Counts from 1.")
    steps: list[int]
    sent: int
    applied: int
    no_effect: int
    failed: int
    no_receipt: int

    @classmethod
    def of(cls, run: Run, tally: Tally) -> Self:
        """Show one."""
        told = run.model_dump(exclude={"forgiven", "leased_until", "step", "state"})
        counted = {name: getattr(tally, name) for name in ("sent", "applied", "no_effect", "failed", "no_receipt")}
        return cls(**told, **counted, state=RunState(run.state), step=run.step + 1, steps=steps(run.total))


class ActionView(BaseModel):
    """What an operator did."""

    position: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]

    @classmethod
    def all_of(cls, actions: Sequence[Action]) -> list[Self]:
        """Show them."""
        return [cls(**each.model_dump()) for each in actions]
