"""Misused idempotency keys as problems."""

from fastapi import FastAPI, Request, Response

from order_api.idempotency import Forgotten, KeyMisused, OtherRequest
from rest.problems import Kind, Problem, render

RETRY_IN_FLIGHT = 1
"""Seconds after which a request that is in progress should have its answer."""


def misused(error: KeyMisused) -> Problem:
    """Say what is wrong with the use of an idempotency key."""
    match error:
        case OtherRequest():
            return Problem(Kind.KEY_REUSED, "Send another key, or what was sent at first.")
        case Forgotten(made=made):
            return Problem(Kind.ANSWER_NOT_KEPT, f"It made {made}, once.")
        case _:
            headers = {"Retry-After": str(RETRY_IN_FLIGHT)}
            return Problem(Kind.REQUEST_IN_FLIGHT, "Its answer is not known yet. Ask again.", headers=headers)


async def _misused(_: Request, error: Exception) -> Response:
    assert isinstance(error, KeyMisused)  # noqa: S101 - what it is registered for
    problem = misused(error)
    return render(problem.details, problem.headers)


def install(api: FastAPI) -> None:
    """Let every misuse of a key be a problem of its own."""
    api.add_exception_handler(KeyMisused, _misused)
