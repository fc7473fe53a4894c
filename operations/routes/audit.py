"""See whether money, stock and messages add up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from operations.audit.auditor import Auditor
from operations.audit.kinds import Kind
from operations.models import Violation
from operations.routes.access import TheOffice
from rest.access import Operator
from rest.openapi import errors
from rest.problems import Kind as ProblemKind
from rest.problems import Problem

router = APIRouter(tags=["audit"])

_SHAPE = ConfigDict(from_attributes=True)


class AuditQuery(BaseModel):
    """Which violations to list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=100, ge=1, le=1_000, description="Violations at most.")
    cleared: bool = Field(default=False, description="Those that are over, too, the newest first.")


class MoneyView(BaseModel):
    """Sums of one currency, in its minor units."""

    model_config = _SHAPE

    accepted: int = Field(description="Of all orders.")
    authorized: int
    captured: int
    voided: int = Field(description="Authorized, and let go.")
    open: int = Field(description="Authorized, and neither taken nor let go yet.")
    unexplained: int = Field(description="Authorized, and nowhere.")


class StockView(BaseModel):
    """The pieces of one sku."""

    model_config = _SHAPE

    sku: str
    on_hand: int
    reserved: int
    available: int
    initial: int
    received: int
    shipped: int


class TallyView(BaseModel):
    """The messages of one queue since the auditor's start, as often as they were said."""

    model_config = _SHAPE

    published: int
    applied: int
    parked: int
    in_flight: int
    missing: int


class BalanceView(BaseModel):
    """What the auditor has read."""

    model_config = _SHAPE

    at: datetime
    complete: bool = Field(description="Whether everything was read once: not right after a start.")
    orders: dict[str, int] = Field(description="By status.")
    money: dict[str, MoneyView] = Field(description="By currency.")
    stock: list[StockView]
    messages: dict[str, TallyView] = Field(description="By the queue that is to have them.")


class ViolationView(BaseModel):
    """Something that does not add up."""

    model_config = _SHAPE

    kind: Kind
    subject: str = Field(description="What it is about: an order's id, a sku, a message.")
    detail: str
    first_seen: datetime
    last_seen: datetime
    cleared_at: datetime | None = Field(description="When nothing of it was found any more; null while it is open.")


class AuditView(BaseModel):
    """The balance, and the open violations, the oldest first."""

    balance: BalanceView | None = Field(description="Null until the auditor has looked for the first time.")
    violations: list[ViolationView]


async def _auditor(request: Request) -> Auditor:
    auditor: Auditor | None = request.app.state.auditor
    if auditor is None:
        raise Problem(
            ProblemKind.NOT_POSSIBLE, "Nothing is audited here: OPERATIONS_AUDIT_DATABASES__<SERVICE> names databases."
        )
    return auditor


@router.get("/audit", operation_id="showAudit", summary="See whether all adds up", responses=errors(409, 422, 503))
async def show_audit(
    _: Operator,
    office: TheOffice,
    auditor: Annotated[Auditor, Depends(_auditor)],
    query: Annotated[AuditQuery, Query()],
) -> AuditView:
    """The balance is this process's; the violations are what any process has found."""

    async def read(db: AsyncSession) -> Sequence[Violation]:
        statement = select(Violation).limit(query.limit)
        if query.cleared:
            return (await db.exec(statement.order_by(col(Violation.first_seen).desc()))).all()
        is_open = col(Violation.cleared_at).is_(None)
        return (await db.exec(statement.where(is_open).order_by(col(Violation.first_seen)))).all()

    found = await office.read(read)
    return AuditView(
        balance=None if auditor.last is None else BalanceView.model_validate(auditor.last),
        violations=[ViolationView.model_validate(each) for each in found],
    )
