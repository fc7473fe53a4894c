"""Send dead letters again: one, some, a group, or all that fit."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response, status
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from operations.models import Run
from operations.replays import tally
from operations.routes.access import TheOffice
from operations.schemas import PlanView, RunQuery, RunView, StartReplay
from rest.access import Operator
from rest.openapi import errors
from rest.problems import Flaw, Kind, Problem
from rest.strict_json import StrictJsonRoute

router = APIRouter(tags=["replays"], route_class=StrictJsonRoute)

ReplayId = Annotated[UUID, Path(description="The replay's id.")]


@router.post(
    "/replays",
    status_code=status.HTTP_202_ACCEPTED,
    operation_id="startReplay",
    summary="Send dead letters again",
    response_description="The replay has begun; after a dry run, status 200, nothing has.",
    responses={200: {"model": PlanView}, **errors(400, 404, 408, 409, 413, 415, 422, 503)},
)
async def start_replay(wish: StartReplay, caller: Operator, office: TheOffice, response: Response) -> PlanView:
    """Under the same message ids, so that the effect of each happens at most once, however often this is asked for.

    It goes on in steps of 1, 10, 100 and so on: each is answered before the next begins, and it stops by itself when
    too many fail again.
    """
    if wish.selection.empty:
        detail = 'Say which: ids, a filter, or "all": true'
        raise Problem(Kind.INVALID_REQUEST, flaws=[Flaw(pointer="#/selection", code="missing", detail=detail)])
    plan = await office.plan(wish.selection.wanted, wish.rate)
    if wish.dry_run:
        response.status_code = status.HTTP_200_OK
        return PlanView.of(plan)
    run_id = await office.replay(wish.selection.wanted, wish.selection.asked, caller.actor, wish.pace)
    return PlanView.of(plan, run_id)


@router.get("/replays", operation_id="listReplays", summary="See the replays", responses=errors(422, 503))
async def list_replays(_: Operator, office: TheOffice, query: Annotated[RunQuery, Query()]) -> list[RunView]:
    """The newest first."""

    async def read(db: AsyncSession) -> list[RunView]:
        found = (await db.exec(select(Run).order_by(col(Run.id).desc()).limit(query.limit))).all()
        return [RunView.of(each, await tally(db, each)) for each in found]

    return await office.read(read)


@router.get(
    "/replays/{replay_id}", operation_id="showReplay", summary="See how far one is", responses=errors(404, 422, 503)
)
async def show_replay(replay_id: ReplayId, _: Operator, office: TheOffice) -> RunView:
    """What was sent, and what came of it."""
    return await _shown(office, replay_id)


@router.post(
    "/replays/{replay_id}/pause", operation_id="pauseReplay", summary="Hold one", responses=errors(404, 409, 422, 503)
)
async def pause_replay(replay_id: ReplayId, caller: Operator, office: TheOffice) -> RunView:
    """It sends no more until it is resumed."""
    await office.pause(replay_id, caller.actor)
    return await _shown(office, replay_id)


@router.post(
    "/replays/{replay_id}/resume",
    operation_id="resumeReplay",
    summary="Let one go on",
    responses=errors(404, 409, 422, 503),
)
async def resume_replay(replay_id: ReplayId, caller: Operator, office: TheOffice) -> RunView:
    """Also one that stopped by itself: what has failed so far does not count any more."""
    await office.resume(replay_id, caller.actor)
    return await _shown(office, replay_id)


@router.post(
    "/replays/{replay_id}/end", operation_id="endReplay", summary="End one", responses=errors(404, 409, 422, 503)
)
async def end_replay(replay_id: ReplayId, caller: Operator, office: TheOffice) -> RunView:
    """What was not sent yet is open again."""
    await office.end(replay_id, caller.actor)
    return await _shown(office, replay_id)


async def _shown(office: TheOffice, replay_id: UUID) -> RunView:
    async def read(db: AsyncSession) -> RunView | None:
        run = await db.get(Run, replay_id)
        return None if run is None else RunView.of(run, await tally(db, run))

    found = await office.read(read)
    if found is None:
        raise Problem(Kind.UNKNOWN_SUBJECT, f"There is no replay {replay_id}.")
    return found
