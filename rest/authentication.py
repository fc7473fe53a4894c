"""Nobody gets in without a key, and no key gets more than its share: ahead of every route that is not named as open."""

from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from messaging.database import DatabaseUnavailable
from rest.callers import Caller
from rest.keys import KeyRing
from rest.problems import Kind, Problem, render, unavailable
from rest.share import Share

CALLER = "rest.caller"
"""Where the ASGI scope holds the Caller."""

REALM = 'Bearer realm="orders"'


class Authentication:
    """ASGI middleware: a request has a good key in `Authorization: Bearer …`, or it is answered with 401 (RFC 6750).

    Closed by default: what is not below a path of `open_paths` needs a key, a path that does not exist, too. Each key
    may send `rate` requests to this process (`500/second`); more are answered with 429 and Retry-After.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, open_paths: Collection[str], rate: str) -> None:
        self.app = app
        self._keys = keys
        self._open = frozenset(open_paths)
        self._below = tuple(f"{path}/" for path in open_paths)
        self._share = Share(rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        try:
            caller = await self._caller(scope)
            self._share.take(caller)
        except Problem as problem:
            await render(problem.details, problem.headers)(scope, receive, send)
            return
        scope[CALLER] = caller
        await self.app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(self._below)

    async def _caller(self, scope: Scope) -> Caller:
        scheme, _, token = _authorization(scope).partition(" ")
        if scheme.lower() != "bearer":
            raise Problem(
                Kind.UNAUTHENTICATED,
                "Send an API key: `Authorization: Bearer ord_…`.",
                headers={"WWW-Authenticate": REALM},
            )
        try:
            caller = await self._keys.caller(token.strip())
        except DatabaseUnavailable:
            raise unavailable() from None
        if caller is None:
            raise Problem(
                Kind.UNAUTHENTICATED,
                "This API key is not known here, or has ended.",
                headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'},
            )
        return caller


def _authorization(scope: Scope) -> str:
    """The header's value; one that was sent twice is none."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    return values[0].decode("latin-1") if len(values) == 1 else ""
