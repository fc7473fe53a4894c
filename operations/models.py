"""The control room's tables."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Identity, Index, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from messaging.tables import PERSONAL_BODY, PERSONAL_TEXT, attach
from operations.domain import Outcome, RunState, State
from rest.keys import attach as attach_keys

Moment = DateTime(timezone=True)
_STATES = ", ".join(f"'{state}'" for state in State)
_OUTCOMES = ", ".join(f"'{outcome}'" for outcome in Outcome)
_RUN_STATES = ", ".join(f"'{state}'" for state in RunState)


class Model(SQLModel, registry=registry()):
    """Base of the control room's tables: their MetaData is this service's own."""


class DeadLetter(Model, table=True):
    """A message that could not be handled, or that nobody was bound to: in custody until a person has decided."""

    __tablename__: ClassVar[Any] = "dead_letters"
    __table_args__ = (
        CheckConstraint(f"state IN ({_STATES})", name="state_known"),
        Index("dead_letters_identity", "queue", "identity", unique=True),
        Index("dead_letters_newest", "last_failed_at", "id"),
        Index("dead_letters_of_order", "order_id", postgresql_where=text("order_id IS NOT NULL")),
        Index("dead_letters_alike", "fingerprint", "state"),
    )

    id: UUID = Field(primary_key=True)
    queue: str = Field(sa_type=Text)
    """The work queue that it belongs to; `orders.unrouted` for what nobody was bound to."""
    identity: str = Field(sa_type=Text)
    service: str = Field(sa_type=Text)
    event: str = Field(sa_type=Text)
    message_id: str | None = Field(default=None, sa_type=Text)
    order_id: UUID | None = None
    redrive: int = Field(default=0, sa_type=BigInteger)
    body: str | None = Field(default=None, sa_type=Text, sa_column_kwargs=PERSONAL_BODY)
    """JSON as it came; None for what is none."""
    raw: bytes | None = Field(default=None, sa_type=LargeBinary, sa_column_kwargs=PERSONAL_TEXT)
    """What is no JSON, as it came."""
    size: int = Field(sa_type=BigInteger)
    """Bytes of the body, as it came."""
    properties: dict[str, Any] = Field(sa_type=JSONB)
    headers: dict[str, Any] = Field(sa_type=JSONB)
    error_class: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    fingerprint: str = Field(sa_type=Text)
    attempts: int = Field(default=0, sa_type=BigInteger)
    first_failed_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    last_failed_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    stored_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    closed_at: datetime | None = Field(default=None, sa_type=Moment)  # pyright: ignore[reportArgumentType]
    """When it was last decided about; None while it is open."""
    trace_id: str | None = Field(default=None, sa_type=Text)
    state: str = Field(default=State.OPEN, sa_type=Text)
    replaces: UUID | None = Field(default=None, foreign_key="dead_letters.id")
    """The dead letter that this is an edited version of."""


class Failure(Model, table=True):
    """One time that a dead letter came here. A redelivery of the same time is the same row."""

    __tablename__: ClassVar[Any] = "failures"

    dead_letter_id: UUID = Field(primary_key=True, foreign_key="dead_letters.id", ondelete="CASCADE")
    mark: str = Field(primary_key=True, sa_type=Text)
    """What tells this time from another: when it failed, and the replay that it came from."""
    failed_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    attempts: int = Field(sa_type=BigInteger)
    error_class: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    replay_id: UUID | None = None


class Run(Model, table=True):
    """A replay of one dead letter or of many, in steps."""

    __tablename__: ClassVar[Any] = "replay_runs"
    __table_args__ = (CheckConstraint(f"state IN ({_RUN_STATES})", name="run_state_known"),)

    id: UUID = Field(primary_key=True)
    started_by: str = Field(sa_type=Text)
    started_at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    ended_at: datetime | None = Field(default=None, sa_type=Moment)  # pyright: ignore[reportArgumentType]
    selection: dict[str, Any] = Field(sa_type=JSONB)
    """What was asked for."""
    total: int = Field(sa_type=BigInteger)
    rate: float
    """Messages a second at most."""
    tolerate: float
    """The share of failures from which on it holds."""
    forgiven: int = Field(default=0, sa_type=BigInteger)
    """Failures that an operator knew of who let it go on."""
    step: int = 0
    """Counts from 0."""
    state: str = Field(default=RunState.RUNNING, sa_type=Text)
    why: str | None = Field(default=None, sa_type=Text)
    """Why it holds."""
    leased_until: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    """Until then it is the business of the process that took it."""


class Replay(Model, table=True):
    """One dead letter's part of a run, and its receipt."""

    __tablename__: ClassVar[Any] = "replays"
    __table_args__ = (
        CheckConstraint(f"outcome IN ({_OUTCOMES})", name="outcome_known"),
        Index("replays_of_run", "run_id", "position", unique=True),
        Index("replays_of_dead_letter", "dead_letter_id"),
    )

    id: UUID = Field(primary_key=True)
    """Travels with the message, and comes back with the receipt."""
    run_id: UUID = Field(foreign_key="replay_runs.id")
    dead_letter_id: UUID = Field(foreign_key="dead_letters.id", ondelete="CASCADE")
    position: int = Field(sa_type=BigInteger)
    """Counts from 0."""
    sent_at: datetime | None = Field(default=None, sa_type=Moment)  # pyright: ignore[reportArgumentType]
    outcome: str | None = Field(default=None, sa_type=Text)
    answered_at: datetime | None = Field(default=None, sa_type=Moment)  # pyright: ignore[reportArgumentType]
    detail: str | None = Field(default=None, sa_type=Text)
    """The error that it failed with."""


class Action(Model, table=True):
    """What an operator did. Written once; a trigger refuses every change."""

    __tablename__: ClassVar[Any] = "operator_actions"

    position: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True, nullable=False)
    )
    at: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    actor: str = Field(sa_type=Text)
    """The client and its key."""
    action: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    """The id of the dead letter or of the run."""
    detail: dict[str, Any] = Field(sa_type=JSONB)


class Violation(Model, table=True):
    """Something that the audit found, from its first sight to its last."""

    __tablename__: ClassVar[Any] = "violations"
    __table_args__ = (
        Index("violations_open", "kind", "subject", unique=True, postgresql_where=text("cleared_at IS NULL")),
        Index("violations_newest", "first_seen"),
    )

    id: UUID = Field(primary_key=True, sa_column_kwargs={"server_default": func.gen_random_uuid()})
    kind: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    """What it is about: an order's id, a sku, a message."""
    detail: str = Field(sa_type=Text)
    first_seen: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    last_seen: datetime = Field(sa_type=Moment)  # pyright: ignore[reportArgumentType]
    cleared_at: datetime | None = Field(default=None, sa_type=Moment)  # pyright: ignore[reportArgumentType]
    """When the audit found nothing of it any more; None while it is open."""


attach(Model.metadata)
attach_keys(Model.metadata)
