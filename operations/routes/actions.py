"""See what operators did."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from operations.models import Action
from operations.routes.access import TheOffice
from operations.schemas import ActionQuery, ActionView
from rest.access import Operator
from rest.openapi import errors

router = APIRouter(tags=["audit"])


@router.get("/actions", operation_id="listActions", summary="See what operators did", responses=errors(422, 503))
async def list_actions(_: Operator, office: TheOffice, query: Annotated[ActionQuery, Query()]) -> list[ActionView]:
    """The newest first. The record is append-only."""

    async def read(db: AsyncSession) -> Sequence[Action]:
        statement = select(Action).order_by(col(Action.position).desc()).limit(query.limit)
        if query.before is not None:
            statement = statement.where(col(Action.position) < query.before)
        return (await db.exec(statement)).all()

    return ActionView.all_of(await office.read(read))
