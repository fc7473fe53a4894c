"""Every error as `application/problem+json` (RFC 9457). Says which field is wrong, never what was in it."""

from collections.abc import Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Route

from messaging.database import DatabaseUnavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 2
"""Seconds after which a client should try again while the database is away."""


OVERLOADED_RETRY_AFTER = 5
"""Seconds after which a client should try again while there is too much to do."""


class Kind(Enum):
    """The problems that have a type of their own: (last part of the type, HTTP status, title)."""

    MALFORMED_BODY = "malformed-body", 400, "The body is not acceptable JSON"
    UNAUTHENTICATED = "unauthenticated", 401, "An API key is needed"
    FORBIDDEN = "forbidden", 403, "The API key does not allow this"
    UNKNOWN_ORDER = "unknown-order", 404, "There is no such order"
    UNKNOWN_PRODUCT = "unknown-product", 404, "There is no such product"
    UNKNOWN_SUBJECT = "unknown-subject", 404, "There is no such dead letter or replay"
    UNPUBLISHED = "unpublished", 404, "The document is not published here"
    SLOW_BODY = "slow-body", 408, "The body did not come in time"
    NOT_CANCELLABLE = "not-cancellable", 409, "The order can no longer be cancelled"
    NOT_POSSIBLE = "not-possible", 409, "This cannot be done as things stand"
    REQUEST_IN_FLIGHT = "request-in-flight", 409, "A request with this idempotency key is in progress"
    ANSWER_NOT_KEPT = "answer-not-kept", 409, "The answer under this idempotency key is no longer kept"
    BODY_TOO_LARGE = "body-too-large", 413, "The body is too large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "The body must be application/json"
    INVALID_REQUEST = "invalid-request", 422, "The request is not valid"
    UNACCEPTABLE_ORDER = "unacceptable-order", 422, "The lines make no order"
    KEY_REUSED = "idempotency-key-reused", 422, "The idempotency key was used for another request"
    TOO_MANY_REQUESTS = "too-many-requests", 429, "Too many requests"
    HEADERS_TOO_LARGE = "headers-too-large", 431, "The headers are too large"
    OVERLOADED = "overloaded", 503, "The service accepts no more orders for a moment"
    UNAVAILABLE = "unavailable", 503, "The service cannot work for a moment"

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.type = f"urn:problem-type:orders:{slug}"
        self.status = status
        self.title = title


class Flaw(BaseModel):
    """What is wrong with one field of the request."""

    pointer: str | None = Field(
        default=None, description="The field in the body, as a JSON pointer.", examples=["#/items/0/quantity"]
    )
    parameter: str | None = Field(default=None, description="The parameter of the path, query or header.")
    code: str = Field(description="A stable name of the flaw.", examples=["greater_than_equal"])
    detail: str = Field(examples=["Input should be greater than or equal to 1"])


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="Stable name of the kind of problem.", examples=[Kind.INVALID_REQUEST.type])
    title: str = Field(examples=[Kind.INVALID_REQUEST.title])
    status: int = Field(description="The HTTP status.", examples=[Kind.INVALID_REQUEST.status])
    detail: str | None = Field(default=None, description="What went wrong this time.")
    errors: list[Flaw] | None = Field(default=None, description="Which fields are wrong.")


class Problem(HTTPException):
    """Ends a request with a problem."""

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        flaws: Sequence[Flaw] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.status, kind.title, headers)
        self.details = ProblemDetails(
            type=kind.type, title=kind.title, status=kind.status, detail=detail, errors=list(flaws) or None
        )


def unavailable() -> Problem:
    """Make the problem of a database that is away."""
    return Problem(
        Kind.UNAVAILABLE,
        "The database does not answer. If this was an order, it may have been accepted all the same.",
        headers={"Retry-After": str(RETRY_AFTER)},
    )


def render(details: ProblemDetails, headers: Mapping[str, str] | None = None) -> Response:
    """Make the response that carries a problem."""
    body = orjson.dumps(details.model_dump(exclude_none=True))
    return Response(body, details.status, dict(headers or {}), MEDIA_TYPE)


def flaw(error: Mapping[str, Any]) -> Flaw:
    """Tell what one of Pydantic's errors says, without the input: place, code and, where harmless, message."""
    place, *path = error["loc"]
    code = str(error["type"])
    if code == "extra_forbidden":
        path = path[:-1]  # the last part is a name that the client made up
    detail = _DETAILS.get(code) or (str(error["msg"]) if code in _HARMLESS else "Input is not valid")
    if place == "body":
        pointer = "#" + "".join(f"/{part}" for part in path)
        return Flaw(pointer=pointer, code=code, detail=detail)
    return Flaw(parameter=str(path[0]) if path else None, code=code, detail=detail)


_DETAILS = {
    "extra_forbidden": "There is a field here that is not known",
    "string_pattern_mismatch": "Input does not have the required form",
    "uuid_parsing": "Input should be a UUID",
}
_HARMLESS = {
    "missing",
    "int_type",
    "list_type",
    "string_type",
    "model_type",
    "model_attributes_type",
    "greater_than_equal",
    "less_than_equal",
    "string_too_short",
    "string_too_long",
    "too_short",
    "too_long",
}
"""Codes whose message is made of the rule alone (pydantic_core's error templates)."""


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    flaws = [flaw(each) for each in error.errors()]
    return render(Problem(Kind.INVALID_REQUEST, flaws=flaws).details)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if isinstance(error, Problem):
        return render(error.details, error.headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return render(plain(error.status_code), {"Allow": ", ".join(sorted(_allowed(request)))})
    return render(plain(error.status_code), error.headers)


def _allowed(request: Request) -> set[str]:
    """Every method that the path has; Starlette names those of the first route that it finds."""
    return {
        method
        for route in request.app.state.routes
        if isinstance(route, Route) and route.path_regex.match(request.url.path)
        for method in route.methods or ()
    }


async def _away(_: Request, __: Exception) -> Response:
    problem = unavailable()
    return render(problem.details, problem.headers)


async def _bug(_: Request, __: Exception) -> Response:
    return render(plain(HTTPStatus.INTERNAL_SERVER_ERROR))


def plain(status: int) -> ProblemDetails:
    """Make a problem that says no more than its HTTP status does."""
    return ProblemDetails(type="about:blank", title=HTTPStatus(status).phrase, status=status)


def install(api: FastAPI) -> None:
    """Let every error of this application be a problem; an unexpected one is logged by the server, too."""
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(DatabaseUnavailable, _away)
    api.add_exception_handler(Exception, _bug)
