"""Bounds on what a client can make the service hold in memory, and for how long."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from messaging.limits import TimeLimit
from rest.problems import Kind, Problem, render

MOST_HEADERS = 16_384
"""Bytes of all names and values together."""
BODY_PATIENCE = 10.0
"""Seconds in which a body must have come."""


class RequestLimits:
    """ASGI middleware: a body of more than `body` bytes is answered with 413, announced or not.

    An announced one (Content-Length) is refused before any of it is read, a streamed one at the chunk that crosses
    the limit, and one that drips at `patience` seconds (408). (FastAPI's own `max_body_size` answers the first kind in
    plain text.) Headers of more than MOST_HEADERS bytes are answered with 431.
    """

    def __init__(self, app: ASGIApp, body: int, patience: float = BODY_PATIENCE) -> None:
        self.app = app
        self.body = body
        self._patience = TimeLimit(patience)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await render(refusal.details)(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        ends, read, begun, complete = loop.time() + self._patience.seconds, 0, False, False

        async def receive_within_limits() -> Message:
            nonlocal read, begun, complete
            if complete:  # what comes now is the client's going, which may take as long as it likes
                return await receive()
            try:
                if begun:
                    async with asyncio.timeout_at(ends):
                        message = await receive()
                else:
                    begun = True
                    with self._patience.bound():  # it is all of a body, as a rule
                        message = await receive()
            except TimeoutError:
                raise Problem(Kind.SLOW_BODY, f"It has {self._patience.seconds:.0f} seconds.") from None
            read += len(message.get("body", b""))
            if read > self.body:
                raise self._too_large()
            complete = not message.get("more_body", False)
            return message

        await self.app(scope, receive_within_limits, send)

    def _refusal(self, scope: Scope) -> Problem | None:
        size = announced = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name == b"content-length" and value.isdigit():
                announced = int(value)
        if size > MOST_HEADERS:
            return Problem(Kind.HEADERS_TOO_LARGE, f"All headers together may have {MOST_HEADERS} bytes.")
        return self._too_large() if announced > self.body else None

    def _too_large(self) -> Problem:
        return Problem(Kind.BODY_TOO_LARGE, f"A body may have {self.body} bytes.")
