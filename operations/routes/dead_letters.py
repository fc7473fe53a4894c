"""Find dead letters, see what is wrong with them, give them up or change them."""

import base64
import binascii
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, status
from pydantic import Field

from operations import letters
from operations.domain import State
from operations.letters import Place, Wanted
from operations.routes.access import TheOffice, TheTimelines
from operations.schemas import Discard, Edit, GroupView, LetterFile, LetterPage, LetterView, PlanView, Selection
from rest.access import Operator
from rest.openapi import errors
from rest.problems import Flaw, Kind, Problem
from rest.strict_json import StrictJsonRoute

router = APIRouter(tags=["dead letters"], route_class=StrictJsonRoute)


DeadLetterId = Annotated[UUID, Path(description="The dead letter's id.")]


class Search(Selection):
    """What can be searched for."""

    state: list[State] = Field(default_factory=lambda: [State.OPEN], max_length=5, description="In any of these.")
    limit: int = Field(default=50, ge=1, le=500, description="So many at most.")
    cursor: str | None = Field(default=None, max_length=200, description="The `next` of the page before.")

    @property
    def conditions(self) -> Wanted:
        """As the database is asked."""
        return Wanted(**self.model_dump(exclude={"all", "state", "limit", "cursor"}), states=self.state)


@router.get("/dead-letters", operation_id="listDeadLetters", summary="Find dead letters", responses=errors(422, 503))
async def list_dead_letters(_: Operator, office: TheOffice, search: Annotated[Search, Query()]) -> LetterPage:
    """The newest failures first; open ones, unless other states are asked for."""
    after = None if search.cursor is None else _place(search.cursor)
    found = await office.read(lambda db: letters.page(db, search.conditions, search.limit, after))
    shown = found[: search.limit]
    more = len(found) > search.limit
    return LetterPage(
        dead_letters=[LetterView.of(each) for each in shown],
        next=_cursor(Place(shown[-1].last_failed_at, shown[-1].id)) if more else None,
    )


@router.get(
    "/dead-letters/groups",
    operation_id="groupDeadLetters",
    summary="Group dead letters by what is wrong",
    responses=errors(422, 503),
)
async def group_dead_letters(_: Operator, office: TheOffice, search: Annotated[Search, Query()]) -> list[GroupView]:
    """The largest groups first. A group's fingerprint names all that failed alike in one queue."""
    found = await office.read(lambda db: letters.groups(db, search.conditions, search.limit))
    return [GroupView.of(each) for each in found]


@router.get(
    "/dead-letters/{dead_letter_id}",
    operation_id="showDeadLetter",
    summary="See what is wrong with one",
    responses=errors(404, 422, 503),
)
async def show_dead_letter(
    dead_letter_id: DeadLetterId, _: Operator, office: TheOffice, timelines: TheTimelines
) -> LetterFile:
    """Payload against contract, every failure and replay, and the order's timeline beside it."""
    found = await office.read(lambda db: letters.file(db, dead_letter_id))
    if found is None:
        raise Problem(Kind.UNKNOWN_SUBJECT, f"There is no dead letter {dead_letter_id}.")
    if found.letter.order_id is None:
        return LetterFile.of_file(found, None, "it names no order")
    return LetterFile.of_file(found, *await timelines.of(found.letter.order_id))


@router.post(
    "/dead-letters/{dead_letter_id}/discard",
    status_code=status.HTTP_204_NO_CONTENT,
    operation_id="discardDeadLetter",
    summary="Give one up",
    responses=errors(400, 404, 408, 409, 413, 415, 422, 503),
)
async def discard_dead_letter(dead_letter_id: DeadLetterId, wish: Discard, caller: Operator, office: TheOffice) -> None:
    """It is not sent again. The reason is kept in the audit."""
    await office.discard(dead_letter_id, wish.reason, caller.actor)


@router.post(
    "/dead-letters/{dead_letter_id}/edit",
    status_code=status.HTTP_202_ACCEPTED,
    operation_id="editDeadLetter",
    summary="Replay another version of one",
    responses=errors(400, 404, 408, 409, 413, 415, 422, 503),
)
async def edit_dead_letter(dead_letter_id: DeadLetterId, wish: Edit, caller: Operator, office: TheOffice) -> PlanView:
    """The changed payload must fit the contract. It is a new message that follows from the old one; both are kept."""
    run_id = await office.edit(dead_letter_id, wish.changes, wish.reason, caller.actor)
    return PlanView(total=1, by_queue={}, steps=[1], seconds=1.0, run_id=run_id)


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{place.failed_at.isoformat()} {place.id}".encode()).decode()


def _place(cursor: str) -> Place:
    try:
        moment, _, letter_id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(" ")
        place = Place(datetime.fromisoformat(moment), UUID(letter_id))
    except (binascii.Error, UnicodeError, ValueError):
        place = None
    if place is None or place.failed_at.tzinfo is None:
        flaw = Flaw(parameter="cursor", code="cursor", detail="This is no cursor that a page gave")
        raise Problem(Kind.INVALID_REQUEST, flaws=[flaw])
    return place
