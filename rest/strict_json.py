"""JSON bodies, read strictly: what other parsers let pass, or read in two ways, is refused."""

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from functools import lru_cache
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import JsonValue

from rest.problems import Kind, Problem

MAX_DEPTH = 16
"""Levels of objects and arrays; no body that is accepted has more than three."""


def parse(body: bytes) -> JsonValue:
    """Read a JSON text (RFC 8259).

    Raises Problem for broken syntax, NaN and infinities, text that is no UTF-8, unpaired surrogates, numbers beyond
    a double, names given twice and nesting deeper than MAX_DEPTH.
    """
    try:
        value: JsonValue = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Problem(Kind.MALFORMED_BODY, "This is no valid JSON in UTF-8.") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    if not _each_name_once(body, value):
        json.loads(body, object_pairs_hook=_refuse_repetition, parse_int=str, parse_float=str)
    return value


def _each_name_once(body: bytes, value: JsonValue) -> bool:
    """Tell whether this text, whose value that is, certainly has no name twice: a tenth of the cost of a second look.

    Without a backslash each quote in a text opens or closes a string, and what was read of it needs none either when
    it is written again. A name that was given twice is written once, so it has quotes that are missing then.
    """
    return b"\\" not in body and body.count(b'"') == orjson.dumps(value).count(b'"')


def _check_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for each in level for child in _children(each)]
        if not level:
            return
    if any(isinstance(each, dict | list) for each in level):
        raise Problem(Kind.MALFORMED_BODY, f"The nesting is deeper than {MAX_DEPTH} levels.")


def _children(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _refuse_repetition(pairs: list[tuple[str, JsonValue]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise Problem(Kind.MALFORMED_BODY, "An object has the same name twice.")


class StrictJsonRequest(Request):
    """A request whose `json()` is strict."""

    async def json(self) -> Any:
        return parse(await self.body())


class StrictJsonRoute(APIRoute):
    """A route that reads strict JSON, and nothing else, as its body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_strictly(request: Request) -> Response:
            check_content_type(request.headers.get("content-type", ""))
            return await handle(StrictJsonRequest(request.scope, request.receive))

        return handle_strictly


def check_content_type(content_type: str) -> None:
    """Raise Problem unless this says JSON."""
    if not _is_json(content_type):
        raise Problem(Kind.UNSUPPORTED_MEDIA_TYPE)


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
