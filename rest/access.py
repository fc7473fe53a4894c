"""Who asks, and what they may do: the dependencies by which routes say which scope they need."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from starlette.requests import HTTPConnection

from rest.authentication import CALLER, REALM
from rest.callers import Caller, Scope
from rest.problems import Kind, Problem


class _Documented(HTTPBearer):
    """Is in the OpenAPI document, and does nothing: the middleware has looked at the key."""

    async def __call__(self, request: HTTPConnection) -> None:  # noqa: ARG002 - FastAPI gives it
        return None


_documented = _Documented(
    scheme_name="ApiKey",
    description="An API key of this system, `ord_…`. What it allows are its scopes.",
    auto_error=False,
)


async def _caller(request: Request, needed: SecurityScopes, _: Annotated[None, Depends(_documented)]) -> Caller:
    """Who asks. The middleware has let them in; here is seen what they may do."""
    caller: Caller = request.scope[CALLER]
    for scope in needed.scopes:
        if not caller.may(Scope(scope)):
            challenge = f'{REALM}, error="insufficient_scope", scope="{scope}"'
            raise Problem(Kind.FORBIDDEN, f"It needs the scope {scope}.", headers={"WWW-Authenticate": challenge})
    return caller


Reader = Annotated[Caller, Security(_caller, scopes=[Scope.READ])]
Writer = Annotated[Caller, Security(_caller, scopes=[Scope.WRITE])]
Operator = Annotated[Caller, Security(_caller, scopes=[Scope.OPERATIONS])]
