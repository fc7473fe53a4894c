"""How routes reach the office."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request, Response

from operations.office import Office, Refused, Unknown
from operations.timeline import Timelines
from rest.problems import Kind, Problem, render


async def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


async def _timelines(request: Request) -> Timelines:
    timelines: Timelines = request.app.state.timelines
    return timelines


TheOffice = Annotated[Office, Depends(_office)]
TheTimelines = Annotated[Timelines, Depends(_timelines)]


async def _refused(_: Request, error: Exception) -> Response:
    problem = Problem(Kind.UNKNOWN_SUBJECT if isinstance(error, Unknown) else Kind.NOT_POSSIBLE, str(error))
    return render(problem.details, problem.headers)


def install(api: FastAPI) -> None:
    """Let whatever the office refuses be a problem."""
    api.add_exception_handler(Refused, _refused)
