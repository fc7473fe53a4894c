"""A bound on what a client can make the service hold in memory."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_api.problems import Kind, Problem, render


class BodyLimit:
    """ASGI middleware: a body of more than `limit` bytes is answered with 413, announced or not.

    An announced one (Content-Length) is refused before any of it is read, a streamed one at the chunk that crosses
    the limit. (FastAPI's own `max_body_size` answers the first kind in plain text.)
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _announced(scope) > self.limit:
            await render(self._problem().details)(scope, receive, send)
            return
        read = 0

        async def receive_within_limit() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.limit:
                raise self._problem()
            return message

        await self.app(scope, receive_within_limit, send)

    def _problem(self) -> Problem:
        return Problem(Kind.BODY_TOO_LARGE, f"A body may have {self.limit} bytes.")


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
