"""The short way of a good request to its route's function.

FastAPI finds a function's arguments by a general algorithm, anew for each request, and inside three exit stacks; that
takes longer than all else that is done for a request. What is not good is left to FastAPI, which then says what is
wrong with it, and so are routes that need more of it.
"""

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.params import Body
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from rest.arguments import Call, Unacceptable, valid
from rest.strict_json import StrictJsonRoute, check_content_type, parse


class DirectRoute(StrictJsonRoute):
    """A route whose good requests take the short way.

    Its function is `async`; parameters are a body of JSON, headers, parts of the path, the request, the response, and
    dependencies of which the same is true. What it returns is written as its annotation says, and not validated: the
    type checker has seen to that. Other routes are FastAPI's, as are those of a router that was included.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        super().__init__(path, endpoint, **given)
        self._call = Call.of(self.dependant) if self._is_plain() else None

    def _is_plain(self) -> bool:
        """Tell whether nothing is asked for by which FastAPI would read or write in another way."""
        shaped = (self.response_model_include, self.response_model_exclude, self.max_body_size)
        left_out = (
            self.response_model_exclude_unset
            or self.response_model_exclude_defaults
            or self.response_model_exclude_none
        )
        return (
            (self.body_field is None or (type(self.body_field.field_info) is Body and not self._embed_body_fields))
            and self.response_field is not None
            and isinstance(self.response_class, DefaultPlaceholder)
            and all(each is None for each in shaped)
            and self.response_model_by_alias
            and not left_out
        )

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        included = "effective_route_context" in scope.get("fastapi", ())
        if self._call is None or included or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        body = None
        if self.body_field is not None:
            check_content_type(Headers(scope=scope).get("content-type", ""))
            body = await _read(receive)
            receive = _again(body, receive)
        response = Response(status_code=self.status_code or 200, media_type="application/json")
        try:
            arguments = await self._arguments(self._call, Request(scope, receive, send), response, body)
        except Unacceptable:
            await super().handle(scope, receive, send)
            return
        answer = await self._call.function(**arguments)
        if not isinstance(answer, Response):
            assert self.response_field is not None  # noqa: S101 - it is plain
            response.body = self.response_field.serialize_json(answer)
            response.headers["content-length"] = str(len(response.body))
            answer = response
        await answer(scope, receive, send)

    async def _arguments(self, call: Call, request: Request, response: Response, body: bytes | None) -> dict[str, Any]:
        if self.body_field is None or body is None:
            return await call.arguments(request, response)
        if not body:
            raise Unacceptable
        value = parse(body)
        arguments = await call.arguments(request, response)
        arguments[self.body_field.name] = valid(self.body_field, value)
        return arguments


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Receive a body that was read, and then what comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return left.pop() if left else await receive()

    return receive_again
