"""How routes reach the office."""

from typing import Annotated

from fastapi import Depends, Request

from operations.office import Office, Refused, Unknown
from operations.timeline import Timelines
from rest.problems import Kind, Problem


async def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


async def _timelines(request: Request) -> Timelines:
    timelines: Timelines = request.app.state.timelines
    return timelines


TheOffice = Annotated[Office, Depends(_office)]
TheTimelines = Annotated[Timelines, Depends(_timelines)]


def refusal(refused: Refused) -> Problem:
    """The problem of what cannot be done."""
    return Problem(Kind.UNKNOWN_SUBJECT if isinstance(refused, Unknown) else Kind.NOT_POSSIBLE, str(refused))
