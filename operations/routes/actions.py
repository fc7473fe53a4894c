"""See what operators did."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from operations.models import Action
from operations.routes.access import TheOffice
from operations.schemas import ActionView
from rest.access import Operator
from rest.openapi import errors

router = APIRouter(tags=["audit"])


@router.get("/actions", operation_id="listActions", summary="See what operators did", responses=errors(422, 503))
async def list_actions(
    _: Operator,
    office: TheOffice,
    limit: Annotated[int, Query(ge=1, le=500, description="So many at most.")] = 50,
    before: Annotated[int | None, Query(ge=1, description="Only what is older: the last position of a page.")] = None,
) -> list[ActionView]:
    """The newest first. The record is append-only."""

    async def read(db: AsyncSession) -> Sequence[Action]:
        statement = select(Action).order_by(col(Action.position).desc()).limit(limit)
        return (await db.exec(statement if before is None else statement.where(col(Action.position) < before))).all()

    return ActionView.all_of(await office.read(read))
